"""How many runs a user may have under way or waiting for their turn, and that two requests do not count at once.

How many are driven at the same time, of all users, is the keeper's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import LimitedError
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.orchestrator import Orchestrator

# How long one waits whose runs have to end first (seconds).
_COME_BACK = 30


class Room:
    """`most` is the number of runs; locks are kept for each user who has ever started one."""

    def __init__(self, orchestrator: Orchestrator, most: int) -> None:
        self._orchestrator = orchestrator
        self._most = most
        self._locks: dict[str, asyncio.Lock] = {}
        self._seats: Counter[str] = Counter()

    def one_at_a_time(self, user: User) -> asyncio.Lock:
        """What is counted before something is started must not be counted by two at once. It is not re-entrant."""
        return self._locks.setdefault(user.user_id, asyncio.Lock())

    async def check(self, user: User) -> None:
        """Raises `LimitedError` when the user has as many runs under way as they may, those of operations included."""
        found = 0
        for operations in (False, True):
            rows = await self._orchestrator.rows(
                owner_id=user.user_id, statuses=(RunStatus.RUNNING,), limit=self._most, operations=operations
            )
            found += len(rows)
        if found >= self._most:
            raise self._full()

    @contextmanager
    def seat(self, user: User) -> Iterator[None]:
        """Held by who waits for an operation's answer. Raises `LimitedError` when all the user's are taken."""
        if self._seats[user.user_id] >= self._most:
            raise self._full()
        self._seats[user.user_id] += 1
        try:
            yield
        finally:
            self._seats[user.user_id] -= 1
            if not self._seats[user.user_id]:
                del self._seats[user.user_id]

    def _full(self) -> LimitedError:
        return LimitedError(
            f"{self._most} of your runs are under way or wait for their turn.",
            "More are not taken at once.",
            "Wait for one to end, or cancel one.",
            retry_after=_COME_BACK,
        )
