"""Taking an operation's run to where it ends, for somebody who waits: one at a time here, and set aside on leaving.

Who asks, and what is answered, is `orchestrator.py`; a run that nobody waits for is a server's keeper's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Any, TypeVar

from orchestrator_v2.core.errors import OrchestratorError, RunStateError
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.operations.ports import Runs

_T = TypeVar("_T")


class Walker:
    """`turn` lets one caller of this process have a run at a time; the others find it ended when theirs comes."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._endings: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def turn(self, run_id: str) -> AsyncIterator[None]:
        lock, waiting = self._turns.get(run_id, (asyncio.Lock(), 0))
        self._turns[run_id] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(run_id)
            if waiting > 1:
                self._turns[run_id] = (lock, waiting - 1)

    async def opened(self, opening: Coroutine[Any, Any, RunSession]) -> RunSession:
        """The session that is being opened; who is cancelled meanwhile leaves no run behind that goes on unasked."""
        task = asyncio.ensure_future(opening)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._to_its_end(self._given_up(task))
            raise

    async def driven(self, session: RunSession) -> ProjectState:
        """Where the run ends or stands still; cancelled, it is paused and keeps what was answered."""
        task = asyncio.ensure_future(self._runs.drive(session))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._to_its_end(self._broken_off(session.state.run_id, task))
            raise

    async def close(self) -> None:
        """Waits for what is being set aside."""
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def _to_its_end(self, work: Coroutine[Any, Any, _T]) -> None:
        """Done whole, also when the caller is cancelled once more."""
        task = asyncio.ensure_future(work)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        await asyncio.shield(task)

    async def _given_up(self, opening: Awaitable[RunSession]) -> None:
        try:
            session = await opening
        except OrchestratorError:
            return  # nothing was opened, so there is nothing to give up
        await self._paused(session.state.run_id)
        await self._runs.put_by(session)
        await self._runs.take_signals(session.state.run_id)

    async def _broken_off(self, run_id: str, drive: asyncio.Task[ProjectState]) -> None:
        # The wish first: whoever takes the run up between these two finds it, and begins nothing.
        await self._paused(run_id)
        drive.cancel()
        await asyncio.gather(drive, return_exceptions=True)
        await self._runs.take_signals(run_id)

    async def _paused(self, run_id: str) -> None:
        with contextlib.suppress(RunStateError):  # it has come to its end meanwhile
            await self._runs.wish(run_id, "pause", by="its caller, who waits no longer")
