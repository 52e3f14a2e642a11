"""Finds runs whose news never reached Temporal, and tells it again: the journal is the truth, a signal only a hint.

So a lost signal, a server that died between recording a run and telling of it, or a Temporal that lost its own
database, costs seconds and no run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.durable.temporal_client import Temporal
from orchestrator_v2.engine.engine import WorkflowEngine

_log = logging.getLogger(__name__)
# How often the journal is looked through (seconds): what is found twice has not been heard of.
LOOK = 5.0
# How long a run that was told of is left alone (seconds), at first and at most: it may be waiting for a worker.
FIRST, LONGEST = 10.0, 600.0
# How many runs are looked at in one look round.
MOST = 1_000


class Tending:
    """`held` says of a run whether this worker holds it."""

    def __init__(self, temporal: Temporal, engine: WorkflowEngine, clock: Clock, held: Callable[[str], bool]) -> None:
        self._temporal = temporal
        self._engine = engine
        self._clock = clock
        self._held = held
        # When a run is told of next, and how long it is left alone after that.
        self._due: dict[str, tuple[float, float]] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.look_round()
            except OrchestratorError as error:
                _log.warning("runs cannot be looked for: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, runs must not be left lying for good
                _log.exception("runs cannot be looked for")
            await asyncio.sleep(LOOK)

    async def look_round(self) -> None:
        now = self._clock.monotonic()
        found = await self._found()
        self._due = {run_id: self._due.get(run_id, (now + LOOK / 2, FIRST)) for run_id in found}
        for run_id, (at, rest) in list(self._due.items()):
            if at <= now:
                await self._temporal.tell(run_id, "overlooked", found[run_id])
                self._due[run_id] = (now + rest, min(rest * 2, LONGEST))

    async def _found(self) -> dict[str, str]:
        """Run to owner: what could go on and nobody drives, or has a signal that nobody took."""
        journal, now = self._engine.journal, self._clock.now()
        gone = [worker for worker in await journal.holders(now) if self._engine.is_gone(worker)]
        found = dict(await journal.due(now, gone=gone, limit=MOST))
        for run_id in (await journal.signalled())[:MOST]:
            row = None if run_id in found else await journal.run(run_id)
            if row is not None:
                found[run_id] = row.owner_id
        return {run_id: owner for run_id, owner in found.items() if not self._held(run_id)}
