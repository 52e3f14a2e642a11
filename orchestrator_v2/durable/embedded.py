"""The embedded driver: walks runs to their end, or to where they wait, inside this process's event loop.

Which task may start, and what an outcome means, is the engine's word; this decides how many go on at once,
keeps the claims alive and listens for signals.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import copy_context

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import FencedError, OrchestratorError, RunStateError
from orchestrator_v2.durable.watching import DRAIN, POLL, watch
from orchestrator_v2.engine.engine import LEASE
from orchestrator_v2.engine.ports import Journal
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState


class EmbeddedDriver:
    """Drives any number of runs at once; one watcher renews their claims and takes their signals."""

    # Whether others take up what nobody drives.
    tended = False

    def __init__(self, journal: Journal, clock: Clock, *, poll: float = POLL) -> None:
        """`poll`: seconds between two looks into the journal while runs are driven."""
        self._journal = journal
        self._clock = clock
        self._poll = poll
        self._walks: dict[str, Walk] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    async def drive(self, session: RunSession) -> ProjectState:
        """Walks until the run has ended or stands still, says so in the journal and gives the claim back.

        Raises `StoreError` when the journal is lost, `FencedError` when another worker has the run.
        """
        run_id = session.state.run_id
        if run_id in self._walks:
            raise RunStateError(f"Run {run_id} is driven already.", "One run has one writer.", "Wait for that drive.")
        walk = self._walks[run_id] = Walk(session)
        if self._watcher is None:
            watching = watch(
                self._journal,
                self._clock,
                renew=self._renew,
                receive=self._receive,
                failed=self._fail,
                poll=self._poll,
            )
            self._watcher = asyncio.create_task(watching)
        if self._stopping:
            walk.stop()
        try:
            await walk.run()
        finally:
            del self._walks[run_id]
            if not self._walks:
                self._watcher.cancel()
                self._watcher = None
            await self._journal.release(session.claim)
        return session.state

    @property
    def stopping(self) -> bool:
        """Whether it was asked to start nothing more."""
        return self._stopping

    def stop(self) -> None:
        """Starts nothing more anywhere; each `drive` returns when its tasks have ended, or after `DRAIN` seconds."""
        self._stopping = True
        for walk in self._walks.values():
            walk.stop()

    def _fail(self, error: Exception) -> None:
        """What the journal does not answer ends every walk, and each raises it."""
        for walk in self._walks.values():
            walk.fail(error)

    async def _receive(self) -> None:
        for run_id in await self._journal.signalled():
            walk = self._walks.get(run_id)
            if walk is not None:
                await walk.attempt_receive()

    async def _renew(self) -> None:
        for walk in list(self._walks.values()):
            if not await self._journal.renew(walk.session.claim, lease=LEASE):
                walk.fail(
                    FencedError(
                        f"Run {walk.session.state.run_id} was taken over by another worker.",
                        "This one held it past its lease.",
                        "Nothing is lost: the other worker goes on with it.",
                    )
                )


class Walk:
    """One drive of one session: a bounded number of chains, each going on with what its task set free."""

    def __init__(self, session: RunSession) -> None:
        self.session = session
        self._limit = max(1, session.state.begun.parallelism)
        self._queue: deque[str] = deque()
        self._queued: set[str] = set()
        self._active = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._idle = asyncio.Event()
        self._stopping = False
        self._drained = False
        self._open = False
        self._receiving = 0
        self._context = copy_context()

    @property
    def _busy(self) -> bool:
        over = self._failure is not None or self.session.ended or self._drained
        return not over and (self._active > 0 or self._receiving > 0)

    async def run(self) -> None:
        try:
            if not self.session.untouched:
                self._launch(await self.session.receive(self._admit))
            self._launch(await self.session.start(self.session.startable(), self._admit))
            self._open = True
            self._check_idle()
            await self._idle.wait()
            while self._busy:
                self._idle.clear()
                await self._idle.wait()
        finally:
            self._open = False
            await self._cancel_tasks()
        if self._failure is not None:
            raise self._failure
        if not self._stopping:
            await self.session.conclude()

    async def attempt_receive(self) -> None:
        """Takes the signals that wait for this run; what goes wrong ends this walk alone."""
        if not self._open:
            return
        self._receiving += 1
        try:
            self._launch(await self.session.receive(self._admit))
        except Exception as error:  # noqa: BLE001 - kept, and raised by run()
            self.fail(error)
        finally:
            self._receiving -= 1
            self._check_idle()

    def stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            asyncio.get_running_loop().call_later(DRAIN, self._give_up)
            self._check_idle()

    def _give_up(self) -> None:
        self._drained = True
        self._idle.set()

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._idle.set()

    def _admit(self, freed: Sequence[str]) -> list[str]:
        """Queues what is free and takes from the queue what there is room for."""
        for phase_id in freed:
            if phase_id not in self._queued:
                self._queued.add(phase_id)
                self._queue.append(phase_id)
        chosen: list[str] = []
        left = self.session.state.tasks_left
        while self._queue and self._active < self._limit and not self._stopping and len(chosen) != left:
            phase_id = self._queue.popleft()
            self._queued.discard(phase_id)
            if self.session.may_start(phase_id):
                self._active += 1
                chosen.append(phase_id)
        return chosen

    def _launch(self, phases: Sequence[str]) -> None:
        for phase_id in phases:
            # What the watcher sets going belongs to this run too, not to the one that the watcher began with.
            task = asyncio.create_task(self._chain(phase_id), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _chain(self, phase_id: str) -> None:
        """A chain's next link goes on in this coroutine; only what else was set free is spawned."""
        try:
            while True:
                slot = _Slot(self)
                started = await self.session.run_task(phase_id, slot.admit)
                slot.give_back()
                if not started:
                    break
                phase_id, others = started[0], started[1:]
                self._launch(others)
        except Exception as error:  # noqa: BLE001 - kept, and raised by run()
            self.fail(error)
        except BaseException as error:
            if self._open:  # not this walk's own cancelling of its tasks
                what = f"A task of run {self.session.state.run_id} was ended from outside its walk."
                self.fail(OrchestratorError(what, f"It met {type(error).__name__}.", "Resume the run."))
            raise
        self._check_idle()

    def give_back(self) -> None:
        self._active -= 1

    def admit(self, freed: Sequence[str]) -> list[str]:
        return self._admit(freed)

    def _check_idle(self) -> None:
        if not self._busy:
            self._idle.set()

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)


class _Slot:
    """A task's place among those under way: free again once its end is decided, and once only."""

    __slots__ = ("_held", "_walk")

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._walk.give_back()

    def admit(self, freed: Sequence[str]) -> list[str]:
        self.give_back()
        return self._walk.admit(freed)
