"""The lanes of all processes on one database, as the model layer sees them: asked before each call, told of pauses.

What is answered is worked out by `lane_line.py`, where the in-memory twin stands too; on a database by
`persistence/sql_lanes.py`. Who asks is `lane_seat.py`.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from orchestrator_v2.llm.lane_state import Left, RateLimits


class Correction(msgspec.Struct, frozen=True):
    """So many requests and tokens more, or less, than were counted for a slot."""

    slot: float
    requests: int
    tokens: int


class News(msgspec.Struct):
    """What one process has found out. Its moments are seconds of that process's own clock, on which it is `at` now.

    `hold_until` is a pause that was asked for (0: none). `is_named`: what was learned before does not hold any more,
    as the server has said itself for how long to wait. `left` is the holder of a place who waits no more.
    """

    at: float = 0.0
    hold_until: float = 0.0
    is_named: bool = False
    learned: dict[str, Left] = {}
    corrections: list[Correction] = []
    left: str = ""


class Ask(msgspec.Struct, frozen=True):
    """A call of so many tokens that wants to go out `within` so many seconds. What is asked comes after the `news`.

    `holder` names who waits, so that its place is kept while it does; empty for one that is refused without a place.
    `crowded`: others wait behind it.
    """

    tokens: int
    limits: RateLimits
    within: float
    holder: str = ""
    crowded: bool = False
    news: News = msgspec.field(default_factory=News)


class Answer(msgspec.Struct, frozen=True):
    """`wait` 0: the call may go out now, and is counted in `slot` (None where nothing is counted).

    Else seconds until its turn, by what is known now; more than it was asked `within` where it has lost its place.
    `hold` are the seconds for which nothing goes out at all.
    """

    wait: float
    hold: float
    slot: float | None = None


class LaneBoard(Protocol):
    """`lane` is a digest of a credential and where it is sent to."""

    async def ask(self, lane: str, ask: Ask) -> Answer:
        """Raises `StoreUnavailableError` where the board cannot be reached: then nothing may be sent."""
        ...

    def tell(self, lane: str, news: News) -> asyncio.Future[None]:
        """Done when all others see it, who waits for it or not; it comes before whatever is asked after it."""
        ...
