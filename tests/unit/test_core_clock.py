"""The manual clock moves only when told and wakes its sleepers in order; ids are of their source."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock, SystemClock
from orchestrator_v2.core.ids import CountingIds, RandomIds


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_sleepers_wake_when_their_moment_has_passed() -> None:
    """Nobody wakes early, and all who are due wake in one move."""

    async def scene() -> None:
        clock, woken = ManualClock(start=100.0), list[str]()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        tasks = [asyncio.create_task(sleeper(name, seconds)) for name, seconds in (("c", 3), ("a", 1), ("b", 2))]
        await _settle()
        clock.advance(0.999)
        await _settle()
        assert woken == []
        clock.advance(1.001)
        await _settle()
        assert woken == ["a", "b"]
        clock.advance(10)
        await asyncio.gather(*tasks)
        assert woken == ["a", "b", "c"]
        assert clock.now() == clock.monotonic() == 112.0

    asyncio.run(scene())


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=20))
def test_sleepers_wake_in_the_order_of_their_moments(moments: list[float]) -> None:
    """Whatever the order in which they lay down; those of one moment first come, first woken."""

    async def scene() -> list[int]:
        clock, woken = ManualClock(), list[int]()

        async def sleeper(number: int) -> None:
            await clock.sleep(moments[number])
            woken.append(number)

        tasks = [asyncio.create_task(sleeper(number)) for number in range(len(moments))]
        await _settle()
        clock.advance(2000)
        await asyncio.gather(*tasks)
        return woken

    start = ManualClock().now()
    assert asyncio.run(scene()) == sorted(range(len(moments)), key=lambda number: start + moments[number])


def test_a_cancelled_sleeper_does_not_disturb_the_others() -> None:
    """A task that was cancelled in its sleep is passed over."""

    async def scene() -> None:
        clock = ManualClock()
        gone, stays = (asyncio.create_task(clock.sleep(seconds)) for seconds in (1, 2))
        await _settle()
        gone.cancel()
        await _settle()
        clock.advance(5)
        await asyncio.wait_for(stays, 1)
        assert gone.cancelled()

    asyncio.run(scene())


def test_an_automatic_clock_sleeps_at_once_and_remembers() -> None:
    """Retries can be tested without waiting: the time passes, and what was asked for can be read."""

    async def scene() -> None:
        clock = ManualClock(start=0.0, auto=True)
        await clock.sleep(2.0)
        await clock.sleep(0.0)
        await clock.sleep(-1.0)
        assert clock.now() == 2.0
        assert clock.slept == [2.0, 0.0, -1.0]

    asyncio.run(asyncio.wait_for(scene(), 1))


def test_the_systems_clock_passes() -> None:
    """The real clock sleeps at least as long as asked, and is in this century."""

    async def scene() -> float:
        clock = SystemClock()
        before = clock.monotonic()
        await clock.sleep(0.01)
        return clock.monotonic() - before

    assert asyncio.run(scene()) >= 0.009
    assert SystemClock().now() > 1_700_000_000


def test_ids_are_readable_distinct_and_repeatable_where_asked() -> None:
    """Random ids do not meet; counting ids are the same in each test."""
    random, counting = RandomIds(), CountingIds()
    assert len({random.new("run") for _ in range(2000)}) == 2000
    assert random.new("run").startswith("run_")
    assert len(random.new("run")) == len("run_") + 12
    assert [counting.new("run"), counting.new("prj")] == ["run_000001", "prj_000002"]


@pytest.mark.parametrize("letter", "ilou")
def test_random_ids_hold_no_letter_that_is_read_wrongly(letter: str) -> None:
    """An id that is read out over a telephone has no i, l, o or u."""
    assert letter not in "".join(RandomIds().new("")[1:] for _ in range(500))
