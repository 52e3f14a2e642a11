"""The one writer thread: what is queued goes into one transaction, and all of it is acknowledged after the commit.

Which database it is stands behind `Backend`: `sqlite_writer.py` and `postgres_writer.py`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.persistence.batch import Outcome, Session, Unit
from orchestrator_v2.persistence.bell import Bell

# A bound on how long one transaction keeps other processes waiting.
LARGEST_BATCH = 1000


class Backend(Protocol):
    """A database. `open`, `transact` and `close` are called in the writer thread only."""

    dialect: str
    pauses: Sequence[float]
    """Seconds before each attempt to reach it, where a connection may be lost."""

    def open(self) -> None: ...

    def transact(self, units: Sequence[Unit]) -> list[Outcome]:
        """Commits the units in one transaction, durably; raises a `StoreError` when none of them was written."""
        ...

    def close(self) -> None: ...

    def reader(self) -> Session:
        """A new read-only connection."""
        ...

    def failure(self, error: Exception) -> Exception:
        """The `StoreError` for what the driver raised; anything else as it is."""
        ...

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone, so that a read may be tried on a new one."""
        ...

    def change_count(self, session: Session) -> int: ...

    def occupy(self) -> None:
        """Keeps other servers out where the database bears one only; raises `StoreInUseError` where there is one."""
        ...


class _Ticket(NamedTuple):
    unit: Unit
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class _Settled(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    problem: Exception | None


class GroupCommit:
    """Belongs to the event loop in which it was made; units may come from others, a little slower."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._queue: deque[_Ticket] = deque()
        self._work = Bell()
        self._settled: deque[_Settled] = deque()
        self._done = Bell()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="journal-writer", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Opens the database in the writer thread; raises what that raises."""
        self._loop.add_reader(self._done.listening, self._acknowledge)
        self._thread.start()
        try:
            await self._opened
        except Exception:
            await self.close()
            raise

    def submit(self, unit: Unit) -> asyncio.Future[Any]:
        """Queues a unit; the future is done after its commit. Giving up the wait does not take the unit back."""
        if self._closed:
            raise StoreUnavailableError(
                "The journal is closed.", "Something was written after close().", "Open it anew."
            )
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.append(_Ticket(unit, loop, future))
        if loop is not self._loop:
            self._work.ring()
        elif len(self._queue) == 1:
            # At the end of the loop's pass, so that all that is ready in it is one group. Behind another unit there
            # is no need: its ring is on the way, or the writer is awake and looks again when it has committed.
            loop.call_soon(self._work.ring)
        return future

    async def close(self) -> None:
        """Commits what is queued, then ends the thread; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._work.ring()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._loop.remove_reader(self._done.listening)
        _settle(self._settled)
        self._work.close()
        self._done.close()

    def _serve(self) -> None:
        try:
            self._backend.open()
        except Exception as error:  # noqa: BLE001 - handed to the one who opens
            self._post(self._loop, [_Settled(self._opened, None, self._backend.failure(error))])
            return
        self._post(self._loop, [_Settled(self._opened, None, None)])
        while self._queue or not self._closed:
            self._work.hear()
            while self._queue:
                self._commit(self._next_batch())
        self._backend.close()

    def _next_batch(self) -> list[_Ticket]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), LARGEST_BATCH))]

    def _commit(self, batch: list[_Ticket]) -> None:
        try:
            outcomes = self._backend.transact([ticket.unit for ticket in batch])
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this batch
            failure = self._backend.failure(error)
            outcomes = [(None, failure)] * len(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
        for ticket, (value, problem) in zip(batch, outcomes, strict=True):
            by_loop.setdefault(ticket.loop, []).append(_Settled(ticket.future, value, problem))
        for loop, settled in by_loop.items():
            self._post(loop, settled)

    def _post(self, loop: asyncio.AbstractEventLoop, settled: list[_Settled]) -> None:
        if loop is self._loop:
            self._settled.extend(settled)
            self._done.ring()
            return
        try:
            loop.call_soon_threadsafe(_settle, deque(settled))
        except RuntimeError:
            # The loop was closed while its callers waited: there is nobody left to tell.
            return

    def _acknowledge(self) -> None:
        self._done.hear()
        _settle(self._settled)


def _settle(settled: deque[_Settled]) -> None:
    while settled:
        future, value, problem = settled.popleft()
        if future.done():
            continue
        if problem is None:
            future.set_result(value)
        else:
            future.set_exception(problem)
