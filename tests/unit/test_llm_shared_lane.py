"""Laws of the lane that several workers share, whatever arrives where; that all stores keep them is the contracts'."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_cases import Fleet, SteppingClock

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import GAP, RateLimits
from orchestrator_v2.llm.lane_board import Ask, News
from orchestrator_v2.llm.lane_line import GRACE, GRAIN, LOOK, MemoryLaneBoard, SharedLane
from orchestrator_v2.llm.lane_seat import lane_name
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.testing.scripted_llm import ScriptedLLM

WORKERS = 3
# (seconds, worker, tokens) of each call, in order.
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, WORKERS - 1), st.integers(1, 1000)), min_size=1, max_size=20
).map(sorted)
LIMITS = st.builds(RateLimits, st.one_of(st.none(), st.integers(1, 6)), st.one_of(st.none(), st.just(1000)))
# (seconds, worker) of a pause or a death.
MOMENTS = st.lists(st.tuples(st.integers(0, 90), st.integers(0, WORKERS - 1)), max_size=3)


def played(arrivals, limits, *, pauses=(), deaths=(), seconds=20.0):
    """The calls that went out, those that were refused or lost, and when it was over."""
    clock = SteppingClock()

    async def go():
        fleet = Fleet(clock, [MemoryLaneBoard(clock)] * WORKERS, limits)
        tasks = []
        what_comes = [(moment, 0, worker, tokens) for moment, worker, tokens in arrivals]
        what_comes += [(moment, 1, worker, 0) for moment, worker in pauses]
        what_comes += [(moment, 2, worker, 0) for moment, worker in deaths]
        for moment, kind, worker, tokens in sorted(what_comes):
            await fleet.until(moment)
            if kind == 0:
                tasks.append((worker, asyncio.ensure_future(fleet.call(worker, tokens))))
            elif kind == 1:
                fleet.lanes[worker].pause(seconds)
            for _, task in [it for it in tasks if kind == 2 and it[0] == worker]:
                task.cancel()
            await fleet.settle()
        results = await fleet.done([task for _, task in tasks])
        return fleet.went, results, clock.monotonic() - fleet.start

    return asyncio.run(go())


def holds(went, limits):
    most, most_tokens = limits.requests_per_minute, limits.tokens_per_minute
    for first in went:
        window = [it for it in went if first.at <= it.at < first.at + 60.0 - 1e-6]
        assert most is None or len(window) <= most
        assert most_tokens is None or sum(it.tokens for it in window) <= most_tokens


@settings(max_examples=60, deadline=None)
@given(ARRIVALS, LIMITS, MOMENTS)
def test_no_window_of_a_minute_holds_more_than_the_limit_of_all_workers_together(arrivals, limits, pauses):
    """Calls at random, pauses at random, clocks an hour apart: the limit holds, and every call is sent in the end."""
    went, results, _ = played(arrivals, limits, pauses=pauses)
    holds(went, limits)
    assert len(went) == len(arrivals) == len(results)
    for moment, _ in pauses:
        assert not [it.at for it in went if moment + 1e-6 < it.at < moment + 20.0 - 1e-6]


@settings(max_examples=30, deadline=None)
@given(ARRIVALS, st.integers(1, 6))
def test_nobody_is_held_longer_than_by_the_one_rule_for_all(arrivals, most):
    """The n-th call of all goes out when the one `most` before it is a minute old, or when it comes; a grain later."""
    went, _, _ = played(arrivals, RateLimits(requests_per_minute=most))
    at = []
    for number, (moment, _, _) in enumerate(arrivals):
        at.append(max(float(moment), at[number - most] + 60.0 if number >= most else 0.0, at[-1] if at else 0.0))
    late = [really - ideal for really, ideal in zip(sorted(it.at for it in went), at, strict=True)]
    assert max(late) <= (len(arrivals) // most + 1) * GRAIN + GRACE


@settings(max_examples=30, deadline=None)
@given(ARRIVALS, st.integers(1, 6), MOMENTS)
def test_who_dies_blocks_nobody_for_longer_than_the_window(arrivals, most, deaths):
    """Whoever dies when: all calls of the living are sent, as soon as if the dead had sent theirs, and one minute."""
    went, results, over = played(arrivals, RateLimits(requests_per_minute=most), deaths=deaths)
    holds(went, RateLimits(requests_per_minute=most))
    lost = sum(isinstance(it, asyncio.CancelledError) for it in results)
    assert len(went) + lost == len(arrivals)
    assert over <= 90.0 + 60.0 * (len(arrivals) // most + 1) + LOOK + GRACE


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, WORKERS - 1), min_size=2, max_size=20))
def test_nobody_stampedes_when_a_pause_ends(workers):
    """All who waited in a pause that one worker met go one by one, a gap apart, whosever they are."""
    went, _, _ = played([(1, worker, 1) for worker in workers], None, pauses=[(0, 0)])
    at = sorted(it.at for it in went)
    assert at[0] >= 20.0
    assert all(later - before >= GAP - 1e-6 for before, later in itertools.pairwise(at))


def test_a_lane_reads_back_as_it_was_written():
    """Sends, tickets and allowances outlive the row that they are kept in."""
    lane = SharedLane()
    limits = RateLimits(requests_per_minute=1)
    assert lane.ask(Ask(5, limits, 90.0), 100.0).slot == 100.0
    assert lane.ask(Ask(5, limits, 90.0, holder="b"), 101.0).wait == 59.0
    lane.tell(News(at=7.0, hold_until=9.0), 102.0)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(lane), type=SharedLane)
    assert msgspec.to_builtins(again) == msgspec.to_builtins(lane)
    assert (
        again.ask(Ask(5, limits, 90.0, holder="c"), 103.0).wait
        == lane.ask(Ask(5, limits, 90.0, "c"), 103.0).wait
        == 117.0
    )


def test_a_lane_is_named_by_provider_place_and_key_and_shows_no_key():
    """Each of the three makes another name; the name is a digest, and a shift between the parts makes another too."""
    key = Secret("sk-ant-api03-planted-canary-value")
    names = {
        lane_name("anthropic", "https://a", key),
        lane_name("openai", "https://a", key),
        lane_name("anthropic", "https://b", key),
        lane_name("anthropic", "https://a", Secret("sk-ant-api03-another-canary-value")),
        lane_name("anthropichttps://a", "", key),
    }
    assert len(names) == 5
    assert lane_name("anthropic", "https://a", key) in names
    assert all(len(name) == 32 and not set(name) - set("0123456789abcdef") for name in names)


class Unasked(MemoryLaneBoard):
    """Remembers which lanes were asked for."""

    def __init__(self):
        super().__init__(ManualClock())
        self.lanes = []

    async def ask(self, lane, ask):
        self.lanes.append(lane)
        return await super().ask(lane, ask)


def test_factories_with_one_board_share_a_key_and_without_a_key_nothing():
    """Two factories on one board ask for the same lane; a model without a key, as of one's own machine, asks nobody."""
    board = Unasked()

    async def go(key):
        for seed in range(2):
            factory = LLMFactory(clock=ManualClock(), random=Random(seed), board=board)
            factory.register_provider("scripted", ScriptedLLM(["x"], repeat=True))
            client = factory.create_client(LLMConfig("scripted", "m", key))
            assert (await client.invoke("a")).text == "x"

    asyncio.run(go(Secret("sk-ant-api03-planted-canary-value")))
    assert len(board.lanes) == 2
    assert len(set(board.lanes)) == 1
    asyncio.run(go(None))
    assert len(board.lanes) == 2
