"""How many runs a user may have under way or waiting for their turn, and that two requests do not count at once.

How many are driven at the same time, of all users, is the keeper's.
"""

from __future__ import annotations

import asyncio

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

    def one_at_a_time(self, user: User) -> asyncio.Lock:
        """What is counted before something is started must not be counted by two at once. It is not re-entrant."""
        return self._locks.setdefault(user.user_id, asyncio.Lock())

    async def check(self, user: User) -> None:
        """Raises `LimitedError` when the user has as many runs under way as they may."""
        running = (RunStatus.RUNNING,)
        rows = await self._orchestrator.rows(owner_id=user.user_id, statuses=running, limit=self._most)
        if len(rows) >= self._most:
            raise LimitedError(
                f"{self._most} of your runs are under way or wait for their turn.",
                "More are not taken at once.",
                "Wait for one to end, or cancel one.",
                retry_after=_COME_BACK,
            )
