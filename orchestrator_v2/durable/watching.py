"""What a process does beside the runs that it drives: keeps their claims alive, and looks whether there is news.

Which runs those are, and what is done with the news, is `embedded.py`'s and `temporal_worker.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.engine.engine import LEASE
from orchestrator_v2.engine.ports import Journal

# How long tasks under way may take to end after a stop was asked for (seconds); then they are cancelled.
DRAIN = 30.0
# How often the journal is asked for news while runs are held (seconds).
POLL = 0.25


async def watch(
    journal: Journal,
    clock: Clock,
    *,
    renew: Callable[[], Awaitable[None]],
    receive: Callable[[], Awaitable[None]],
    failed: Callable[[Exception], None],
    poll: float = POLL,
) -> None:
    """Until it is cancelled: `renew` three times in a lease, `receive` when something was committed.

    `failed` is told what went wrong in one look; then the next one takes everything for news.
    """
    seen, renewed = -1, clock.monotonic()
    while True:
        await asyncio.sleep(poll)
        try:
            if clock.monotonic() - renewed > LEASE / 3:
                renewed = clock.monotonic()
                await renew()
            count = await journal.change_count()
            if count != seen:
                seen = count
                await receive()
        except Exception as error:  # noqa: BLE001 - whatever it is, claims must be renewed
            seen = -1
            failed(error)
