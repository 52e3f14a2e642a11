"""Reads beside the writer: a few threads, each with a read-only connection of its own.

What is read is in the files that also write it (`event_log.py`, `runs.py`, `model_calls.py`, `signals.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.persistence.batch import Session
from orchestrator_v2.persistence.group_commit import Backend

T = TypeVar("T")

# One reader more than the longest read needs, so that a short one never waits behind it.
THREADS = 2


class Readers:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="journal-reader")
        self._mine = threading.local()
        self._opened: list[Session] = []
        self._closed = False
        self._closing = threading.Event()
        # How the server was lost, until it is back: those who ask meanwhile would wait one behind the other.
        self._lost: Exception | None = None
        self._looking = threading.Lock()

    async def read(self, query: Callable[[Session], T]) -> T:
        """The query's answer, read on another thread than the loop's; a lost connection is replaced."""
        if self._closed:
            raise StoreUnavailableError("The journal is closed.", "Something was read after close().", "Open it anew.")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, query)

    async def close(self) -> None:
        self._closed = True
        self._closing.set()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        while self._opened:
            self._opened.pop().close()

    def _read(self, query: Callable[[Session], T]) -> T:
        """Waits for a lost server as long as a write does; once that was in vain, nobody waits until it is back."""
        lost = self._lost
        if lost is None:
            return self._patiently(query, self._backend.pauses[1:])
        # One at a time looks whether it is back: a server that says nothing keeps whoever asks it for seconds.
        if self._closing.is_set() or not self._looking.acquire(blocking=False):
            raise self._backend.failure(lost) from lost
        try:
            return self._patiently(query, self._backend.pauses[:1])
        finally:
            self._looking.release()

    def _patiently(self, query: Callable[[Session], T], pauses: Sequence[float]) -> T:
        """Tries once more after each pause; a close waits for the attempt that is under way, and for no other."""
        waits = iter(pauses)
        while True:
            try:
                return self._answer(query)
            except Exception as error:
                is_lost, pause = self._backend.lost(error), next(waits, None)
                if is_lost and pause is not None and not self._closing.wait(pause):
                    continue
                self._lost = error if is_lost else None
                raise self._backend.failure(error) from error

    def _answer(self, query: Callable[[Session], T]) -> T:
        try:
            found = query(self._session())
        except Exception as error:
            if self._backend.lost(error):
                self._forget()
            raise
        self._lost = None
        return found

    def _session(self) -> Session:
        session: Session | None = getattr(self._mine, "session", None)
        if session is None:
            session = self._mine.session = self._backend.reader()
            self._opened.append(session)
        return session

    def _forget(self) -> None:
        session: Session | None = getattr(self._mine, "session", None)
        if session is not None:
            self._mine.session = None
            self._opened.remove(session)
            session.close()
