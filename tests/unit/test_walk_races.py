"""Races of one walk: what comes back late, stands in the queue, or is on its way to the disk when the run turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from walk_cases import (
    HeldJournal,
    Watched,
    bad_once,
    held_bench,
    orchestrator_over,
    quiet,
    raising,
    walking,
    word,
)

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import (
    FencedError,
    OrchestratorError,
    RequestRejectedError,
    RunStateError,
    StoreFullError,
)
from orchestrator_v2.core.workflow import Gate, Phase, Workflow
from orchestrator_v2.durable.embedded import Walk
from orchestrator_v2.engine import signals
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.state_models import OutputFile, PhaseStatus, RunStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.testing.engines import Bench

A = Phase("a", "architect")


def test_a_queued_phase_waits_for_its_need_again() -> None:
    """A phase that stood in the queue when its need was reopened starts after the new round, and sees that one."""
    runner = Watched(b=bad_once)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        phases = [A, Phase("b", "qa", needs=("a",), on_fail="a"), Phase("c", "developer", needs=("a",))]
        state = await bench.walk(phases, parallelism=1)
        assert state.status is RunStatus.COMPLETED
        assert runner.keys == ["a", "b", "a.r2", "b.r2", "c"]
        assert runner.too_early == []

    held_bench(runner, work)


def test_a_phase_that_names_a_need_twice_waits_for_the_others() -> None:
    """The same need given twice counts once, so that the third one is still waited for."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["c"] = asyncio.Event()
        _, drive = await walking(bench, [A, Phase("c", "qa"), Phase("x", "developer", needs=("a", "a", "c"))])
        assert runner.keys == ["a", "c"]
        runner.gates["c"].set()
        await drive
        assert runner.keys == ["a", "c", "x"]

    held_bench(runner, work)


def test_a_phase_left_out_before_a_reopening_is_settled_once() -> None:
    """Done again, the need of a skipped phase does not free what stands on both a second time."""
    runner = Watched(b=bad_once)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["b.r2"] = asyncio.Event()
        left_out = Phase("w", "data", needs=("a",), when={"mode": "real"})
        last = Phase("c", "developer", needs=("a", "w", "b"))
        _, drive = await walking(bench, [A, left_out, Phase("b", "qa", needs=("a",), on_fail="a"), last])
        assert runner.keys == ["a", "b", "a.r2", "b.r2"]
        runner.gates["b.r2"].set()
        await drive
        assert runner.keys[-1] == "c"
        assert runner.too_early == []
        assert [word(it.event) for it in bench.told].count("PhaseSkipped w") == 1

    held_bench(runner, work)


def test_a_rejection_wakes_the_phase_that_found_no_room() -> None:
    """Reopened while the only place was taken, a phase starts when that task comes back; its late result is dropped."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["c"] = asyncio.Event()
        review = Phase("b", "consensus", needs=("a",), gate=Gate(review="human"), on_fail="a")
        walk, drive = await walking(bench, [A, review, Phase("c", "developer", needs=("a",))], parallelism=1)
        state = walk.session.state
        seen = state.phase("b").reviewed
        await bench.engine.decide(state.run_id, "b", approved=False, by="me", content=seen, reason="no")
        await walk.attempt_receive()
        assert runner.keys == ["a", "b", "c"]
        runner.gates["c"].set()
        await drive
        state = walk.session.state
        assert state.status is RunStatus.WAITING_REVIEW
        assert runner.keys == ["a", "b", "c", "a.r2", "b.r2", "c.r2"]
        assert [word(it.event) for it in bench.told].count("TaskCompleted c") == 1

    held_bench(runner, work)


def test_a_start_on_its_way_to_the_disk_is_taken_back_by_a_reopening() -> None:
    """A task whose start is not acknowledged when its phase is reopened is not run as a round that nobody began."""
    runner = Watched(b=bad_once)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        journal.held["TaskCompleted d"] = asyncio.Event()
        runner.gates |= {"b": asyncio.Event(), "a.r2": asyncio.Event()}
        phases = [
            A,
            Phase("b", "qa", needs=("a",), on_fail="a"),
            Phase("d", "data", needs=("a",)),
            Phase("x", "developer", needs=("d",)),
            Phase("y", "developer", needs=("x", "b")),
        ]
        walk, drive = await walking(bench, phases)
        assert walk.session.state.phase("x").status is PhaseStatus.RUNNING
        assert runner.keys == ["a", "b", "d"]
        runner.gates["b"].set()
        await quiet()
        journal.held["TaskCompleted d"].set()
        await quiet()
        assert runner.keys == ["a", "b", "d", "a.r2"]
        runner.gates["a.r2"].set()
        await drive
        assert walk.session.state.status is RunStatus.COMPLETED
        assert runner.too_early == []
        assert set(runner.attempts) == {1}

    held_bench(runner, work)


def test_nothing_follows_an_append_that_failed() -> None:
    """A result that comes after one that could not be written is not written either: the events stay readable."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        both = asyncio.Event()
        runner.gates |= {"a": both, "b": both}
        journal.refused["TaskCompleted a"] = StoreFullError("The disk is full.")
        walk, drive = await walking(bench, [A, Phase("b", "qa")])
        both.set()
        with pytest.raises(StoreFullError):
            await drive
        run_id = walk.session.state.run_id
        assert journal.tried[-1] == "TaskCompleted a"
        assert [it.seq for it in await journal.events(run_id)] == [1, 2, 3]
        session = await bench.reopen(run_id)
        await bench.engine.recover(session)
        assert (await bench.driver.drive(session)).status is RunStatus.COMPLETED

    held_bench(runner, work)


@pytest.mark.parametrize(
    "error",
    [
        *(MemoryError(), RecursionError(), TimeoutError(), StopIteration(), StopAsyncIteration()),
        *(GeneratorExit(), asyncio.CancelledError()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_task_that_dies_of_anything_fails_its_run(error: BaseException) -> None:
    """Whatever is raised inside a task, a cancellation of its own included, ends the walk and says so."""

    async def work(bench: Bench, journal: HeldJournal) -> None:
        state = await bench.walk([A])
        assert state.status is RunStatus.FAILED
        assert "fault of its own" in state.stopped

    held_bench(Watched(a=raising(error)), work)


@pytest.mark.parametrize("where", ["result", "path", "error"])
def test_text_that_is_no_unicode_fails_its_task(where: str) -> None:
    """A lone surrogate in what a task brings, or in its error, fails the run by name on every journal."""
    bad = "\ud800"
    answers = {
        "result": lambda _: TaskOutcome(bad),
        "path": lambda _: TaskOutcome(files=(OutputFile(bad, b"x"),)),
        "error": raising(RequestRejectedError(bad)),
    }

    async def work(bench: Bench, journal: HeldJournal) -> None:
        state = await bench.walk([A])
        assert state.status is RunStatus.FAILED
        assert "U+D800" in state.stopped

    held_bench(Watched(a=answers[where]), work)


def test_a_task_that_is_cancelled_from_outside_does_not_hang_its_walk() -> None:
    """Whoever cancels a task of the walk, the drive ends with an error, and the run can be taken up again."""
    cut = [True]

    def answer(task: TaskDefinition) -> TaskOutcome:
        current = asyncio.current_task()
        if cut.pop() if cut else False:
            assert current is not None
            current.cancel()
            raise asyncio.CancelledError
        return TaskOutcome("ok")

    async def work(bench: Bench, journal: HeldJournal) -> None:
        session = await bench.start([A])
        with pytest.raises(OrchestratorError, match="from outside"):
            await bench.driver.drive(session)
        session = await bench.reopen(session.state.run_id)
        await bench.engine.recover(session)
        assert (await bench.driver.drive(session)).status is RunStatus.COMPLETED

    held_bench(Watched(a=answer), work)


def test_a_signal_that_comes_before_the_first_start_does_not_end_the_walk() -> None:
    """While the walk takes the signals it found, the watcher keeps out; the run is walked to its end."""

    async def work(bench: Bench, journal: HeldJournal) -> None:
        session = await bench.start([A, Phase("b", "qa")])
        run_id = session.state.run_id
        session = await bench.reopen(run_id)
        await bench.engine.recover(session)
        stale = signals.encode(signals.Review("a", True, "me", "a content that is gone"))
        for _ in range(2):
            await journal.send_signal(run_id, "review", stale)
        journal.held["consumed"] = asyncio.Event()
        walk = Walk(session)
        drive = asyncio.create_task(walk.run())
        await quiet()
        watcher = asyncio.create_task(walk.attempt_receive())
        await quiet()
        assert watcher.done()
        journal.held["consumed"].set()
        await drive
        assert walk.session.state.status is RunStatus.COMPLETED
        assert await journal.signalled() == []

    held_bench(Watched(), work)


@pytest.mark.parametrize("order", ["task and review at once", "review and task at once", "task while it is read"])
def test_an_approval_in_the_moment_of_the_last_end_goes_on(order: str) -> None:
    """The last task ends in the step in which the review is read, or while it is: what it sets free is walked."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["c"], journal.held["signals"] = asyncio.Event(), asyncio.Event()
        review = Phase("a", "architect", gate=Gate(review="human"))
        walk, drive = await walking(bench, [review, Phase("b", "qa", needs=("a",)), Phase("c", "data")])
        state = walk.session.state
        seen = state.phase("a").reviewed
        await bench.engine.decide(state.run_id, "a", approved=True, by="me", content=seen, reason="")
        watcher = asyncio.create_task(walk.attempt_receive())
        await quiet()
        doors = [runner.gates["c"], journal.held["signals"]]
        for door in reversed(doors) if order.startswith("review") else doors:
            door.set()
            if order == "task while it is read":
                await quiet()
        await asyncio.gather(drive, watcher)
        assert walk.session.state.status is RunStatus.COMPLETED
        assert sorted(runner.keys) == ["a", "b", "c"]
        assert "RunParked" not in [word(it.event) for it in bench.told]

    held_bench(runner, work)


def test_a_run_that_was_taken_over_ends_its_own_walk_only() -> None:
    """The watcher meets the fence of one run; the run that is driven beside it goes on to its end."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["a"] = asyncio.Event()
        taken, innocent = await bench.start([A]), await bench.start([A])
        first, second = (asyncio.create_task(bench.driver.drive(session)) for session in (taken, innocent))
        await quiet()
        run_id = taken.state.run_id
        await journal.claim(run_id, owner="other", lease=30, seize="worker")
        await bench.engine.wish(run_id, "cancel", by="me")
        with pytest.raises(FencedError):
            await first
        assert await journal.holder(run_id) == "other"
        assert await journal.signalled() == [run_id]
        runner.gates["a"].set()
        assert (await second).status is RunStatus.COMPLETED

    held_bench(runner, work)


def test_a_run_is_driven_once_at_a_time() -> None:
    """A second drive of the same session is refused, and the first one is not disturbed by it."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["a"] = asyncio.Event()
        session = await bench.start([A])
        first = asyncio.create_task(bench.driver.drive(session))
        await quiet()
        with pytest.raises(RunStateError, match="driven already"):
            await bench.driver.drive(session)
        assert await journal.holder(session.state.run_id) == "worker"
        runner.gates["a"].set()
        assert (await first).status is RunStatus.COMPLETED
        assert runner.keys == ["a"]

    held_bench(runner, work)


@pytest.mark.parametrize("rounds", [1, 3])
def test_two_phases_side_by_side_do_not_own_one_path(rounds: int) -> None:
    """The one that comes back second fails its gate and the owner is named, though both began before either ended."""
    runner = Watched()

    def same_path(task: TaskDefinition) -> TaskOutcome:
        return TaskOutcome(files=(OutputFile("README.md", task.phase.id.encode()),))

    runner.answers = {"a": same_path, "b": same_path}

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["b"] = asyncio.Event()
        walk, drive = await walking(bench, [A, Phase("b", "qa", max_rounds=rounds)])
        runner.gates["b"].set()
        await drive
        state = walk.session.state
        assert state.status is RunStatus.NEEDS_ATTENTION
        assert "'README.md' belongs to phase 'a'" in state.stopped
        assert state.phase("b").artifacts == ()

    held_bench(runner, work)


def in_one_process(work, runner: Watched) -> None:  # type: ignore[no-untyped-def]
    """Does `work(orchestrator, drive, run_id)` on an orchestrator that drives a run of two phases right now."""

    async def main() -> None:
        runner.gates["a"] = asyncio.Event()
        clock = SystemClock()
        journal = await open_journal("memory:", clock=clock)
        engine, orchestrator = await orchestrator_over(journal, runner, clock)
        graph = PhaseGraph(Workflow("test", (A, Phase("b", "qa", needs=("a",)))))
        session = await engine.create_project(NewRun(name="test", brief="a brief", graph=graph))
        drive = asyncio.create_task(orchestrator.drive(session))
        await quiet()
        await work(orchestrator, drive, session.state.run_id)
        await orchestrator.aclose()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_process_that_drives_a_run_does_not_take_it_from_itself() -> None:
    """Resume and recovery in the same process keep away from a run that is under way here."""
    runner = Watched()

    async def work(orchestrator, drive, run_id):  # type: ignore[no-untyped-def]
        with pytest.raises(RunStateError, match="being driven"):
            await orchestrator.resume(run_id)
        assert await orchestrator.recover() == []
        runner.gates["a"].set()
        assert (await drive).status is RunStatus.COMPLETED
        assert runner.keys == ["a", "b"]

    in_one_process(work, runner)


def test_a_pause_in_the_driving_process_reaches_the_walk() -> None:
    """The wish is left to the drive that is under way: the task ends, the run is paused, nothing is done twice."""
    runner = Watched()

    async def work(orchestrator, drive, run_id):  # type: ignore[no-untyped-def]
        pause = asyncio.create_task(orchestrator.pause(run_id, by="me"))
        await asyncio.sleep(0.3)
        runner.gates["a"].set()
        state = await drive
        assert (await pause).status is RunStatus.PAUSED
        assert state.status is RunStatus.PAUSED
        assert state.phase("a").status is PhaseStatus.DONE
        assert runner.keys == ["a"]
        assert runner.attempts == [1]

    in_one_process(work, runner)


def test_a_file_that_is_on_its_way_to_the_disk_is_waited_for() -> None:
    """A phase beside is done in memory and its commit under way: who sees its file gets the content, not an error."""
    late = asyncio.Event()
    runner = Watched(x=lambda task: TaskOutcome("ok", files=(OutputFile("docs/x.md", b"made by x"),)))
    found: list[bytes] = []

    class Slow(HeldJournal):
        async def append(self, claim: Any, events: Any, **parts: Any) -> None:
            if "TaskCompleted x" in [word(it.event) for it in events]:
                await late.wait()
            await super().append(claim, events, **parts)

    async def read(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        outcome = await runner(task, context)
        if task.phase.id == "z":
            (artifact,) = context.state.phase("x").artifacts
            found.extend((await context.read([artifact.hash])).values())
        return outcome

    async def main() -> None:
        clock = SystemClock()
        journal = Slow(await open_journal("memory:", clock=clock))
        bench = Bench(journal, read, clock)  # type: ignore[arg-type]
        runner.gates |= {"x": asyncio.Event(), "y": asyncio.Event()}
        journal.held["TaskCompleted y"] = asyncio.Event()
        phases = [Phase("x", "data", outputs=("docs/x.md",)), Phase("y", "qa"), Phase("z", "developer", needs=("y",))]
        walk, drive = await walking(bench, phases)
        for name in ("y", "x"):
            runner.gates[name].set()
            await quiet()
        journal.held["TaskCompleted y"].set()
        await quiet()
        assert (runner.keys[-1], found, drive.done()) == ("z", [], False)
        late.set()
        await drive
        assert (walk.session.state.status, found) == (RunStatus.COMPLETED, [b"made by x"])

    asyncio.run(asyncio.wait_for(main(), 5))
