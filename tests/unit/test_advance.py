"""A run that is to start so many tasks and no more: it pauses after them, also when a worker died in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from walk_cases import Watched, killed, walking

from orchestrator_v2.core import events as e
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.state_models import PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.testing.engines import Bench, open_bench

CHAIN = [Phase("a", "developer"), Phase("b", "developer", needs=("a",)), Phase("c", "qa", needs=("b",))]
WIDE = [Phase(name, "developer") for name in "abcd"]


def on(runner: Watched, work: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        await work(await open_bench(runner))

    asyncio.run(asyncio.wait_for(main(), 20))


def done(state: ProjectState) -> set[str]:
    return {name for name, entry in state.phases.items() if entry.status is PhaseStatus.DONE}


def test_one_task_at_a_time_reaches_the_end() -> None:
    """Each advance does one phase and pauses with words; the last one completes the run."""

    async def work(bench: Bench) -> None:
        session = await bench.start(CHAIN, tasks=1)
        state = await bench.driver.drive(session)
        for count in (1, 2):
            assert (state.status, len(done(state)), state.tasks_left) == (RunStatus.PAUSED, count, 0)
            assert "one phase" in state.stopped
            session = await bench.reopen(state.run_id)
            await bench.engine.resume(session, by="ann", tasks=1)
            state = await bench.driver.drive(session)
        assert (state.status, done(state)) == (RunStatus.COMPLETED, {"a", "b", "c"})

    on(Watched(), work)


@given(st.integers(1, 6))
@settings(max_examples=6, deadline=None)
def test_never_more_tasks_are_started_than_were_allowed(tasks: int) -> None:
    """Also where four could go on at once: as many as allowed, or as there are."""
    runner = Watched()

    async def work(bench: Bench) -> None:
        state = await bench.driver.drive(await bench.start(WIDE, tasks=tasks, parallelism=4))
        assert len(runner.keys) == min(tasks, 4)
        assert state.status is (RunStatus.COMPLETED if tasks >= 4 else RunStatus.PAUSED)

    on(runner, work)


def test_a_plain_resume_does_the_rest() -> None:
    """What was held back is not held back for good."""

    async def work(bench: Bench) -> None:
        state = await bench.driver.drive(await bench.start(CHAIN, tasks=1))
        session = await bench.reopen(state.run_id)
        await bench.engine.resume(session, by="ann")
        assert (await bench.driver.drive(session)).status is RunStatus.COMPLETED

    on(Watched(), work)


def test_a_task_that_died_with_its_worker_may_be_started_once_more() -> None:
    """A crash in the middle of an advance neither loses the phase nor lets the run go on to its end."""
    runner = Watched()

    async def work(bench: Bench) -> None:
        runner.gates["a"] = asyncio.Event()
        walk, drive = await walking(bench, CHAIN, tasks=1)
        await killed(drive)
        runner.gates["a"].set()
        session = await bench.reopen(walk.session.state.run_id)
        await bench.engine.recover(session)
        assert session.state.tasks_left == 1
        state = await bench.driver.drive(session)
        assert (state.status, done(state), runner.keys) == (RunStatus.PAUSED, {"a"}, ["a", "a"])

    on(runner, work)


def test_a_review_that_waits_is_what_the_run_says() -> None:
    """Held back or not, a person is asked first; after their word the run is paused, not under way."""
    phases = [Phase("a", "developer", gate=Gate(review="human")), Phase("b", "qa", needs=("a",))]

    async def work(bench: Bench) -> None:
        state = await bench.driver.drive(await bench.start(phases, tasks=1))
        assert state.status is RunStatus.WAITING_REVIEW
        seen = state.phase("a").reviewed
        await bench.engine.decide(state.run_id, "a", approved=True, by="ann", content=seen, reason="")
        session = await bench.reopen(state.run_id)
        await bench.engine.recover(session, by="signal")
        state = await bench.driver.drive(session)
        assert (state.status, done(state)) == (RunStatus.PAUSED, {"a"})

    on(Watched(), work)


def test_what_may_still_be_started_is_a_fold_of_the_events() -> None:
    """A run opened from the journal knows it, without anybody's memory."""

    async def work(bench: Bench) -> None:
        state = await bench.driver.drive(await bench.start(CHAIN, tasks=2))
        again = await bench.engine.state(state.run_id)
        assert (again.tasks_left, again) == (0, state)
        started = [it.event for it in bench.told if isinstance(it.event, e.TaskStarted)]
        assert [it.phase for it in started] == ["a", "b"]

    on(Watched(), work)
