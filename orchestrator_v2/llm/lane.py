"""Where calls on one credential wait for their turn in this process, first come first served.

What may go out when is `lane_state.py`; where the limits are shared with other processes they are asked, by
`lane_seat.py`. Who waits for it is `wrappers/rate_limited.py`; how headers are read is `rate_headers.py`. A lane lives
as long as its factory and serves one event loop at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import RateLimitedError
from orchestrator_v2.llm.errors import make_error, retry_after
from orchestrator_v2.llm.lane_line import LOOK
from orchestrator_v2.llm.lane_seat import LaneSeat
from orchestrator_v2.llm.lane_state import CALM, GAP, NO_LIMITS, WINDOW, LaneState, Left, RateLimits, Sent
from orchestrator_v2.llm.rate_headers import INPUT, LONGEST, TOKENS, read_allowances

__all__ = ["CALM", "GAP", "NO_LIMITS", "WINDOW", "Lane", "RateLimits", "Sent"]


class _Turn(Sent, eq=False):
    deadline: float = 0.0
    called: asyncio.Future[None] | None = None


class Lane:
    """Without a `seat` its limits are this process's own; with one, the state here is the pauses heard of, no more."""

    def __init__(
        self, clock: Clock | None = None, limits: RateLimits | None = None, seat: LaneSeat | None = None
    ) -> None:
        self.limits = limits or NO_LIMITS
        self._clock = clock or SystemClock()
        self._seat = seat
        self._state = LaneState()
        self._queue: deque[_Turn] = deque()

    @property
    def counts_tokens(self) -> bool:
        """Whether the number of tokens makes a difference to `enter`; what others have learned is not known here."""
        learned = self._state.learned
        by_limit = self.limits.tokens_per_minute is not None
        return by_limit or self._seat is not None or TOKENS in learned or INPUT in learned

    def learn(self, headers: Mapping[str, str]) -> None:
        """Takes note of an answer's rate-limit headers (names in lower case)."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        asked = retry_after(headers, now)
        found = {
            what: Left(each.remaining, each.limit, each.full_at(), monotonic)
            for what, each in read_allowances(headers, now=now, monotonic=monotonic).items()
            # A reset is when an allowance is full again; a server that names a wait knows that it ends before.
            if each.remaining is not None and (asked is None or each.remaining != 0)
        }
        if self._seat is None:
            if asked is not None:
                self._state.learned.clear()
            self._state.learn(found)
        elif found or asked is not None:
            self._seat.learned(found, is_named=asked is not None)
            if any(left.remaining == 0 for left in found.values()):
                self._seat.tell()
        self.pause(asked)

    def pause(self, seconds: float | None) -> None:
        """Nothing goes out for so long, a day at most; after it calls go one by one for a while. 0 is no pause."""
        if not seconds:
            return
        # A shared pause outlives this process: one that no honest server asks for would lock the key out for good.
        until = self._clock.monotonic() + min(seconds, LONGEST)
        self._hold(until)
        if self._seat is not None:
            self._seat.paused(until)
            self._seat.tell()

    async def enter(self, tokens: int, *, cap: float) -> Sent:
        """Returns when a call of so many tokens may go out, first come first served; its slot is taken then.

        Raises `RateLimitedError`, unsent, as soon as it is known that this takes more than `cap` seconds, and
        `StoreUnavailableError` where the limits are shared and the others cannot be asked.
        """
        if self._seat is not None:
            # One that is refused here asks nobody, and nobody would hear of the pause that it is refused for.
            self._seat.tell_again()
        now = self._clock.monotonic()
        planned = self._state.planned(tokens, self.limits, self._queue, now)
        if planned - now > cap:
            raise _too_long(planned - now)
        # With limits those who are refused must not be overtaken, so they ask one by one, in the queue.
        if planned <= now and not self._queue and (self._seat is None or self.limits == NO_LIMITS):
            taken = await self._take(tokens, now + cap, keeps=False)
            if isinstance(taken, Sent):
                return taken
            planned = taken
        turn = _Turn(planned, tokens, deadline=now + cap)
        self._queue.append(turn)
        try:
            return await self._wait(turn)
        finally:
            self._queue.remove(turn)
            if self._queue:
                _call(self._queue[0])
            elif self._seat is not None:
                self._seat.leave()

    def settle(self, sent: Sent, tokens: int) -> None:
        """Counts the call as what it really used, in place of the estimate."""
        self._correct(sent, 0, tokens - sent.tokens)

    def give_back(self, sent: Sent) -> None:
        """Frees the slot of a call that reached nobody."""
        self._correct(sent, -1, -sent.tokens)

    def _correct(self, sent: Sent, requests: int, tokens: int) -> None:
        if self._seat is None:
            self._state.correct(sent, requests, tokens)
        elif sent.slot is not None and (requests or (tokens and self.limits.tokens_per_minute is not None)):
            self._seat.corrected(sent.slot, requests, tokens)
            self._seat.tell()
            sent.tokens += tokens

    async def _wait(self, turn: _Turn) -> Sent:
        while True:
            now = self._clock.monotonic()
            is_first = self._queue[0] is turn
            at = self._state.earliest(turn.tokens, self.limits, now) if is_first else self._state.hold_until
            if is_first and at <= now:
                taken = await self._take(turn.tokens, turn.deadline, keeps=True)
                if isinstance(taken, Sent):
                    return taken
                turn.at = taken
                now = self._clock.monotonic()
                at = min(taken, now + LOOK)
            if at > turn.deadline:
                raise _too_long(at - now)
            await (self._clock.sleep(at - now) if is_first else _next_call(turn))

    async def _take(self, tokens: int, deadline: float, *, keeps: bool) -> Sent | float:
        """The slot of a call that goes out now, else the moment of its turn, by what those say who share the limits."""
        now, is_crowded = self._clock.monotonic(), len(self._queue) > 1
        if self._seat is None:
            return self._state.take(tokens, self.limits, now, crowded=is_crowded)
        within = deadline - now
        answer = await self._seat.ask(tokens, self.limits, within=within, keeps=keeps, crowded=is_crowded)
        now = self._clock.monotonic()
        if answer.hold:
            self._hold(now + answer.hold)
        if not answer.wait:
            sent = Sent(now, tokens, slot=answer.slot)
            if self._state.hold_until <= now:
                return sent
            # A call that was under way has met a pause while this one was asked for.
            self.give_back(sent)
            return self._state.hold_until
        if answer.wait > within:
            raise _too_long(answer.wait)
        return now + answer.wait

    def _hold(self, until: float) -> None:
        self._state.pause(until)
        for turn in self._queue:
            if turn.deadline < self._state.hold_until:
                _call(turn)


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
