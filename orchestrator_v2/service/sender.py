"""The keeper of a server that drives no runs itself: it tells the workers, through Temporal, that there is news.

What it says is a hint: the run is in the journal before, and a worker that looks there finds it all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.service.keeper import Keeper

_log = logging.getLogger(__name__)


class Teller(Protocol):
    """What this needs of Temporal."""

    async def check(self) -> None: ...

    async def tell(self, run_id: str, kind: str, owner_id: str) -> None: ...


class Sender(Keeper):
    """Drives nothing: `active` stays 0."""

    def __init__(self, orchestrator: Orchestrator, teller: Teller) -> None:
        super().__init__(orchestrator, at_once=0)
        self._teller = teller
        self._telling: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()

    def start(self) -> None:
        """Runs that were left are found by the workers."""

    async def check(self) -> None:
        await self._teller.check()

    async def stop(self) -> None:
        """Returns when what is being told has been told."""
        self._orchestrator.stop()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def take(self, session: RunSession) -> None:
        await self._orchestrator.put_by(session)
        self._begin(session.state.run_id, self._tell(session.state.run_id, "driven"))

    def look(self) -> None:
        """Tells of the runs that wait for a worker and were not told of yet, such as one that answers an operation."""
        self._begin("(all)", self._look())

    async def _look(self) -> None:
        found = dict(await self._orchestrator.unattended())
        news, self._told = found.keys() - self._told, set(found)
        for run_id in news:
            await self._teller.tell(run_id, "driven", found[run_id])

    def attend(self, run_id: str) -> None:
        """A cancel or a pause of a run that no worker holds is taken here: it waits for nobody's turn."""
        self._begin(run_id, self._attend(run_id))

    def _begin(self, run_id: str, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._logged(run_id, work))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _attend(self, run_id: str) -> None:
        await self._orchestrator.take_signals(run_id)
        await self._tell(run_id, "signal")

    async def _tell(self, run_id: str, kind: str) -> None:
        await self._teller.tell(run_id, kind, (await self._orchestrator.row(run_id)).owner_id)

    async def _logged(self, run_id: str, work: Awaitable[None]) -> None:
        try:
            await work
        except OrchestratorError as error:
            _log.warning("run %s was not told of, a worker will find it: %s", run_id, error)
        except Exception:  # noqa: BLE001 - logged with its story; a worker finds the run in the journal
            _log.exception("run %s was not told of, a worker will find it", run_id)
