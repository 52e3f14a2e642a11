"""Reads of a database that says nothing: one looks whether it is back, and neither others nor a close wait for it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.persistence.batch import Session
from orchestrator_v2.persistence.readers import Readers

# How long an attempt to connect takes that nobody answers (seconds).
SILENCE = 0.3


class Silent:
    """A backend whose server takes every connection and says nothing, until it is back."""

    dialect = "postgresql"
    pauses = (0.0, *[0.01] * 5)

    def __init__(self) -> None:
        self.attempts = 0
        self.back = False
        self._never = threading.Event()

    def reader(self) -> Session:
        self.attempts += 1
        if self.back:
            return self  # type: ignore[return-value]
        self._never.wait(SILENCE)
        raise ConnectionError("timeout")

    def lost(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)

    def failure(self, error: Exception) -> Exception:
        return StoreUnavailableError("Away.", str(error), "Wait.") if self.lost(error) else error

    def close(self) -> None: ...


async def refused(readers: Readers) -> None:
    with pytest.raises(StoreUnavailableError):
        await readers.read(lambda it: 1)


def test_once_a_server_says_nothing_one_at_a_time_looks_for_it() -> None:
    """Of thirty who ask together few wait for a connection; when it is back, all are answered."""

    async def work() -> None:
        silent = Silent()
        readers = Readers(silent)  # type: ignore[arg-type]
        await refused(readers)
        before, began = silent.attempts, time.monotonic()
        await asyncio.gather(*(refused(readers) for _ in range(30)))
        assert silent.attempts - before <= 4
        assert time.monotonic() - began < 4 * SILENCE + 1.0
        silent.back = True
        assert await readers.read(lambda it: 1) == 1
        assert await asyncio.gather(*(readers.read(lambda it: 2) for _ in range(9))) == [2] * 9
        await readers.close()

    asyncio.run(work())


def test_a_close_waits_for_the_attempt_under_way_only() -> None:
    """Those who wait for the server are told, and nobody tries again for them."""

    async def work() -> int:
        silent = Silent()
        readers = Readers(silent)  # type: ignore[arg-type]
        asking = [asyncio.create_task(refused(readers)) for _ in range(10)]
        await asyncio.sleep(SILENCE / 3)
        await readers.close()
        await asyncio.gather(*asking)
        return silent.attempts

    # Two threads, and one of them may just have begun anew.
    assert asyncio.run(work()) <= 3
