"""One walk through one run: the state in memory, the appends that make it durable, the tasks in between.

A session is the only writer of its run while its claim holds. How many tasks go on at once is the driver's
(`durable/embedded.py`); what an outcome leads to is `decisions.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import InvalidOutputError, OrchestratorError, StoreError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.records import content_hash
from orchestrator_v2.engine import decisions, signals
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Claim, Journal, RunChange, RunContext, TaskRunner
from orchestrator_v2.engine.scheduler import Frontier, ready
from orchestrator_v2.engine.state_models import (
    SETTLED,
    TERMINAL,
    PhaseStatus,
    ProjectState,
    TaskDefinition,
    TaskOutcome,
)
from orchestrator_v2.engine.transitions import apply

Subscriber = Callable[[str, Sequence[e.Recorded]], None]
Admit = Callable[[Sequence[str]], Sequence[str]]
Stop = e.RunParked | e.RunFailed
_log = logging.getLogger(__name__)

_ROW_CHANGES = (e.RunParked, e.RunResumed, e.RunCompleted, e.RunFailed, e.RunCancelled, e.RunRolledBack)

_SETTLING = (e.TaskCompleted, e.PhaseSkipped, e.ReviewDecided)


def admit_none(freed: Sequence[str]) -> Sequence[str]:
    """For drivers that start each task by a call of its own."""
    return ()


class RunSession:
    """`state` is the fold of all events so far; a session whose journal failed must be thrown away.

    Events are applied at once and become durable in the order in which they were applied, so whatever was
    decided on a state is never durable before that state is. `graph` is the checked graph of the run's workflow,
    made anew where nobody has it; `created` tells that the run was recorded a moment ago by whoever opens this.
    """

    def __init__(
        self,
        state: ProjectState,
        claim: Claim,
        journal: Journal,
        runner: TaskRunner,
        clock: Clock,
        *,
        graph: PhaseGraph | None = None,
        created: bool = False,
        subscriber: Subscriber | None = None,
        probe: Probe = no_probe,
    ) -> None:
        self.state = state
        self.graph = graph or PhaseGraph(state.begun.workflow)
        self.claim = claim
        self.stop: Stop | None = None
        self._waits: dict[str, e.RunParked] = {}
        self._journal = journal
        self._runner = runner
        self._clock = clock
        self._subscriber = subscriber
        self._probe = probe
        self._frontier = Frontier(self.graph, state)
        self._pending: list[e.Recorded] = []
        self._change: RunChange | None = None
        self._lost: Exception | None = None
        self._landing: asyncio.Future[None] | None = None
        self._taken_at_end: set[int] = set()
        self._created_at = state.seq if created else 0

    @property
    def untouched(self) -> bool:
        """Recorded a moment ago and nothing done since: nobody can have sent it a signal yet."""
        return self.state.seq == self._created_at

    @property
    def ended(self) -> bool:
        return self.state.status in TERMINAL

    def _place(self, phase_id: str) -> tuple[PhaseStatus, int, int]:
        entry = self.state.phase(phase_id)
        return entry.status, entry.round, entry.attempt

    def may_start(self, phase_id: str) -> bool:
        """Whether it is pending and all that it needs is settled, now."""
        return self.state.phase(phase_id).status is PhaseStatus.PENDING and all(
            self.state.phase(need).status in SETTLED for need in self.graph.phases[phase_id].needs
        )

    def startable(self) -> list[str]:
        """Phases that may start, read off the whole state."""
        return ready(self.graph, self.state)

    async def start(self, freed: Sequence[str], admit: Admit) -> list[str]:
        """Records the start of those of `freed` that `admit` picks; those that `when` leaves out are settled."""
        chosen = self._go_on(freed, admit)
        await self._flush()
        return chosen

    async def run_task(self, phase_id: str, admit: Admit = admit_none) -> list[str]:
        """Does a started phase, records how it ended, and returns the phases started in the same transaction.

        Raises `StoreError` when the journal is lost to this session; all other errors are recorded.
        """
        entry = self.state.phase(phase_id)
        if entry.status is not PhaseStatus.RUNNING:
            return await self.start((), admit)  # reopened while its start was on its way to the disk
        task = TaskDefinition(
            self.state.run_id, self.graph.phases[phase_id], entry.round, entry.attempt, entry.feedback
        )
        outcome = await self._attempt(task)
        if self.ended:
            return []
        if self._place(phase_id) != (PhaseStatus.RUNNING, task.round, task.attempt):
            # Reopened meanwhile: what came back belongs to a round that is over.
            return await self.start((), admit)
        blobs: dict[str, bytes] | None = None
        decision = self._decided(task, outcome)
        if isinstance(outcome, TaskOutcome):
            blobs = {content_hash(file.content): file.content for file in outcome.files} or None
        self._probe("parsed-before-commit")
        chosen = self._go_on(self._decide(decision), admit)
        await self._flush(blobs)
        return chosen

    def _decided(self, task: TaskDefinition, outcome: TaskOutcome | OrchestratorError) -> decisions.Decision:
        """What the outcome leads to; one that no journal can hold fails its own task, not the journal."""
        if isinstance(outcome, OrchestratorError):
            decision = decisions.failed(task, outcome, self._clock.now())
        else:
            decision = decisions.completed(self.graph, self.state, task, outcome)
        try:
            for event in decision.events:
                e.encode_event(event)
        except UnicodeEncodeError as error:
            return decisions.failed(task, _no_text(error), self._clock.now())
        return decision

    async def _attempt(self, task: TaskDefinition) -> TaskOutcome | OrchestratorError:
        """What the runner brings back, or the error that ends the task. Raises when the journal is lost."""
        me = asyncio.current_task()
        try:
            return await self._runner(task, RunContext(self.state, self.graph, self._read, self.claim))
        except OrchestratorError as error:
            if isinstance(error, StoreError) and error.parks_as is None:
                raise
            return error
        except (Exception, asyncio.CancelledError, GeneratorExit) as error:
            if _from_outside(error, me):
                raise
            _log.exception("task %s of run %s", task.key, task.run_id)
            return _fault_of_ours(error)

    async def _read(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Contents by hash. A task may see a file of one beside it that is still on its way to the disk."""
        while self._landing is not None and not self._landing.done():
            await asyncio.wait((self._landing,))
        if self._lost is not None:
            raise self._lost
        return await self._journal.blobs(hashes)

    async def receive(self, admit: Admit) -> list[str]:
        """Takes the signals that others sent to this run; returns the phases they set free and `admit` picked."""
        chosen: list[str] = []
        for signal in await self._journal.signals(self.state.run_id):
            decision = signals.decision_of(self.graph, self.state, signal)
            if signal.kind == "cancel":
                self._probe("cancel")
            chosen += self._go_on(self._decide(decision), admit)
            if decision.stop is not None:
                # Taken together with the event that it leads to: a crash before that must not forget it.
                self._taken_at_end.add(signal.id)
            else:
                await self._flush(consumed=(signal.id,))
        return chosen

    async def conclude(self) -> None:
        """Records why the walk stands still, when no task is under way any more."""
        if not self.ended:
            held_back = self.state.tasks_left == 0 and self.startable()
            stop = self.stop or (decisions.HELD_BACK if held_back else None)
            self._put((stop or self._patience() or decisions.standstill(self.state),))
            await self._flush(consumed=tuple(sorted(self._taken_at_end)))

    def _patience(self) -> e.RunParked | None:
        """The wait that ends first, of those phases that are not gone on with since."""
        waits = [it for name, it in self._waits.items() if self.state.phase(name).status is PhaseStatus.PENDING]
        return min(waits, key=lambda it: it.resume_at or 0.0, default=None)

    async def record(self, *events: e.Event, blobs: Mapping[str, bytes] | None = None) -> None:
        """Records events that were decided elsewhere (resume, rollback)."""
        self._put(events)
        self._frontier = Frontier(self.graph, self.state)
        await self._flush(blobs)

    def _decide(self, decision: decisions.Decision) -> list[str]:
        """Applies a decision; gives the phases that it sets free."""
        if decision.patient and isinstance(decision.stop, e.RunParked):
            self._waits |= {it.phase: decision.stop for it in decision.events if isinstance(it, e.TaskFailed)}
        else:
            self.stop = self.stop or decision.stop
        freed: list[str] = []
        for event in decision.events:
            self._put((event,))
            if isinstance(event, e.PhaseReopened):
                self._frontier = Frontier(self.graph, self.state)
                return self.startable()
            if isinstance(event, _SETTLING) and self.state.phase(event.phase).status in SETTLED:
                freed += self._frontier.settle(event.phase)
        return freed

    def _go_on(self, freed: Iterable[str], admit: Admit) -> list[str]:
        """Applies skips, the end of the run, and the starts that `admit` picks among what is free."""
        queue, free = deque(freed), []
        while queue:
            phase_id = queue.popleft()
            entry = self.state.phase(phase_id)
            if entry.status is not PhaseStatus.PENDING:
                continue  # left out before a reopening, and so still
            skip = decisions.skipped(self.graph, self.state, phase_id)
            if skip is not None:
                self._put((skip,))
                queue.extend(self._frontier.settle(phase_id))
            elif entry.lost >= decisions.MAX_LOST:
                self.stop = self.stop or decisions.worn_out(phase_id).stop
            else:
                free.append(phase_id)
        if self.state.settled == len(self.graph.phases) and not self.ended:
            self._put((decisions.run_completed(self.graph, self.state),))
        if self.stop is not None or self.ended:
            return []
        chosen = list(admit(free))
        self._put(self._started(phase_id) for phase_id in chosen)
        return chosen

    def _started(self, phase_id: str) -> e.TaskStarted:
        entry = self.state.phase(phase_id)
        return e.TaskStarted(phase_id, self.graph.phases[phase_id].agent, entry.round, entry.attempt + 1)

    def _put(self, events: Iterable[e.Event]) -> None:
        at = self._clock.now()
        for event in events:
            entry = e.Recorded(self.state.seq + 1, at, event)
            self.state = apply(self.state, entry)
            self._pending.append(entry)
            if isinstance(event, _ROW_CHANGES):
                self._change = RunChange(self.state.status.value, self.state.stopped, self.state.resume_at)

    async def _flush(self, blobs: Mapping[str, bytes] | None = None, consumed: Sequence[int] = ()) -> None:
        """Makes what was put durable, in one transaction; nothing is awaited between a put and its flush."""
        recorded, change = self._pending, self._change
        self._pending, self._change = [], None
        if not recorded and not blobs and not consumed:
            return
        if self._lost is not None:
            raise self._lost
        landing = None
        if blobs:
            # Appends are durable in the order of their calls, so the last with contents stands for all before it.
            landing = self._landing = asyncio.get_running_loop().create_future()
        try:
            await self._journal.append(self.claim, recorded, blobs=blobs, change=change, consumed=consumed)
        except Exception as error:
            self._lost = error
            raise
        finally:
            if landing is not None:
                landing.set_result(None)
        if self._subscriber is not None:
            self._subscriber(self.state.run_id, recorded)


def _from_outside(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    """Whether the task was cancelled, or its coroutine closed with the loop; else the runner raised it."""
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit) and asyncio.current_task() is not task


def _no_text(error: UnicodeEncodeError) -> OrchestratorError:
    return InvalidOutputError(
        "The task's result cannot be written down.",
        f"It holds a character that is no text: U+{ord(error.object[error.start]):04X}.",
        "`orchestrator resume` tries the phase again.",
    )


def _fault_of_ours(error: BaseException) -> OrchestratorError:
    return OrchestratorError(
        "The engine met a fault of its own.",
        f"{type(error).__name__} in the task; the log has the whole story.",
        "Please report it; `orchestrator resume` tries the phase again.",
    )
