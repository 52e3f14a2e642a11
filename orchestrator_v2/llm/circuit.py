"""Whether an origin answers: failures in a row open its circuit, one call that gets through closes it.

Who asks it before each sending is `wrappers/circuit.py`; one circuit lives as long as its factory.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, ProviderError, ProviderUnavailableError
from orchestrator_v2.llm.errors import make_error

State = Literal["closed", "open", "half_open"]
CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"
_FACTOR = 2.0
_MOST_DOUBLINGS = 30


class CircuitConfig(msgspec.Struct, frozen=True):
    """`failures` in a row open it, for `first_pause` seconds, then twice as long each time up to `longest_pause`.

    `jitter` is the part of a pause that is left to chance, so that many processes do not probe at once.
    """

    failures: int = 5
    first_pause: float = 10.0
    longest_pause: float = 300.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.first_pause <= self.longest_pause or not 0 <= self.jitter < 1:
            raise ConfigError("The circuit's settings make no sense.", "", "failures >= 1, 0 < first <= longest pause.")


class Health(msgspec.Struct, frozen=True):
    """An origin as its circuit sees it: `since` is in epoch seconds, `retry_in` in seconds (0: now)."""

    origin: str
    state: State
    failures: int
    last_error: str
    since: float
    retry_in: float


class Circuit:
    """`admit` before each sending, then exactly one of `succeeded`, `failed` and `released` with what it gave."""

    def __init__(self, origin: str, config: CircuitConfig, clock: Clock, random: Random) -> None:
        self._origin = origin
        self._config = config
        self._clock = clock
        self._random = random
        self._state: State = CLOSED
        self._failures = 0
        self._times_open = 0
        self._last_error = ""
        self._since = clock.now()
        self._open_until = 0.0
        # Each change of state is a new era; the outcome of a call from an older one says nothing of today.
        self._era = 0

    def health(self) -> Health:
        left = max(0.0, self._open_until - self._clock.monotonic()) if self._state == OPEN else 0.0
        return Health(self._origin, self._state, self._failures, self._last_error, self._since, left)

    def check(self) -> None:
        """Raises `ProviderUnavailableError`, unbilled, while nothing is let through."""
        left = self._open_until - self._clock.monotonic()
        if self._state == OPEN and left > 0:
            raise self._refusal(left)
        if self._state == HALF_OPEN:
            raise self._refusal(self._config.first_pause)

    def admit(self) -> int:
        """Lets a call through and gives its era; after the pause only one, the probe. Raises what `check` raises."""
        self.check()
        if self._state == OPEN:
            self._become(HALF_OPEN)
        return self._era

    def succeeded(self, era: int) -> None:
        """The origin answered, be it with a refusal."""
        if era != self._era:
            return
        self._failures = self._times_open = 0
        if self._state != CLOSED:
            self._become(CLOSED)

    def failed(self, era: int, error: ProviderError) -> None:
        """The origin did not answer, or not sensibly."""
        if era != self._era:
            return
        self._failures += 1
        self._last_error = error.code if error.status is None else f"{error.code} (HTTP {error.status})"
        if self._state == HALF_OPEN or self._failures >= self._config.failures:
            self._open_until = self._clock.monotonic() + self._pause()
            self._times_open += 1
            self._become(OPEN)

    def released(self, era: int) -> None:
        """The call ended without a word about the origin: cancelled, or never sent. The next one may be the probe."""
        if era == self._era and self._state == HALF_OPEN:
            self._become(OPEN)

    def _pause(self) -> float:
        whole: float = min(
            self._config.longest_pause, self._config.first_pause * _FACTOR ** min(self._times_open, _MOST_DOUBLINGS)
        )
        return whole * (1.0 - self._config.jitter * self._random.random())

    def _become(self, state: State) -> None:
        self._state = state
        self._since = self._clock.now()
        self._era += 1

    def _refusal(self, seconds: float) -> ProviderUnavailableError:
        reason = f"{self._origin} failed {self._failures} times in a row ({self._last_error}); this was not sent."
        error = make_error(ProviderUnavailableError, reason, unbilled=True)
        error.retry_after = seconds
        return error
