"""Sending again: how often, how long between, and when not; tenacity does the loop.

Which error is which is `errors.py`; the client that retries is `wrappers/retrying.py`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, TypeVar

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import BadGatewayError, EmptyOutputError, ProviderError
from orchestrator_v2.core.probe import Probe, no_probe

T = TypeVar("T")

# Which sending of the present call this is, from 1; the call log reads it inside the chain of wrappers.
attempt_number: contextvars.ContextVar[int] = contextvars.ContextVar("attempt_number", default=1)

# Fewer attempts than `max_attempts` for errors that another sending seldom mends.
ATTEMPT_LIMITS: Mapping[type[BaseException], int] = {BadGatewayError: 2, EmptyOutputError: 2}


class RetryConfig(msgspec.Struct, frozen=True):
    """Times are in seconds. A Retry-After over `retry_after_cap` is not waited for: the error is raised at once."""

    max_attempts: int = 3
    initial: float = 2.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: bool = True
    retry_after_cap: float = 120.0


def is_retryable(error: BaseException | None) -> bool:
    return isinstance(error, ProviderError) and error.retryable and not error.final


def attempts_allowed(error: BaseException, config: RetryConfig) -> int:
    return min(ATTEMPT_LIMITS.get(type(error), config.max_attempts), config.max_attempts)


def delay_before(error: BaseException | None, attempt: int, config: RetryConfig, random: Random) -> float:
    """Seconds to wait after the failed `attempt` (from 1): the Retry-After exactly, else backoff with full jitter."""
    if isinstance(error, ProviderError) and error.retry_after is not None:
        return error.retry_after
    ceiling: float = min(config.max_delay, config.initial * config.factor ** (attempt - 1))
    return random.uniform(0.0, ceiling) if config.jitter else ceiling


async def retry_async(
    fn: Callable[[], Awaitable[T]],
    config: RetryConfig | None = None,
    *,
    clock: Clock,
    random: Random,
    probe: Probe = no_probe,
) -> T:
    """The result of `fn`, sent again as `config` allows; raises the last error as it was.

    Retried are `ProviderError`s that are `retryable` and not `final`; all else is raised at once.
    """
    from tenacity import AsyncRetrying, retry_if_exception

    config = config or RetryConfig()

    def stop(state: Any) -> bool:
        error = state.outcome.exception()
        waits_too_long = isinstance(error, ProviderError) and (error.retry_after or 0) > config.retry_after_cap
        return waits_too_long or state.attempt_number >= attempts_allowed(error, config)

    def wait(state: Any) -> float:
        return delay_before(state.outcome.exception(), state.attempt_number, config, random)

    async def sleep(seconds: float) -> None:
        probe("retry-sleep")
        await clock.sleep(seconds)

    loop = AsyncRetrying(stop=stop, wait=wait, sleep=sleep, retry=retry_if_exception(is_retryable), reraise=True)
    async for attempt in loop:
        with attempt:
            token = attempt_number.set(attempt.retry_state.attempt_number)
            try:
                return await fn()
            finally:
                attempt_number.reset(token)
    raise AssertionError("tenacity ends only by a result or an error")
