"""A worker's life: it polls for runs while it has room, keeps their claims alive, listens for signals, and drains.

What it is asked is `temporal_holding.py`; what it does unasked, beside this, `temporal_tending.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.durable.temporal_client import Temporal
from orchestrator_v2.durable.temporal_held import HeldRun
from orchestrator_v2.durable.temporal_holding import BEAT, Abandon, Holding
from orchestrator_v2.durable.temporal_tending import Tending
from orchestrator_v2.durable.watching import DRAIN, watch
from orchestrator_v2.engine.engine import LEASE, WorkflowEngine

_log = logging.getLogger(__name__)
# How long a run is kept that nobody asks for (seconds): its workflow is gone.
IDLE = 60.0
# How long a worker that has drained still answers that it is leaving (seconds).
LINGER = 1.0
# How long a workflow's next decision waits for the worker that made the last one, before any may make it.
STICKY = timedelta(seconds=2)
# Tasks of all runs at once on one worker; each run's own bound is its parallelism.
TASKS = 1_000


class TemporalWorker:
    """`at_once` is how many runs are held at the same time."""

    def __init__(
        self, temporal: Temporal, engine: WorkflowEngine, clock: Clock, abandon: Abandon, *, at_once: int
    ) -> None:
        self._temporal = temporal
        self._journal = engine.journal
        self._clock = clock
        self._at_once = at_once
        # A name that no other worker has, nor this one after a restart: its queue's tasks are nobody else's.
        self._queue = f"{temporal.task_queue}.{uuid4().hex}"
        self._holding = Holding(engine, clock, abandon, queue=self._queue)
        self._tending = Tending(temporal, engine, clock, lambda run_id: run_id in self._holding.runs)

    @property
    def active(self) -> int:
        return len(self._holding.runs)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Works until `stop` is set, then lets the tasks under way end (at most `DRAIN` seconds).

        `ready` is called once it asks for work.

        Raises `DriverUnavailableError` or `ConfigError` where Temporal is not as the settings say, before anything is
        taken.
        """
        await self._temporal.check()
        shared, own = self._workers(await self._temporal.client())
        async with own:
            async with shared, _beside(self._watch(), self._tending.run()):
                ready()
                await stop.wait()
                self._holding.leaving = True
                for run in self._holding.runs.values():
                    run.leaving = True
            # No run is taken any more. Claims are short of no renewal: the lease is as long as the drain.
            async with _beside(self._watch()):
                await self._holding.leave(DRAIN)
                await asyncio.sleep(LINGER)

    def _workers(self, client: Any) -> tuple[Any, Any]:
        from temporalio.worker import Worker
        from temporalio.workflow import NondeterminismError

        from orchestrator_v2.durable.temporal_slots import tuner
        from orchestrator_v2.durable.temporal_workflow import RunWorkflow

        shared = Worker(
            client,
            task_queue=self._temporal.task_queue,
            workflows=[RunWorkflow],
            activities=[self._holding.take],
            sticky_queue_schedule_to_start_timeout=STICKY,
            tuner=tuner(lambda: len(self._holding.runs), self._at_once),
            # A history that this release cannot follow ends its workflow; the journal has the run, and begins another.
            workflow_failure_exception_types=[NondeterminismError],
        )
        tasks: list[Callable[..., Any]] = [self._holding.ready, self._holding.run_task, self._holding.conclude]
        own = Worker(
            client,
            task_queue=self._queue,
            activities=tasks,
            max_concurrent_activities=TASKS,
            max_heartbeat_throttle_interval=timedelta(seconds=BEAT),
        )
        return shared, own

    async def _watch(self) -> None:
        """Renews claims, takes signals, and lets go of runs that nobody asks for."""
        await watch(self._journal, self._clock, renew=self._renew, receive=self._receive, failed=_failed)

    async def _renew(self) -> None:
        for run in list(self._holding.runs.values()):
            unasked = run.calls == 0 and self._clock.monotonic() - run.used_at > IDLE
            if unasked or not await self._journal.renew(run.session.claim, lease=LEASE):
                _log.warning(
                    "run %s is let go: %s", run.run_id, "nobody asks for it" if unasked else "it was taken over"
                )
                await self._holding.let_go(run)

    async def _receive(self) -> None:
        for run_id in await self._journal.signalled():
            run = self._holding.runs.get(run_id)
            if run is not None:
                await self._received(run)

    async def _received(self, run: HeldRun) -> None:
        try:
            changed = await run.receive()
        except OrchestratorError as error:
            _log.warning("run %s was let go: %s", run.run_id, error)
            await self._holding.let_go(run)
            return
        if changed and not run.session.ended:
            # What it set free is started by the workflow, at once where it hears of it and else after the next task.
            with contextlib.suppress(OrchestratorError):
                await self._temporal.tell(run.run_id, "received", run.session.state.begun.owner_id)


def _failed(error: Exception) -> None:
    """A run whose journal does not answer is kept until its claim is lost."""
    story = None if isinstance(error, OrchestratorError) else error
    _log.warning("the journal cannot be asked: %s", error, exc_info=story)


@contextlib.asynccontextmanager
async def _beside(*work: Any) -> AsyncIterator[None]:
    """Does `work` in the background for as long as the block lasts."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
