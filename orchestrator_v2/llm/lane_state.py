"""The law of a credential's limits: what may go out when, after what was sent, learned and asked for.

There is no clock here and no waiting. `lane.py` holds a process to it, by its monotonic clock; `lane_line.py` all
processes on one database, by that one's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.rate_headers import INPUT, OUTPUT, REQUESTS, TOKENS

WINDOW = 60.0
# After a pause calls go one by one, so far apart for so long: all at once would bring the next pause.
GAP = 0.25
CALM = 10.0
_NEVER = float("-inf")


class RateLimits(msgspec.Struct, frozen=True):
    """What may be sent on one credential in any 60 s; None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        if any(limit is not None and limit < 1 for limit in (self.requests_per_minute, self.tokens_per_minute)):
            raise ConfigError("A rate limit is below 1 a minute.", "Nothing could be sent.", "Leave it out for none.")


NO_LIMITS = RateLimits()


class Sent(msgspec.Struct, eq=False, array_like=True):
    """What went out up to `at`, or will by the plan: so many requests, with the tokens they count as.

    It is one request, unless it was put together with others that went out within a grain of `first`. `slot` is the
    name that it has in the shared lane, where there is one.
    """

    at: float
    tokens: int
    requests: int = 1
    first: float = 0.0
    in_window: bool = False
    slot: float | None = None


class Left(msgspec.Struct, array_like=True):
    """What is left of an allowance, as it was learned at `learned_at`, and when it is full again."""

    remaining: int
    limit: int | None
    full_at: float
    learned_at: float


class LaneState(msgspec.Struct, array_like=True):
    """One credential's. All moments are seconds on one clock, whichever; nothing is sent before `hold_until`."""

    hold_until: float = 0.0
    calm_until: float = _NEVER
    last: float = _NEVER
    sent: list[Sent] = []
    requests_sent: int = 0
    tokens_sent: int = 0
    learned: dict[str, Left] = {}

    def pause(self, until: float) -> None:
        """Nothing goes out before `until`; after it calls go one by one for a while."""
        self.hold_until = max(self.hold_until, until)
        self.calm_until = max(self.calm_until, self.hold_until + CALM)

    def learn(self, found: Mapping[str, Left]) -> None:
        """What was learned last holds."""
        for what, each in found.items():
            known = self.learned.get(what)
            if known is None or known.learned_at <= each.learned_at:
                self.learned[what] = each

    def earliest(self, tokens: int, limits: RateLimits, now: float) -> float:
        """When a call could go out if it were the next; not after `now` when it may go."""
        self._learned_pause(tokens, now)
        self._forget(now)
        times = [self.hold_until, self.last + GAP if self.is_calm(now) else now]
        if not self._fits(tokens, limits):
            times.append(_window_free(tokens, limits, reversed(self.sent)))
        return max(times)

    def planned(self, tokens: int, limits: RateLimits, ahead: Sequence[Sent], now: float) -> float:
        """When a call will go out, behind all who wait `ahead` of it, which are as planned and in order."""
        earliest = self.earliest(tokens, limits, now)
        if not ahead:
            return earliest
        behind = ahead[-1].at + (GAP if self.is_calm(now) else 0.0)
        latest_first = itertools.chain(reversed(ahead), reversed(self.sent))
        return max(earliest, behind, _window_free(tokens, limits, latest_first))

    def take(self, tokens: int, limits: RateLimits, now: float, *, crowded: bool, grain: float = 0.0) -> Sent:
        """Counts a call that goes out now. `crowded`: others wait behind it. Within `grain` s calls become one row."""
        if self.is_calm(now):
            self.last = now
            self.calm_until = max(self.calm_until, now + CALM if crowded else now)
        for what, left in self.learned.items():
            left.remaining -= {REQUESTS: 1, OUTPUT: 0}.get(what, tokens)
        if limits == NO_LIMITS:
            return Sent(now, tokens)
        if not self.sent or now - self.sent[-1].first >= grain:
            self.sent.append(Sent(now, 0, requests=0, first=now, in_window=True))
        sent = self.sent[-1]
        # The latest of a row is when the last of it has left the window.
        sent.at = now
        self.correct(sent, 1, tokens)
        return sent

    def correct(self, sent: Sent, requests: int, tokens: int) -> None:
        """So many more, or less, are counted for what went out; nothing where it is older than the window."""
        if not sent.in_window:
            return
        sent.requests += requests
        sent.tokens += tokens
        self.requests_sent += requests
        self.tokens_sent += tokens
        if sent.requests <= 0:
            self.sent.remove(sent)
            self.tokens_sent -= sent.tokens
            sent.in_window = False

    def is_calm(self, now: float) -> bool:
        return now < self.calm_until

    def shift(self, seconds: float) -> None:
        """Moves all moments."""
        self.hold_until += seconds
        self.calm_until += seconds
        self.last += seconds
        for sent in self.sent:
            sent.at += seconds
            sent.first += seconds
        for left in self.learned.values():
            left.full_at += seconds
            left.learned_at += seconds

    def _fits(self, tokens: int, limits: RateLimits) -> bool:
        most, most_tokens = limits.requests_per_minute, limits.tokens_per_minute
        has_slot = most is None or self.requests_sent < most
        return has_slot and (most_tokens is None or self.tokens_sent + tokens <= most_tokens)

    def _forget(self, now: float) -> None:
        gone = next((number for number, sent in enumerate(self.sent) if sent.at + WINDOW > now), len(self.sent))
        for old in self.sent[:gone]:
            self.requests_sent -= old.requests
            self.tokens_sent -= old.tokens
            old.in_window = False
        del self.sent[:gone]

    def _learned_pause(self, tokens: int, now: float) -> None:
        """An allowance that is used up becomes a pause until it is full again, and is then unknown."""
        for what, left in list(self.learned.items()):
            needed = tokens if what in (TOKENS, INPUT) else 1
            if left.remaining >= max(1, min(needed, left.limit or needed)):
                continue
            del self.learned[what]
            if left.full_at > now:
                self.pause(left.full_at)


def _window_free(tokens: int, limits: RateLimits, latest_first: Iterable[Sent]) -> float:
    """The moment at which enough of what was sent is older than the window."""
    most, most_tokens = limits.requests_per_minute, limits.tokens_per_minute
    number = 0
    for sent in latest_first:
        number += sent.requests
        tokens += sent.tokens
        if (most is not None and number >= most) or (most_tokens is not None and tokens > most_tokens):
            return sent.at + WINDOW
    return _NEVER
