"""What workers share of one credential's limits, the same on SQLite, PostgreSQL and in memory.

The workers' clocks are an hour apart from each other throughout; how the law itself is kept in one process is
`tests/unit/test_llm_lane.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from lane_cases import HOUR, NAME, Ahead, Fleet, opened, with_fleet

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import RateLimitedError, StoreUnavailableError
from orchestrator_v2.llm.lane import GAP, Lane, RateLimits
from orchestrator_v2.llm.lane_board import Ask, LaneBoard, News
from orchestrator_v2.llm.lane_seat import LaneSeat
from orchestrator_v2.persistence.batch import Unit

TWO_A_MINUTE = RateLimits(requests_per_minute=2)
A_THOUSAND_TOKENS = RateLimits(tokens_per_minute=1000)
DOWN = StoreUnavailableError("The database cannot be reached.", "It is down.", "Start it.")
# Calls within half a second count as one moment.
GRAIN = 0.51


def times(went: list[object]) -> list[float]:
    return [it.at if hasattr(it, "at") else it for it in went]  # type: ignore[misc]


def test_a_pause_that_one_worker_met_holds_the_next_call_of_all(url: str) -> None:
    """The others have met nothing themselves, and their first call is behind the pause; one by one, no herd."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].pause(30.0)
        await fleet.until(1.0)
        return times(await fleet.all([fleet.call(number % 3) for number in range(9)]))

    went = with_fleet(url, 3, None, work)
    assert sorted(went) == pytest.approx([30.0 + n * GAP for n in range(9)])


def test_a_pause_also_holds_those_who_wait_for_something_else(url: str) -> None:
    """Who waits for a slot when another worker meets a 429 does not go out before both are over."""

    async def work(fleet: Fleet) -> list[float]:
        tasks = [asyncio.ensure_future(fleet.call(1)) for _ in range(3)]
        await fleet.until(55.0)
        fleet.lanes[0].pause(20.0)
        await fleet.settle()
        return times(await fleet.done(tasks))

    assert with_fleet(url, 2, TWO_A_MINUTE, work) == pytest.approx([0.0, 0.0, 75.0])


def test_requests_of_a_minute_are_counted_over_all_workers(url: str) -> None:
    """Three workers with four calls each: two in any minute together, and by turns, so that nobody is starved."""

    async def work(fleet: Fleet) -> list[tuple[float, int]]:
        await fleet.all([fleet.call(number % 3) for number in range(12)])
        return [(it.at, it.worker) for it in fleet.went]

    went = with_fleet(url, 3, TWO_A_MINUTE, work)
    assert [at for at, _ in went] == pytest.approx([60.0 * (n // 2) for n in range(12)], abs=6 * GRAIN)
    for worker in range(3):
        own = [at for at, who in went if who == worker]
        assert own == sorted(own)
        assert max(later - at for at, later in itertools.pairwise(own)) <= 120.0 + 6 * GRAIN


def test_tokens_of_a_minute_are_counted_over_all_workers_as_they_were_used(url: str) -> None:
    """What one worker's call really used, more or less than its estimate, is what the other may not send."""

    async def work(fleet: Fleet) -> list[float]:
        first = await fleet.call(0, 900)
        refused = await fleet.all([fleet.call(1, 200, cap=1.0)])
        assert isinstance(refused[0], RateLimitedError)
        fleet.lanes[0].settle(first.sent, 300)
        await fleet.settle()
        second = (await fleet.all([fleet.call(1, 200, cap=1.0)]))[0]
        fleet.lanes[1].settle(second.sent, 700)
        await fleet.settle()
        refused = await fleet.all([fleet.call(0, 1, cap=1.0)])
        assert isinstance(refused[0], RateLimitedError)
        fleet.lanes[1].give_back(second.sent)
        await fleet.settle()
        return times(await fleet.all([fleet.call(0, 700), fleet.call(1, 1)]))

    assert with_fleet(url, 2, A_THOUSAND_TOKENS, work) == pytest.approx([0.0, 60.0])


def test_a_call_that_reached_nobody_frees_its_slot_for_the_other_worker(url: str) -> None:
    """Of two slots one is given back, and another worker has it at once."""

    async def work(fleet: Fleet) -> list[float]:
        first, second = await fleet.all([fleet.call(0), fleet.call(0)])
        fleet.lanes[0].give_back(first.sent)
        fleet.lanes[0].settle(second.sent, 5)
        await fleet.settle()
        return times(await fleet.all([fleet.call(1), fleet.call(1)]))

    assert with_fleet(url, 2, TWO_A_MINUTE, work) == pytest.approx([0.0, 60.0])


@pytest.mark.parametrize(
    ("left", "reset", "wait"), [("0", "20s", 20.0), ("1", "20s", 0.0), ("0", "", 0.0), ("0", "2m", 120.0)]
)
def test_an_allowance_that_one_worker_found_used_up_holds_the_others(
    url: str, left: str, reset: str, wait: float
) -> None:
    """The other worker has seen no header, and waits for the reset; one that is not used up holds nobody."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].learn({"x-ratelimit-remaining-requests": left, "x-ratelimit-reset-requests": reset})
        await fleet.settle()
        return times(await fleet.all([fleet.call(1)]))

    assert with_fleet(url, 2, None, work) == pytest.approx([wait])


def test_what_is_left_is_counted_down_by_the_calls_of_all(url: str) -> None:
    """Three left: after the next call of who has learned it, two more of anyone, then nobody before the reset."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].learn({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "20s"})
        return times(await fleet.all([fleet.call(n) for n in (0, 1, 2, 1, 0)]))

    assert sorted(with_fleet(url, 3, None, work)) == pytest.approx([0.0, 0.0, 0.0, 20.0, 20.0 + GAP])


def test_a_named_wait_takes_the_place_of_what_was_learned(url: str) -> None:
    """A server that says two seconds knows better than the reset of an allowance that it said before."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].learn({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "50s"})
        await fleet.call(0)
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "50s", "retry-after": "2"}
        fleet.lanes[0].learn(headers)
        await fleet.settle()
        return times(await fleet.all([fleet.call(1), fleet.call(0)]))

    assert sorted(with_fleet(url, 2, None, work)) == pytest.approx([2.0, 2.0 + GAP])


def test_who_would_wait_over_the_cap_is_told_at_once_and_keeps_no_place(url: str) -> None:
    """The refusal names the time, nothing was sent, and the next in line has the turn."""

    async def work(fleet: Fleet) -> list[float]:
        await fleet.all([fleet.call(0), fleet.call(0)])
        waiting = asyncio.ensure_future(fleet.call(0))
        await fleet.settle()
        (refused,) = await fleet.all([fleet.call(1, cap=30.0)])
        assert isinstance(refused, RateLimitedError)
        assert (refused.retry_after, refused.unbilled, refused.final) == (pytest.approx(60.0), True, True)
        return times(await fleet.done([waiting]) + await fleet.all([fleet.call(1, cap=1.0)]))

    assert with_fleet(url, 2, TWO_A_MINUTE, work) == pytest.approx([60.0, 60.0])


def test_a_worker_that_dies_while_it_waits_holds_nobody_for_longer(url: str) -> None:
    """Its place is forgotten, what it had sent leaves with the minute, and the one behind it goes then."""

    async def work(fleet: Fleet) -> list[float]:
        await fleet.all([fleet.call(0), fleet.call(0)])
        dying = [asyncio.ensure_future(fleet.call(0)) for _ in range(5)]
        await fleet.settle()
        waiting = [asyncio.ensure_future(fleet.call(1)) for _ in range(2)]
        await fleet.until(10.0)
        # It says nothing any more.
        fleet.lines[0].cut = DOWN
        for task in dying:
            task.cancel()
        return times(await fleet.done(waiting))

    assert with_fleet(url, 2, TWO_A_MINUTE, work) == pytest.approx([60.0, 60.0], abs=GRAIN)


def test_who_gives_up_waiting_gives_its_place_back(url: str) -> None:
    """A call that is cancelled in the line holds nobody for the time in which its place would be remembered."""

    async def work(fleet: Fleet) -> list[float]:
        await fleet.all([fleet.call(0), fleet.call(0)])
        ahead = [asyncio.ensure_future(fleet.call(0)) for _ in range(2)]
        await fleet.settle()
        behind = [asyncio.ensure_future(fleet.call(1)), asyncio.ensure_future(fleet.call(1))]
        await fleet.until(50.0)
        for task in ahead:
            task.cancel()
        await fleet.settle()
        return times(await fleet.done(behind))

    assert with_fleet(url, 2, TWO_A_MINUTE, work) == pytest.approx([60.0, 60.0])


def test_no_pause_locks_a_key_out_for_good(url: str) -> None:
    """A server that names a wait of years is believed for a day: what is shared outlives every restart."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].pause(1e9)
        await fleet.settle()
        return times(await fleet.all([fleet.call(1, cap=90_000.0)]))

    assert with_fleet(url, 2, None, work) == pytest.approx([86_400.0])


def test_a_clock_that_is_set_back_holds_nobody_for_the_difference(url: str) -> None:
    """The board's clock falls back by an hour in a pause of 30 s, and the call goes out 30 s later, not 3,630."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lanes[0].pause(30.0)
        await fleet.settle()
        if url != "memory:":  # its clock is monotonic
            fleet.clock._now -= 3600.0
            fleet.start -= 3600.0
        return times(await fleet.all([fleet.call(1)]))

    assert with_fleet(url, 2, None, work) == pytest.approx([30.0])


def test_without_the_board_nothing_is_sent_and_what_was_to_be_told_is_told_later(url: str) -> None:
    """A worker that cannot reach the others says so; the pause that it met meanwhile holds them afterwards."""

    async def work(fleet: Fleet) -> list[float]:
        fleet.lines[0].cut = DOWN
        refused = await fleet.all([fleet.call(0)])
        assert isinstance(refused[0], StoreUnavailableError)
        fleet.lanes[0].pause(60.0)
        refused = await fleet.all([fleet.call(0, cap=1.0)])
        assert isinstance(refused[0], RateLimitedError)
        fleet.lines[0].cut = None
        # It is refused by what this worker knows itself, and the others hear of it all the same.
        await fleet.all([fleet.call(0, cap=1.0)])
        assert fleet.went == []
        return times(await fleet.all([fleet.call(1)]))

    assert with_fleet(url, 2, None, work) == pytest.approx([60.0])


def test_a_call_costs_one_question_and_one_that_waits_few(url: str) -> None:
    """No limit, or one that is not reached: one each. A wait of a minute: one every 15 s."""

    async def free(fleet: Fleet) -> int:
        await fleet.all([fleet.call(0) for _ in range(10)])
        return fleet.lines[0].asked

    async def limited(fleet: Fleet) -> int:
        await fleet.all([fleet.call(0) for _ in range(3)])
        return fleet.lines[0].asked

    assert with_fleet(url, 1, None, free) == 10
    assert with_fleet(url, 1, TWO_A_MINUTE, limited) <= 2 + 6


@pytest.mark.parametrize("first", [0, 1])
def test_the_databases_clock_is_the_one_that_counts(stored_url: str, first: int) -> None:
    """Two real clocks an hour apart: a pause of 0.4 s by either holds the other for 0.4 s, on the database's own."""

    async def work() -> float:
        async with opened(stored_url, 2, None) as boards:
            clocks = [Ahead(SystemClock(), number * HOUR) for number in range(2)]
            lanes = [
                Lane(own, None, LaneSeat(board, NAME, str(own.monotonic()), own))
                for own, board in zip(clocks, boards, strict=True)
            ]
            began = time.monotonic()
            lanes[first].pause(0.4)
            await boards[first].tell(NAME, News())
            await lanes[1 - first].enter(0, cap=30.0)
            return time.monotonic() - began

    assert 0.39 <= asyncio.run(work()) < 5.0


def test_thousands_a_minute_are_kept_in_a_few_kilobytes(stored_url: str) -> None:
    """The row is small whatever the limit, the limit holds, and rows that mean nothing any more are dropped."""
    limits = RateLimits(requests_per_minute=1000, tokens_per_minute=10**9)

    async def work() -> None:
        moment = 1000.0
        async with opened(stored_url, 1, lambda: moment) as (board,):
            went = 0
            for step in range(105):
                moment = 1000.0 + step * 0.55
                answers = await asyncio.gather(*(board.ask(NAME, Ask(100, limits, 0.0)) for _ in range(10)))
                went += sum(not answer.wait for answer in answers)
            assert went == 1000
            ((size,),) = await rows(board, "SELECT MAX(LENGTH(state)) FROM lanes")
            assert size < 8192
            for number in range(20):
                moment += 3700.0
                await board.tell(f"lane {number}", News(at=0.0, hold_until=1.0))
            await board.tell("quiet", News())
            assert await rows(board, "SELECT lane FROM lanes ORDER BY until") == [("lane 19",)]

    asyncio.run(work())


async def rows(board: LaneBoard, statement: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = await board._writer.submit(Unit(lambda it: it.session.rows(statement)))  # type: ignore[attr-defined]
    return found
