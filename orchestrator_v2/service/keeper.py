"""Keeps runs going in the background: drives what was started, takes up what was left, at most so many at once.

How one run is walked is the driver's; what may be asked of a run is `runs.py`. The journal is the queue: a run that
waits for its turn is marked as running and held by nobody, so it outlives this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import FencedError, OrchestratorError
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.orchestrator import Orchestrator

_log = logging.getLogger(__name__)
# How often the journal is asked for runs that could go on (seconds).
TEND = 1.0


class Keeper:
    """`at_once` is how many runs are driven at the same time; `active` says how many are."""

    def __init__(self, orchestrator: Orchestrator, *, at_once: int) -> None:
        self._orchestrator = orchestrator
        self._at_once = at_once
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    @property
    def active(self) -> int:
        return len(self._busy)

    def start(self) -> None:
        """From here on, runs that were left by a dead process or whose wait is over go on by themselves."""
        self._tending = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Starts nothing more; what is under way may end, for as long as the driver lets it (30 s)."""
        self._stopping.set()
        self._orchestrator.stop()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def take(self, session: RunSession) -> None:
        """Drives a run that was opened, now or when its turn comes."""
        run_id = session.state.run_id
        if self._stopping.is_set() or run_id in self._busy or len(self._busy) >= self._at_once:
            await self._orchestrator.put_by(session)
            return
        self._spawn(run_id, partial(self._orchestrator.drive, session))

    def attend(self, run_id: str) -> None:
        """Has a signal taken that was sent to a run: by whoever drives it, or here."""
        if run_id not in self._busy and not self._stopping.is_set() and len(self._busy) < self._at_once:
            self._spawn(run_id, partial(self._orchestrator.attend, run_id))

    def _spawn(self, run_id: str, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.create_task(self._quietly(run_id, work))
        self._busy[run_id] = task
        task.add_done_callback(lambda _: self._busy.pop(run_id, None))

    async def _quietly(self, run_id: str, work: Callable[[], Awaitable[object]]) -> None:
        """What goes wrong with one run is logged and leaves it to be taken up again; other runs go on."""
        CORRELATION.set(run_id)
        try:
            await work()
        except FencedError:
            _log.info("run %s is driven by another process", run_id)
        except OrchestratorError as error:
            _log.warning("run %s was let go: %s", run_id, error)
        except Exception:  # noqa: BLE001 - logged with its story; a fault of one run must not end the others
            _log.exception("run %s was let go", run_id)

    async def _take_up(self, run_id: str) -> None:
        session = await self._orchestrator.take_up(run_id)
        if session is not None:
            await self._orchestrator.drive(session)

    async def _tend(self) -> None:
        while True:
            try:
                await self._look_round()
            except OrchestratorError as error:
                # The database may be away for a while; runs wait in it, and nothing is lost.
                _log.warning("runs cannot be looked for: %s", error)
            await asyncio.sleep(TEND)

    async def _look_round(self) -> None:
        if len(self._busy) >= self._at_once:
            return
        for run_id in await self._orchestrator.signalled():
            self.attend(run_id)
        for run_id in await self._orchestrator.unattended(self._at_once):
            if run_id not in self._busy and len(self._busy) < self._at_once:
                self._spawn(run_id, partial(self._take_up, run_id))
