"""The runs that this worker holds, and the four things that a workflow asks of it, as Temporal activities.

No activity raises: what goes wrong is logged here and told as a code, so that no words of an error reach Temporal's
history. One run's walk is `temporal_held.py`; how a worker lives and ends is `temporal_worker.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from temporalio import activity

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import FencedError, OrchestratorError
from orchestrator_v2.durable import temporal_messages as m
from orchestrator_v2.durable.temporal_held import HeldRun, standing
from orchestrator_v2.durable.temporal_messages import Answer, Start
from orchestrator_v2.engine.engine import WorkflowEngine
from orchestrator_v2.engine.session import RunSession, admit_none
from orchestrator_v2.engine.state_models import PhaseStatus, RunStatus

_log = logging.getLogger(__name__)
# How often Temporal is told that a task goes on (seconds); it suspects a worker that was silent for 10.
BEAT = 2.0
# How often workers of another version are asked before a run is set aside: five minutes.
REFUSALS = 20

Abandon = Callable[[RunSession], Awaitable[None]]


class Holding:
    """`queue` is this worker's own task queue; `abandon` settles calls that nobody will ask for again."""

    def __init__(self, engine: WorkflowEngine, clock: Clock, abandon: Abandon, *, queue: str) -> None:
        self.runs: dict[str, HeldRun] = {}
        self.queue = queue
        self.leaving = False
        self._engine = engine
        self._journal = engine.journal
        self._clock = clock
        self._abandon = abandon
        self._taking: set[str] = set()

    @activity.defn(name=m.TAKE)
    async def take(self, start: Start) -> Answer:
        """Claims the run and opens it here, where there is something to do in it."""
        run_id = start.run_id
        if self.leaving or run_id in self._taking:
            return Answer(m.BUSY)
        self._taking.add(run_id)
        try:
            return await self._told(run_id, self._take(start))
        finally:
            self._taking.discard(run_id)

    @activity.defn(name=m.READY)
    async def ready(self, run_id: str) -> Answer:
        """Takes the signals that wait, and says which phases may start."""
        return await self._with(run_id, HeldRun.ready)

    @activity.defn(name=m.RUN_TASK)
    async def run_task(self, run_id: str, phase_id: str) -> Answer:
        """Does one phase, and says which may start after it."""
        return await self._with(run_id, lambda run: run.run_task(phase_id))

    @activity.defn(name=m.CONCLUDE)
    async def conclude(self, run_id: str) -> Answer:
        """Records why the run stands still, and gives it back; says so where there is something to do after all."""

        async def concluded(run: HeldRun) -> Answer:
            answer = await run.conclude()
            if answer.how in {m.STILL, m.OVER}:
                await self._release(run)
            return answer

        return await self._with(run_id, concluded)

    async def _take(self, start: Start) -> Answer:
        run_id = start.run_id
        if start.version != m.VERSION:
            return await self._refuse(start)
        if run_id not in self.runs:
            row = await self._journal.run(run_id)
            if row is None or row.run_id != run_id:
                _log.warning("there is no run %s in this database; its workflow ends", run_id)
                return Answer(m.OVER, status="unknown")
            session = await self._engine.open(run_id)
            if session is None:
                return Answer(m.BUSY)
            answer = await self._releasing_on_error(session, self._opened(session))
            if answer is not None:
                return answer
        return Answer(m.TAKEN, queue=self.queue, parallelism=max(1, self.runs[run_id].session.state.begun.parallelism))

    async def _opened(self, session: RunSession) -> Answer | None:
        """Goes on with a run that was claimed; where there is nothing to do gives it back, and says how it stands."""
        state = session.state
        signalled = bool(await self._journal.signals(state.run_id))
        waited = state.status is RunStatus.WAITING_PROVIDER and (state.resume_at or 0.0) <= self._clock.now()
        if session.ended or not (state.status is RunStatus.RUNNING or signalled or waited):
            if signalled:
                await session.receive(admit_none)  # too late; they are marked as taken
            await self._journal.release(session.claim)
            return standing(session)
        under_way = any(phase.status is PhaseStatus.RUNNING for phase in state.phases.values())
        if under_way or state.status is not RunStatus.RUNNING:
            await self._engine.recover(session, by="signal" if signalled else "recovery")
        await self._abandon(session)
        self.runs[state.run_id] = HeldRun(session, self._clock.monotonic())
        return None

    async def _refuse(self, start: Start) -> Answer:
        """Leaves a run to a worker of its own release; when none has come for long, says so in the run."""
        what = f"The run was begun by version {start.version} of the workflow; this worker speaks version {m.VERSION}."
        _log.warning("run %s is refused: %s", start.run_id, what)
        session = await self._engine.open(start.run_id) if start.refused >= REFUSALS else None
        if session is None:
            return Answer(m.REFUSED)
        parked = e.RunParked(
            "needs_attention",
            what,
            "No worker of that version has come for it.",
            "Start one of that release; or `orchestrator resume RUN` begins a new workflow over what is done.",
        )
        await self._releasing_on_error(session, self._park(session, parked))
        return Answer(m.OVER, status=session.state.status.value)

    async def _park(self, session: RunSession, parked: e.RunParked) -> None:
        if session.state.status is RunStatus.RUNNING:
            await self._engine.recover(session)
            await session.record(parked)
        await self._journal.release(session.claim)

    async def _releasing_on_error(self, session: RunSession, work: Awaitable[Answer | None]) -> Answer | None:
        try:
            return await work
        except BaseException:
            with contextlib.suppress(OrchestratorError):
                await self._journal.release(session.claim)
            raise

    async def _with(self, run_id: str, work: Callable[[HeldRun], Awaitable[Answer]]) -> Answer:
        """What `work` says of a run that is held here, with a heartbeat as long as it takes."""
        run = self.runs.get(run_id)
        if run is None:
            return Answer(m.LEAVING if self.leaving else m.LOST, why="not_held")
        beat = asyncio.create_task(_beat())
        run.calls += 1
        try:
            answer = await self._told(run_id, work(run), run)
        except asyncio.CancelledError:
            # Temporal has given this worker up, or the workflow is gone: whoever comes next must find the run free.
            await self.let_go(run)
            raise
        finally:
            beat.cancel()
            run.calls -= 1
            run.used_at = self._clock.monotonic()
        return answer

    async def _told(self, run_id: str, work: Awaitable[Answer], run: HeldRun | None = None) -> Answer:
        """The answer; for a failure its code, after the run was let go of."""
        CORRELATION.set(run_id)
        try:
            return await work
        except FencedError:
            _log.info("run %s was taken over by another worker", run_id)
            why = FencedError.code
        except OrchestratorError as error:
            _log.warning("run %s was let go: %s", run_id, error)
            why = error.code
        except Exception:  # noqa: BLE001 - logged with its story; the history must not have it
            _log.exception("run %s was let go", run_id)
            why = "fault"
        if run is not None:
            await self.let_go(run)
        return Answer(m.LOST, why=why)

    async def let_go(self, run: HeldRun) -> None:
        """Ends what is under way in the run and gives it back; what was committed stays, the rest is done anew."""
        await run.drop()
        await self._release(run)

    async def _release(self, run: HeldRun) -> None:
        if self.runs.get(run.run_id) is run:
            del self.runs[run.run_id]
            try:
                await self._journal.release(run.session.claim)
            except OrchestratorError as error:
                _log.warning("run %s could not be given back, its lease runs out: %s", run.run_id, error)

    async def leave(self, seconds: float) -> None:
        """Starts nothing more; returns when the tasks under way have ended, at the latest after `seconds`."""
        self.leaving = True
        await asyncio.gather(*(self._left(run, seconds) for run in list(self.runs.values())))

    async def _left(self, run: HeldRun, seconds: float) -> None:
        run.leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await run.settle()
        await self.let_go(run)


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT)
