"""A lane that many processes share: its state, and the line of those who wait for a turn in it.

The law itself is `lane_state.py`. Here is also the board in memory, the twin of `persistence/sql_lanes.py`.
"""

from __future__ import annotations

import asyncio

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.llm.lane_board import Answer, Ask, News
from orchestrator_v2.llm.lane_state import WINDOW, LaneState, Left, Sent

# Calls that go out within so many seconds are one row: a lane's state stays small whatever its limits are.
GRAIN = 0.5
# Who waits longer looks again after so many seconds; who does not come back is forgotten so much later.
LOOK = 15.0
GRACE = 2.0


class Ticket(Sent, eq=False, array_like=True):
    """A place in the line: planned for `at`, forgotten at `expires`."""

    holder: str = ""
    expires: float = 0.0


class SharedLane(msgspec.Struct, array_like=True):
    """All moments are seconds on the board's clock. At most one ticket for each process that waits."""

    state: LaneState = msgspec.field(default_factory=LaneState)
    line: list[Ticket] = []

    def ask(self, ask: Ask, now: float) -> Answer:
        """Whether that call may go out now; it is counted then. Else its place is kept, where it has a holder."""
        self.tell(ask.news, now)
        self.line = [ticket for ticket in self.line if ticket.expires > now]
        place = next((n for n, ticket in enumerate(self.line) if ticket.holder == ask.holder), len(self.line))
        at = self.state.planned(ask.tokens, ask.limits, self.line[:place], now)
        hold = max(0.0, self.state.hold_until - now)
        wait = max(0.0, at - now)
        others = len(self.line) > place + 1
        self.line[place : place + 1] = []
        if not wait:
            sent = self.state.take(ask.tokens, ask.limits, now, crowded=ask.crowded or others, grain=GRAIN)
            return Answer(0.0, hold, sent.first if sent.in_window else None)
        if ask.holder and wait <= ask.within:
            expires = now + min(wait, LOOK) + GRACE
            self.line.insert(place, Ticket(at, ask.tokens, holder=ask.holder, expires=expires))
        return Answer(wait, hold)

    def tell(self, news: News, now: float) -> None:
        ours = now - news.at
        rows = {sent.first: sent for sent in self.state.sent}
        for each in news.corrections:
            if each.slot in rows:
                self.state.correct(rows[each.slot], each.requests, each.tokens)
        if news.is_named:
            self.state.learned.clear()
        self.state.learn(
            {
                what: Left(left.remaining, left.limit, left.full_at + ours, left.learned_at + ours)
                for what, left in news.learned.items()
            }
        )
        if news.left:
            self.line = [ticket for ticket in self.line if ticket.holder != news.left]
        if news.hold_until:
            self.state.pause(news.hold_until + ours)

    def shift(self, seconds: float) -> None:
        """Moves all moments, as the board's clock was set back, or is another's now."""
        self.state.shift(seconds)
        for ticket in self.line:
            ticket.at += seconds
            ticket.expires += seconds

    def means_nothing_after(self) -> float:
        """The moment from which on this lane is like one that nobody has used."""
        state = self.state
        moments = [state.calm_until, *(ticket.expires for ticket in self.line)]
        moments += [sent.at + WINDOW for sent in state.sent[-1:]]
        moments += [left.full_at for left in state.learned.values()]
        return max(state.hold_until, *moments)


class MemoryLaneBoard:
    """The lanes of one process; it holds as long as that."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[str, SharedLane] = {}

    async def ask(self, lane: str, ask: Ask) -> Answer:
        return self._lane(lane).ask(ask, self._clock.monotonic())

    def tell(self, lane: str, news: News) -> asyncio.Future[None]:
        self._lane(lane).tell(news, self._clock.monotonic())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _lane(self, lane: str) -> SharedLane:
        now = self._clock.monotonic()
        if lane not in self._lanes:
            self._lanes = {name: each for name, each in self._lanes.items() if each.means_nothing_after() > now}
            self._lanes[lane] = SharedLane()
        return self._lanes[lane]
