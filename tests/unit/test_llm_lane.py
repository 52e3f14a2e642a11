"""What all calls on one credential share: within the limits, first come first served, no herd after a pause."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import ConfigError, ProviderUnavailableError, RateLimitedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.errors import from_status
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import GAP, Lane, RateLimits
from orchestrator_v2.llm.rate_headers import LONGEST, seconds_until
from orchestrator_v2.llm.types import Completion, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory

START = 1_800_000_000.0  # 2027-01-15T08:00:00Z
CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))
ASK = [Message("user", "Build a clock.")]


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def run_until(clock, tasks, *, step=0.5, most=8_000):
    """Moves the clock on until all tasks are done."""
    for _ in range(most):
        await settle()
        if all(task.done() for task in tasks):
            return
        clock.advance(step)
    raise AssertionError("the lane never let them through")


def timeline(arrivals, limits, *, cap=10_000.0, tokens=None, step=0.5):
    """When calls that arrive at those seconds go out, in the order of arrival; an error where one is refused."""
    clock = ManualClock(START)
    lane = Lane(clock, limits)
    order = []

    async def call(number, size):
        sent = await lane.enter(size, cap=cap)
        order.append(number)
        return sent.at - START

    async def go():
        sizes = tokens or [0] * len(arrivals)
        tasks = []
        for number, moment in enumerate(arrivals):
            while clock.monotonic() - START < moment:
                await settle()
                clock.advance(min(step, moment - (clock.monotonic() - START)))
            tasks.append(asyncio.ensure_future(call(number, sizes[number])))
            await settle()
        await run_until(clock, tasks, step=step)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(go()), order


ARRIVALS = st.lists(st.integers(0, 90), min_size=1, max_size=25).map(sorted)


@settings(max_examples=40, deadline=None)
@given(ARRIVALS, st.integers(1, 6))
def test_no_window_of_a_minute_holds_more_requests_than_the_limit(arrivals, most):
    """Whatever arrives when: at most `most` go out in any 60 s, in their order, and none is held longer than needed."""
    times, order = timeline(arrivals, RateLimits(requests_per_minute=most))
    assert order == sorted(order)
    for at in times:
        assert sum(at <= other < at + 60.0 for other in times) <= most
    for number, at in enumerate(times):
        before = sorted(times)[number - most] + 60.0 if number >= most else 0.0
        assert at == pytest.approx(max(arrivals[number], before, times[number - 1] if number else 0.0), abs=0.51)


@settings(max_examples=40, deadline=None)
@given(ARRIVALS, st.data())
def test_no_window_of_a_minute_holds_more_tokens_than_the_limit(arrivals, data):
    """The estimates of the calls in any 60 s stay within the limit, and the order holds, small calls too."""
    sizes = [data.draw(st.integers(1, 1000)) for _ in arrivals]
    times, order = timeline(arrivals, RateLimits(tokens_per_minute=1000), tokens=sizes)
    assert order == sorted(order)
    for at in times:
        assert sum(size for other, size in zip(times, sizes, strict=True) if at <= other < at + 60.0) <= 1000


def test_a_call_larger_than_the_limit_goes_alone():
    """It could never fit, so it waits for an empty window and is the provider's to judge."""
    times, _ = timeline([0, 0, 0], RateLimits(tokens_per_minute=100), tokens=[10, 500, 10])
    assert times == [0.0, 60.0, 120.0]


def test_without_a_known_limit_nobody_waits():
    """A thousand calls at once go out at once, and no sleep is even begun."""
    clock = ManualClock(START)
    lane = Lane(clock)

    async def go():
        return await asyncio.gather(*(lane.enter(10**6, cap=0.0) for _ in range(1000)))

    assert len(asyncio.run(go())) == 1000
    assert clock.slept == []


def test_nobody_waits_longer_than_a_day_before_it_is_asked_again():
    """A provider that names a month, in a wait or in a reset, is asked after a day: it may have changed its mind."""
    reset = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "720h"}
    for headers in ({"retry-after": "2592000"}, reset):
        lane = Lane(ManualClock())
        lane.learn(headers)
        with pytest.raises(RateLimitedError) as raised:
            asyncio.run(lane.enter(1, cap=60))
        assert raised.value.retry_after == pytest.approx(LONGEST)


def test_who_would_wait_over_the_cap_is_told_at_once():
    """The third of a minute is refused on arrival with the time it would take, while the ones before it wait on."""
    times, _ = timeline([0, 1, 2], RateLimits(requests_per_minute=1), cap=70.0)
    assert times[:2] == [0.0, 60.0]
    refused = times[2]
    assert isinstance(refused, RateLimitedError)
    assert (refused.retry_after, refused.unbilled, refused.final) == (118.0, True, True)


def test_a_pause_that_comes_while_calls_wait_sends_them_to_park():
    """A long Retry-After in the meantime refuses all who wait, none of them later than its own turn."""
    clock = ManualClock(START)
    lane = Lane(clock, RateLimits(requests_per_minute=1))

    async def go():
        await lane.enter(0, cap=300.0)
        waiting = [asyncio.ensure_future(lane.enter(0, cap=300.0)) for _ in range(3)]
        await settle()
        lane.pause(900.0)
        await settle()
        done = [task.done() for task in waiting]
        await run_until(clock, waiting)
        return done, await asyncio.gather(*waiting, return_exceptions=True)

    done, results = asyncio.run(go())
    assert done == [False, True, True]
    assert all(isinstance(error, RateLimitedError) and error.retry_after > 300 for error in results)


def test_after_a_pause_calls_go_one_by_one():
    """Forty that waited, and ten that come right after, are each a gap apart and in order: no herd."""
    clock = ManualClock(START)
    lane = Lane(clock)
    order = []

    async def call(number):
        sent = await lane.enter(0, cap=120.0)
        order.append(number)
        return sent.at - START

    async def go():
        lane.pause(30.0)
        tasks = [asyncio.ensure_future(call(number)) for number in range(40)]
        await settle()
        clock.advance(30.0)
        await settle()
        tasks += [asyncio.ensure_future(call(number)) for number in range(40, 50)]
        await run_until(clock, tasks, step=GAP)
        return [task.result() for task in tasks]

    times = asyncio.run(go())
    assert order == list(range(50))
    assert times == [30.0 + number * GAP for number in range(50)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 11), max_size=8), st.integers(1, 3))
def test_a_cancelled_wait_blocks_nobody(cancelled, most):
    """Whoever is cancelled while waiting, first or last: the others go in order and no slot is lost."""
    clock = ManualClock(START)
    lane = Lane(clock, RateLimits(requests_per_minute=most))
    order = []

    async def call(number):
        sent = await lane.enter(0, cap=10_000.0)
        order.append(number)
        return sent.at - START

    async def go():
        tasks = [asyncio.ensure_future(call(number)) for number in range(12)]
        await settle()
        for number in cancelled:
            tasks[number].cancel()
            await settle()
        await run_until(clock, tasks)
        return [task.result() for task in tasks if not task.cancelled()]

    times = asyncio.run(go())
    assert order == sorted(order)
    assert times == [60.0 * (number // most) for number in range(len(times))]


NAMES = {
    "requests": ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    "tokens": ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    "input": ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    "output": ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    "x-requests": ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    "X-Requests": ("X-RateLimit-Remaining-Requests", "X-RateLimit-Reset-Requests"),
    "x-tokens": ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
}
AN_HOUR_AHEAD = {"date": "Fri, 15 Jan 2027 09:00:00 GMT"}


@pytest.mark.parametrize(
    ("kind", "left", "reset", "more", "wait"),
    [
        ("requests", "0", "2027-01-15T08:00:07Z", {}, 7),
        ("tokens", "40", "2027-01-15T08:00:09Z", {}, 9),
        ("input", "0", "2027-01-15T10:00:03+02:00", {}, 3),
        ("output", "0", "2027-01-15T08:00:05Z", {}, 5),
        ("x-requests", "0", "1s", {}, 1),
        ("x-requests", "0", "1m30s", {}, 90),
        ("x-tokens", "0", "250ms", {}, 0.25),
        ("X-Requests", "0", "2.5", {}, 2.5),
        ("x-requests", "9", "", {"retry-after": "12"}, 12),
        # The server's clock is an hour ahead of ours: its own Date says how far away the reset is.
        ("requests", "0", "2027-01-15T09:00:04Z", AN_HOUR_AHEAD, 4),
        ("requests", "1", "2027-01-15T08:00:07Z", {}, 0),
        ("output", "40", "2027-01-15T08:00:07Z", {}, 0),
        ("x-requests", "0", "", {}, 0),
        ("x-requests", "0", "soon", {}, 0),
        ("x-requests", "none", "9s", {}, 0),
        ("requests", "0", "2027-01-15T07:59:00Z", {}, 0),
        ("x-tokens", "50", "9s", {"x-ratelimit-limit-tokens": "50"}, 0),
    ],
)
def test_headers_say_how_long_to_wait(kind, left, reset, more, wait):
    """An allowance that is used up holds the next call, of 100 tokens, until its reset; the unreadable holds none."""
    clock = ManualClock(START, auto=True)
    lane = Lane(clock)
    lane.learn({**dict(zip(NAMES[kind], (left, reset), strict=True)), **more})
    sent = asyncio.run(lane.enter(100, cap=120.0))
    assert sent.at - START == pytest.approx(wait)


def test_what_is_left_is_counted_down_by_what_is_sent():
    """Three left by the headers: three go at once, the fourth waits for the reset, then nothing is known."""
    clock = ManualClock(START, auto=True)
    lane = Lane(clock)
    lane.learn({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "20s"})

    async def go():
        return [(await lane.enter(0, cap=120.0)).at - START for _ in range(5)]

    assert asyncio.run(go()) == [0.0, 0.0, 0.0, 20.0, 20.0 + GAP]


@given(st.text(max_size=30))
def test_no_reset_text_breaks_the_reader(text):
    """Whatever stands in the header, the answer is None or a time from 0 to a day."""
    seconds = seconds_until(text, START)
    assert seconds is None or 0 <= seconds <= 86_400


def test_what_a_call_really_used_takes_the_place_of_its_estimate():
    """A call that used less makes room within the minute; one that reached nobody frees its slot."""
    clock = ManualClock(START)
    lane = Lane(clock, RateLimits(requests_per_minute=2, tokens_per_minute=1000))

    async def go():
        first = await lane.enter(900, cap=0.0)
        with pytest.raises(RateLimitedError):
            await lane.enter(200, cap=0.0)
        lane.settle(first, 300)
        second = await lane.enter(200, cap=0.0)
        with pytest.raises(RateLimitedError):
            await lane.enter(1, cap=0.0)
        lane.give_back(second)
        await lane.enter(700, cap=0.0)

    asyncio.run(go())


def test_a_limit_below_one_is_refused():
    """Zero requests a minute is no limit but a mistake."""
    with pytest.raises(ConfigError):
        RateLimits(requests_per_minute=0)


def test_clients_on_one_key_share_the_limit_and_a_refused_call_is_charged_nothing():
    """Two clients of one key together keep to two a minute; the third call parks, with a row that cost 0."""
    ledger = MemoryCallLedger()
    factory, scripted = scripted_factory(["x"], repeat=True, name="anthropic", clock=ManualClock(START))
    limits = RateLimits(requests_per_minute=2)
    clients = [factory.create_client(CONFIG, ledger=ledger, limits=limits) for _ in range(2)]

    async def go():
        clock = factory._clock
        await clients[0].invoke("a", key="a/1")
        await clients[1].invoke("b", key="a/2")
        third = asyncio.ensure_future(clients[0].invoke("c", key="a/3"))
        await settle()
        assert len(scripted.calls) == 2
        await run_until(clock, [third], step=5.0)
        assert (await third).text == "x"
        again = await clients[1].invoke("a", key="a/1")
        assert again.recorded

    asyncio.run(go())
    assert len(scripted.calls) == 3
    assert [row.charged is not None for row in ledger.rows] == [True] * 3


def test_a_first_models_pause_lets_the_fallback_answer():
    """A key that may not send for longer than the cap is no reason to wait where there is another model; it is said."""
    factory, scripted = scripted_factory([RateLimitedError("slow", retry_after=300)], name="anthropic")
    factory.register_provider("scripted", ScriptedLLM(["b", "c"]))
    client = factory.create_client(CONFIG, fallbacks=(LLMConfig("scripted", "spare"),))

    async def go():
        return await client.invoke(ASK), await client.invoke(ASK)

    first, second = asyncio.run(go())
    assert [first.text, second.text] == ["b", "c"]
    assert len(scripted.calls) == 1
    assert "rate_limited" in second.notes[0]
    assert second.unsettled == ()


def test_tokens_are_counted_by_the_meters_estimate_and_settled_by_the_usage():
    """A prompt that by estimate fills the minute holds the next one; a small usage that was reported lets it go."""
    small = Completion("ok", usage=Usage(10, 5, calls=1))
    factory, scripted = scripted_factory([small], repeat=True, name="anthropic", clock=ManualClock(START))
    client = factory.create_client(CONFIG, limits=RateLimits(tokens_per_minute=1000))

    async def go():
        await client.invoke("word " * 300)
        await client.invoke("word " * 300)

    asyncio.run(go())
    assert len(scripted.calls) == 2
    assert factory._clock.slept == []


def test_a_call_that_reached_nobody_takes_no_slot():
    """A refused connection is no request of the minute, a 500 is."""
    nobody = ProviderUnavailableError("down", "ConnectError")
    nobody.unbilled = True
    for error, slept in [(nobody, False), (from_status(500, None), True)]:
        clock = ManualClock(START, auto=True)
        factory = LLMFactory(clock=clock, random=Random(0))
        factory.register_provider("anthropic", ScriptedLLM([error, "x"]))
        client = factory.create_client(CONFIG, limits=RateLimits(requests_per_minute=1))
        assert asyncio.run(client.invoke(ASK)).text == "x"
        assert (clock.now() - START >= 60.0) is slept
