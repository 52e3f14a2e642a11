"""What all calls on one credential share: the pause that its provider asked for, and what may still be sent.

Who waits for it is `wrappers/rate_limited.py`; how headers are read is `rate_headers.py`. A lane lives as long as its
factory and serves one event loop at a time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import ConfigError, RateLimitedError
from orchestrator_v2.llm.errors import make_error, retry_after
from orchestrator_v2.llm.rate_headers import INPUT, OUTPUT, REQUESTS, TOKENS, Allowance, read_allowances

WINDOW = 60.0
# After a pause calls go one by one, so far apart for so long: all at once would bring the next pause.
GAP = 0.25
CALM = 10.0


class RateLimits(msgspec.Struct, frozen=True):
    """What may be sent on one credential in any 60 s; None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        if any(limit is not None and limit < 1 for limit in (self.requests_per_minute, self.tokens_per_minute)):
            raise ConfigError("A rate limit is below 1 a minute.", "Nothing could be sent.", "Leave it out for none.")


NO_LIMITS = RateLimits()


class Sent(msgspec.Struct, eq=False):
    """One call that went out at `at` (monotonic seconds), or will by the plan, with the tokens it counts as."""

    at: float
    tokens: int
    in_window: bool = False


class _Turn(Sent, eq=False):
    deadline: float = 0.0
    called: asyncio.Future[None] | None = None


class Lane:
    """`hold_until` is in monotonic seconds: nothing is sent on the credential before it."""

    def __init__(self, clock: Clock | None = None, limits: RateLimits | None = None) -> None:
        self.hold_until = 0.0
        self.limits = limits or NO_LIMITS
        self._clock = clock or SystemClock()
        self._sent: deque[Sent] = deque()
        self._tokens_sent = 0
        self._queue: deque[_Turn] = deque()
        self._learned: dict[str, Allowance] = {}
        self._last = float("-inf")
        self._calm_until = float("-inf")

    @property
    def counts_tokens(self) -> bool:
        """Whether the number of tokens makes a difference to `enter`."""
        return self.limits.tokens_per_minute is not None or TOKENS in self._learned or INPUT in self._learned

    def learn(self, headers: Mapping[str, str]) -> None:
        """Takes note of an answer's rate-limit headers (names in lower case)."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        found = read_allowances(headers, now=now, monotonic=monotonic)
        asked = retry_after(headers, now)
        if asked is not None:
            # A reset is when an allowance is full again; a server that names a wait knows that it ends before.
            found = {what: each for what, each in found.items() if each.remaining != 0}
            for what in REQUESTS, TOKENS, INPUT, OUTPUT:
                self._learned.pop(what, None)
        self._learned.update(found)
        self.pause(asked)

    def pause(self, seconds: float | None) -> None:
        """Nothing goes out for so long; after it calls go one by one for a while. None and 0 do nothing."""
        if not seconds:
            return
        self.hold_until = max(self.hold_until, self._clock.monotonic() + seconds)
        self._calm_until = max(self._calm_until, self.hold_until + CALM)
        for turn in self._queue:
            if turn.deadline < self.hold_until:
                _call(turn)

    async def enter(self, tokens: int, *, cap: float) -> Sent:
        """Returns when a call of so many tokens may go out, first come first served; its slot is taken then.

        Raises `RateLimitedError`, unsent, as soon as it is known that this takes more than `cap` seconds.
        """
        now = self._clock.monotonic()
        planned = self._planned(tokens, now)
        if planned - now > cap:
            raise _too_long(planned - now)
        if planned <= now and not self._queue:
            return self._take(tokens)
        turn = _Turn(planned, tokens, deadline=now + cap)
        self._queue.append(turn)
        try:
            return await self._wait(turn)
        finally:
            self._queue.remove(turn)
            if self._queue:
                _call(self._queue[0])

    def settle(self, sent: Sent, tokens: int) -> None:
        """Counts the call as what it really used, in place of the estimate."""
        if sent.in_window:
            self._tokens_sent += tokens - sent.tokens
            sent.tokens = tokens

    def give_back(self, sent: Sent) -> None:
        """Frees the slot of a call that reached nobody."""
        if sent.in_window:
            self._sent.remove(sent)
            self._tokens_sent -= sent.tokens
            sent.in_window = False

    async def _wait(self, turn: _Turn) -> Sent:
        while True:
            now = self._clock.monotonic()
            is_first = self._queue[0] is turn
            at = self._earliest(turn.tokens, now) if is_first else self.hold_until
            if is_first and at <= now:
                return self._take(turn.tokens)
            if at > turn.deadline:
                raise _too_long(at - now)
            await (self._clock.sleep(at - now) if is_first else _next_call(turn))

    def _take(self, tokens: int) -> Sent:
        self._last = now = self._clock.monotonic()
        if self._is_calm(now) and len(self._queue) > 1:
            self._calm_until = max(self._calm_until, now + CALM)
        for what, allowance in self._learned.items():
            if allowance.remaining is not None:
                allowance.remaining -= {REQUESTS: 1, OUTPUT: 0}.get(what, tokens)
        sent = Sent(now, tokens, self.limits != NO_LIMITS)
        if sent.in_window:
            self._sent.append(sent)
            self._tokens_sent += tokens
        return sent

    def _earliest(self, tokens: int, now: float) -> float:
        """Monotonic seconds at which a call could go out if it were the next; not after `now` when it may go."""
        self._learned_pause(tokens, now)
        self._forget(now)
        times = [self.hold_until, self._last + GAP if self._is_calm(now) else now]
        if not self._fits(tokens):
            times.append(self._window_free(tokens, reversed(self._sent)))
        return max(times)

    def _planned(self, tokens: int, now: float) -> float:
        """When a call that comes now will go out, behind all who wait already."""
        earliest = self._earliest(tokens, now)
        if not self._queue:
            return earliest
        behind = self._queue[-1].at + (GAP if self._is_calm(now) else 0.0)
        ahead = itertools.chain(reversed(self._queue), reversed(self._sent))
        return max(earliest, behind, self._window_free(tokens, ahead))

    def _window_free(self, tokens: int, latest_first: Iterable[Sent]) -> float:
        """The moment at which enough of what was sent is older than the window."""
        most, most_tokens = self.limits.requests_per_minute, self.limits.tokens_per_minute
        for number, sent in enumerate(latest_first, start=1):
            tokens += sent.tokens
            if (most is not None and number >= most) or (most_tokens is not None and tokens > most_tokens):
                return sent.at + WINDOW
        return float("-inf")

    def _fits(self, tokens: int) -> bool:
        most, most_tokens = self.limits.requests_per_minute, self.limits.tokens_per_minute
        has_slot = most is None or len(self._sent) < most
        return has_slot and (most_tokens is None or self._tokens_sent + tokens <= most_tokens)

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0].at + WINDOW <= now:
            old = self._sent.popleft()
            self._tokens_sent -= old.tokens
            old.in_window = False

    def _learned_pause(self, tokens: int, now: float) -> None:
        """An allowance that is used up becomes a pause until it is full again, and is then unknown."""
        for what, allowance in list(self._learned.items()):
            needed = tokens if what in (TOKENS, INPUT) else 1
            if allowance.remaining is None or allowance.remaining >= max(1, min(needed, allowance.limit or needed)):
                continue
            del self._learned[what]
            self.pause(allowance.full_at() - now if allowance.full_at() > now else None)

    def _is_calm(self, now: float) -> bool:
        return now < self._calm_until


def _call(turn: _Turn) -> None:
    if turn.called is not None and not turn.called.done():
        turn.called.set_result(None)


async def _next_call(turn: _Turn) -> None:
    turn.called = asyncio.get_running_loop().create_future()
    await turn.called


def _too_long(seconds: float) -> RateLimitedError:
    error = make_error(RateLimitedError, f"Nothing may be sent on this key for {seconds:.0f} s.", unbilled=True)
    error.retry_after = seconds
    error.final = True
    return error
