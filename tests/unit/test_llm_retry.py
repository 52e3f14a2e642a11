"""How often and how long a failed call is sent again."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    EmptyOutputError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from orchestrator_v2.llm.retry import RetryConfig, retry_async


def run(errors, config=None, probe=lambda name: None):
    """Sends against a list of errors (None: success); gives the result or error, the waits and the sendings."""
    clock, sent = ManualClock(auto=True), []

    async def send():
        sent.append(clock.now())
        error = errors[min(len(sent), len(errors)) - 1]
        if error is not None:
            raise error
        return "answer"

    async def go():
        try:
            return await retry_async(send, config, clock=clock, random=Random(7), probe=probe)
        except ProviderError as error:
            return error

    return asyncio.run(go()), clock.slept, len(sent)


def test_three_attempts_with_full_jitter_below_a_doubling_ceiling():
    """By default three sendings, each wait drawn from 0 to 2, then 0 to 4 seconds."""
    fault = ProviderUnavailableError("down")
    result, waits, sent = run([fault])
    assert result is fault
    assert sent == 3
    assert len(waits) == 2
    assert 0 <= waits[0] <= 2
    assert 0 <= waits[1] <= 4
    assert waits == run([fault])[1]


def test_without_jitter_the_waits_double_up_to_the_cap():
    """The ceiling itself is waited, never more than max_delay."""
    config = RetryConfig(max_attempts=6, jitter=False, max_delay=10)
    assert run([ProviderUnavailableError("down")], config)[1] == [2, 4, 8, 10, 10]


def test_retry_after_is_obeyed_exactly():
    """The named time is waited, not the backoff; after it the call goes through."""
    result, waits, sent = run([RateLimitedError("slow", retry_after=17.5), None])
    assert (result, waits, sent) == ("answer", [17.5], 2)


def test_a_retry_after_over_the_cap_is_not_waited_for():
    """The error comes out at once with the time in it, so that the run can be parked."""
    result, waits, sent = run([RateLimitedError("slow", retry_after=600)])
    assert isinstance(result, RateLimitedError)
    assert (result.retry_after, waits, sent) == (600, [], 1)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(BadGatewayError("html"), 2), (EmptyOutputError("nothing"), 2), (AuthenticationError("no"), 1)],
)
def test_some_errors_have_their_own_limit(error, attempts):
    """Bad content and empty answers are asked for once more; a refused key never."""
    assert run([error])[2] == attempts


def test_final_errors_are_not_retried():
    """The provider's x-should-retry: false is obeyed for an error that would be retried."""
    error = ProviderUnavailableError("down")
    error.final = True
    assert run([error])[2] == 1


def test_a_single_attempt_means_one():
    """max_attempts=1 holds for errors with a limit of their own too."""
    assert run([BadGatewayError("html")], RetryConfig(max_attempts=1))[2] == 1


def test_each_wait_passes_the_crash_point():
    """A process can be killed during the wait."""
    names = []
    run([ProviderUnavailableError("down")], probe=names.append)
    assert names == ["retry-sleep", "retry-sleep"]
