"""The Temporal driver: hands a run to the workers and follows it in the journal until it ends or stands still.

The workers are `temporal_worker.py`; without one a run waits, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging

from orchestrator_v2.durable.temporal_client import Temporal
from orchestrator_v2.engine.ports import Journal
from orchestrator_v2.engine.session import RunSession, Subscriber
from orchestrator_v2.engine.state_models import ProjectState, RunStatus
from orchestrator_v2.engine.transitions import apply

_log = logging.getLogger(__name__)
# How often the journal is asked for news (seconds).
POLL = 0.1
# How long nothing may happen before one says that there may be no worker (seconds).
SILENCE = 15.0


class TemporalDriver:
    """`subscriber` is told what the workers have committed, as whoever drives here would be."""

    # Whether others take up what nobody drives.
    tended = True

    def __init__(self, temporal: Temporal, journal: Journal, *, subscriber: Subscriber | None = None) -> None:
        self.temporal = temporal
        self._journal = journal
        self._subscriber = subscriber
        self._stopped = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to follow nothing more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Each `drive` returns at once; the runs go on with their workers."""
        self._stopped.set()

    async def drive(self, session: RunSession) -> ProjectState:
        """Gives the claim back, tells Temporal, and follows the run until it has ended or stands still.

        Raises `StoreError` classes, and `DriverUnavailableError` where Temporal does not answer: the run is recorded,
        and a worker finds it once it does.
        """
        await self._journal.release(session.claim)
        state = session.state
        await self.temporal.tell(state.run_id, "driven", state.begun.owner_id)
        seen, silent = -1, 0.0
        while state.status is RunStatus.RUNNING and not self.stopping:
            count = await self._journal.change_count()
            before = state
            if count != seen:
                seen, state = count, await self._caught_up(state)
            silent = 0.0 if state is not before else silent + POLL
            if SILENCE <= silent < SILENCE + POLL:
                where = f"{self.temporal.task_queue} at {self.temporal.address}"
                _log.warning("run %s waits: is there a worker on the task queue %s?", state.run_id, where)
            await asyncio.sleep(POLL if state.status is RunStatus.RUNNING else 0.0)
        return state

    async def _caught_up(self, state: ProjectState) -> ProjectState:
        news = await self._journal.events(state.run_id, state.seq)
        for recorded in news:
            state = apply(state, recorded)
        if news and self._subscriber is not None:
            self._subscriber(state.run_id, news)
        return state
