"""The one writer thread: what is queued goes into one transaction, and all of it is acknowledged after the commit.

Which database it is stands behind `Backend`: `sqlite_writer.py` and `postgres_writer.py`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.persistence.batch import Outcome, Session, Unit

# A bound on how long one transaction keeps other processes waiting.
LARGEST_BATCH = 1000


class Backend(Protocol):
    """A database. `open`, `transact` and `close` are called in the writer thread only."""

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


class _Ticket(NamedTuple):
    unit: Unit
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class GroupCommit:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._queue: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="journal-writer", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Opens the database in the writer thread; raises what that raises."""
        self._thread.start()
        await self._opened

    def submit(self, unit: Unit) -> asyncio.Future[Any]:
        """Queues a unit; the future is done after its commit. Giving up the wait does not take the unit back."""
        if self._closed:
            raise StoreUnavailableError(
                "The journal is closed.", "Something was written after close().", "Open it anew."
            )
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.put(_Ticket(unit, loop, future))
        return future

    async def close(self) -> None:
        """Commits what is queued, then ends the thread; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _serve(self) -> None:
        try:
            self._backend.open()
        except Exception as error:  # noqa: BLE001 - handed to the one who opens
            _post(self._loop, [(self._opened, None, self._backend.failure(error))])
            return
        _post(self._loop, [(self._opened, None, None)])
        while batch := self._next_batch():
            self._commit(batch)
        self._backend.close()

    def _next_batch(self) -> list[_Ticket]:
        first = self._queue.get()
        batch = [first]
        while first is not None and len(batch) < LARGEST_BATCH and not self._queue.empty():
            batch.append(self._queue.get())
        if None in batch and len(batch) > 1:
            self._queue.put(None)
        return [ticket for ticket in batch if ticket is not None]

    def _commit(self, batch: list[_Ticket]) -> None:
        try:
            outcomes = self._backend.transact([ticket.unit for ticket in batch])
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this batch
            failure = self._backend.failure(error)
            outcomes = [(None, failure)] * len(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
        for ticket, (value, problem) in zip(batch, outcomes, strict=True):
            by_loop.setdefault(ticket.loop, []).append((ticket.future, value, problem))
        for loop, settled in by_loop.items():
            _post(loop, settled)


_Settled = tuple["asyncio.Future[Any]", Any, Exception | None]


def _post(loop: asyncio.AbstractEventLoop, settled: list[_Settled]) -> None:
    try:
        loop.call_soon_threadsafe(_settle, settled)
    except RuntimeError:
        # The loop was closed while its callers waited: there is nobody left to tell.
        return


def _settle(settled: list[_Settled]) -> None:
    for future, value, problem in settled:
        if future.done():
            continue
        if problem is None:
            future.set_result(value)
        else:
            future.set_exception(problem)
