"""Rules of going on: what a crash, a resume, a rollback or a replay keeps, does again, and must not forget."""

from __future__ import annotations

import asyncio

import pytest
from walk_cases import HeldJournal, Watched, held_bench, killed, orchestrator_over, quiet, raising, walking

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import (
    BudgetExceededError,
    CallConflictError,
    InvalidOutputError,
    RateLimitedError,
    RequestRejectedError,
    UnknownNameError,
    WorkflowError,
)
from orchestrator_v2.core.events import RunCompleted, RunParked
from orchestrator_v2.core.workflow import Gate, Phase, Workflow
from orchestrator_v2.durable.embedded import Walk
from orchestrator_v2.engine.decisions import failed
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.history import made_how
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.scheduler import whole_tree
from orchestrator_v2.engine.state_models import (
    OutputFile,
    PhaseState,
    PhaseStatus,
    RunStatus,
    TaskDefinition,
    TaskOutcome,
)
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.testing.engines import Bench

A, B = Phase("a", "developer"), Phase("b", "qa")
AFTER_A = Phase("b", "qa", needs=("a",))


async def recovered(bench: Bench, run_id: str) -> RunStatus:
    """Another worker takes the run up after a crash and drives it."""
    session = await bench.reopen(run_id)
    await bench.engine.recover(session)
    return (await bench.driver.drive(session)).status


async def resumed(bench: Bench, run_id: str) -> RunStatus:
    session = await bench.reopen(run_id)
    await bench.engine.resume(session, by="me")
    return (await bench.driver.drive(session)).status


async def killed_in(bench: Bench, runner: Watched, phases: list[Phase], key: str) -> str:
    """A run whose worker died while the task `key` was under way; the next try of it is not held up."""
    runner.gates[key] = asyncio.Event()
    walk, drive = await walking(bench, phases)
    assert walk.session.state.phase(key).status is PhaseStatus.RUNNING
    await killed(drive)
    del runner.gates[key]
    return walk.session.state.run_id


def test_a_phase_that_was_lost_once_and_then_done_is_not_done_again() -> None:
    """After a crash, a recovery and a stop further on, a resume leaves the finished phase and its calls alone."""
    poor = [True]

    def later(task: TaskDefinition) -> TaskOutcome:
        if poor[0]:
            raise BudgetExceededError("no money")
        return TaskOutcome("ok")

    runner = Watched(b=later)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        run_id = await killed_in(bench, runner, [A, AFTER_A], "a")
        assert await recovered(bench, run_id) is RunStatus.WAITING_BUDGET
        assert (await bench.engine.state(run_id)).phase("a").lost == 0
        poor[0] = False
        assert await resumed(bench, run_id) is RunStatus.COMPLETED
        assert runner.keys == ["a", "a", "b", "b"]

    held_bench(runner, work)


def test_a_lost_phase_that_then_parks_keeps_its_round_and_so_its_paid_calls() -> None:
    """Recorded answers are found by the round's key, so a resume after a crash and a rate limit stays in that round."""

    def answer(task: TaskDefinition) -> TaskOutcome:
        if task.attempt == 2:
            raise RateLimitedError("slow down", retry_after=0)
        return TaskOutcome("ok")

    runner = Watched(a=answer)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        run_id = await killed_in(bench, runner, [A], "a")
        assert await recovered(bench, run_id) is RunStatus.WAITING_PROVIDER
        assert await resumed(bench, run_id) is RunStatus.COMPLETED
        assert runner.keys == ["a", "a", "a"]
        assert runner.attempts == [1, 2, 3]

    held_bench(runner, work)


@pytest.mark.parametrize("back", ["rollback", "retry"])
def test_going_back_after_a_crash_takes_up_the_other_branch_too(back: str) -> None:
    """What was under way beside the phase when the worker died is done, and not left as running for ever."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        run_id = await killed_in(bench, runner, [A, B], "b")
        session = await bench.reopen(run_id)
        if back == "rollback":
            await bench.engine.rollback(session, "a", {})
        else:
            await bench.engine.retry(session, "a", by="me")
        assert (await bench.driver.drive(session)).status is RunStatus.COMPLETED
        assert sorted(runner.keys) == ["a", "a.r2", "b", "b"]

    held_bench(runner, work)


def test_an_error_without_a_verdict_does_not_redo_what_the_phase_judges() -> None:
    """A reviewing phase that broke is done again alone: `on_fail` is for a failed gate, not for an error."""

    def release(task: TaskDefinition) -> TaskOutcome:
        if task.round == 1:
            raise InvalidOutputError("not JSON")
        return TaskOutcome("ok", approved=True)

    runner = Watched(b=release)

    async def work(bench: Bench, journal: HeldJournal) -> None:
        judge = Phase("b", "consensus", needs=("a",), gate=Gate(review="agent"), on_fail="a")
        state = await bench.walk([A, judge])
        assert state.status is RunStatus.FAILED
        assert await resumed(bench, state.run_id) is RunStatus.COMPLETED
        assert runner.keys == ["a", "b", "b.r2"]

    held_bench(runner, work)


def test_a_gate_that_failed_for_good_redoes_what_the_phase_judges() -> None:
    """A resume of a run that needs attention tries the phase under `on_fail` again, and all between."""
    runner = Watched(b=lambda task: TaskOutcome("x", failures=() if task.round > 1 else ("bad",)))

    async def work(bench: Bench, journal: HeldJournal) -> None:
        state = await bench.walk([A, Phase("b", "qa", needs=("a",), on_fail="a", max_rounds=1)])
        assert state.status is RunStatus.NEEDS_ATTENTION
        assert await resumed(bench, state.run_id) is RunStatus.COMPLETED
        assert runner.keys == ["a", "b", "a.r2", "b.r2"]

    held_bench(runner, work)


@pytest.mark.parametrize(
    "phases",
    [(A, Phase("b", "qa", on_fail="a")), (Phase("b", "qa", on_fail="c"), Phase("c", "data", needs=("b",)))],
    ids=["beside", "downstream"],
)
def test_a_phase_cannot_reopen_what_it_does_not_stand_on(phases: tuple[Phase, ...]) -> None:
    """Such a graph would never come back to the failed gate; it is refused before anything is started."""
    with pytest.raises(WorkflowError, match="does not stand on"):
        PhaseGraph(Workflow("test", phases))


def test_a_pause_outlives_a_crash_before_its_tasks_have_ended() -> None:
    """The wish is taken together with the event that it leads to; the next worker finds it and stops there."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["a"] = asyncio.Event()
        walk, drive = await walking(bench, [A, AFTER_A])
        run_id = walk.session.state.run_id
        await bench.engine.wish(run_id, "pause", by="me")
        await walk.attempt_receive()
        await killed(drive)
        assert await journal.signalled() == [run_id]
        runner.gates.clear()
        assert await recovered(bench, run_id) is RunStatus.PAUSED
        assert await journal.signalled() == []
        assert await resumed(bench, run_id) is RunStatus.COMPLETED

    held_bench(runner, work)


def test_a_pause_outlives_a_drain() -> None:
    """A stop of the process while a pause waits for its tasks records neither, and the pause is found again."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        runner.gates["a"] = asyncio.Event()
        walk, drive = await walking(bench, [A, AFTER_A])
        run_id = walk.session.state.run_id
        await bench.engine.wish(run_id, "pause", by="me")
        await walk.attempt_receive()
        walk.stop()
        runner.gates["a"].set()
        await drive
        assert walk.session.state.status is RunStatus.RUNNING
        assert await recovered(bench, run_id) is RunStatus.PAUSED
        assert runner.keys == ["a"]

    held_bench(runner, work)


def test_a_signal_of_an_unknown_kind_poisons_nothing() -> None:
    """It cannot be sent by the engine; found in the journal all the same, it is taken and the run goes on."""

    async def work(bench: Bench, journal: HeldJournal) -> None:
        session = await bench.start([A])
        run_id = session.state.run_id
        with pytest.raises(UnknownNameError, match="cancel, pause"):
            await bench.engine.wish(run_id, "resume", by="me")
        await journal.send_signal(run_id, "resume", b"not even JSON")
        await journal.send_signal(run_id, "cancel", b"not even JSON")
        await journal.release(session.claim)
        assert await recovered(bench, run_id) is RunStatus.COMPLETED
        assert await journal.signalled() == []

    held_bench(Watched(), work)


def test_what_an_optional_phase_made_and_did_not_pass_with_is_not_in_the_project() -> None:
    """A phase that was left out after its gate failed leaves none of its files in the tree."""
    broken = TaskOutcome("x", files=(OutputFile("broken.py", b"def ("),), failures=("does not parse",))

    async def work(bench: Bench, journal: HeldJournal) -> None:
        session = await bench.start([Phase("a", "qa", optional=True, max_rounds=2)])
        state = await bench.driver.drive(session)
        assert state.status is RunStatus.COMPLETED
        assert state.phase("a").status is PhaseStatus.SKIPPED
        assert state.phase("a").round == 2
        assert whole_tree(session.graph, state) == {}

    held_bench(Watched(a=lambda _: broken), work)


def test_a_file_that_was_not_the_phases_to_write_is_never_in_the_project() -> None:
    """Brought in a round that failed for it and not again, it is gone, and not kept as the phase's own."""

    def answer(task: TaskDefinition) -> TaskOutcome:
        names = ("ok.md", "evil.sh") if task.round == 1 else ("ok.md",)
        return TaskOutcome(files=tuple(OutputFile(name, b"x") for name in names))

    async def work(bench: Bench, journal: HeldJournal) -> None:
        session = await bench.start([Phase("a", "qa", outputs=("*.md",))])
        state = await bench.driver.drive(session)
        assert (state.status, state.phase("a").round) == (RunStatus.COMPLETED, 2)
        assert list(whole_tree(session.graph, state)) == ["ok.md"]

    held_bench(Watched(a=answer), work)


def test_the_reason_of_a_failure_outlives_a_crash_before_the_stop() -> None:
    """The run that the next worker finds broken says why it is, in the provider's words."""
    runner = Watched(a=raising(RequestRejectedError("HTTP 400: bad request")))

    async def work(bench: Bench, journal: HeldJournal) -> None:
        run_id = await killed_in(bench, runner, [A, B], "b")
        assert await recovered(bench, run_id) is RunStatus.NEEDS_ATTENTION
        assert "HTTP 400: bad request" in (await bench.engine.state(run_id)).stopped

    held_bench(runner, work)


def test_a_new_budget_reaches_a_run_that_was_interrupted() -> None:
    """Resume with a budget on a run whose worker died sets that budget, as on one that stands still."""
    seen: list[int | None] = []

    async def main() -> None:
        died = [False]

        async def run(task, context):  # type: ignore[no-untyped-def]
            seen.append(context.state.budget)
            if not died[0]:
                died[0] = True
                await asyncio.Event().wait()
            return TaskOutcome("ok")

        clock = SystemClock()
        engine, orchestrator = await orchestrator_over(await open_journal("memory:", clock=clock), run, clock)
        graph = PhaseGraph(Workflow("test", (A,)))
        session = await engine.create_project(NewRun(name="test", brief="a brief", graph=graph, budget=1))
        drive = asyncio.create_task(orchestrator.drive(session))
        await quiet()
        await killed(drive)
        state = await orchestrator.resume(session.state.run_id, by="me", budget=99)
        assert state.status is RunStatus.COMPLETED
        assert (state.budget, seen) == (99, [1, 99])

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_replay_of_a_run_that_has_not_ended_is_not_left_running() -> None:
    """It ends where its recording ends, its claim is given back, and recovery does not take it for a lost run."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        run_id = await killed_in(bench, runner, [A, AFTER_A], "b")
        replayed = await bench.engine.replay(run_id, out="")
        row = await bench.engine.row(replayed.run_id)
        assert (row.status, row.mode, row.forked_from) == ("paused", "replay", run_id)
        assert "The recording ends here: 1 of 2 phases settled." in row.stopped
        assert await journal.holder(replayed.run_id) == ""
        assert [due for due, _ in await journal.due(9e9)] == [run_id]

    held_bench(runner, work)


def test_a_replay_without_an_answer_is_not_left_running() -> None:
    """The error goes to the caller, and the run that the replay had begun ends as failed."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        first = await bench.walk([A])
        runner.answers["a"] = raising(CallConflictError("no answer is recorded"))
        with pytest.raises(CallConflictError):
            await bench.engine.replay(first.run_id, out="")
        (row,) = [row for row in await journal.runs() if row.forked_from]
        assert row.status == "failed"
        assert await journal.holder(row.run_id) == ""

    held_bench(runner, work)


def test_a_replay_that_came_out_different_has_its_own_tree() -> None:
    """The hash at the end of a replay is that of its own files, never the recorded run's."""
    text = ["one"]
    runner = Watched(a=lambda _: TaskOutcome(files=(OutputFile("a.md", text[0].encode()),)))

    async def work(bench: Bench, journal: HeldJournal) -> None:
        first = await bench.walk([A])
        same = await bench.engine.replay(first.run_id, out="")
        text[0] = "two"
        other = await bench.engine.replay(first.run_id, out="")
        assert (await bench.engine.state(same.run_id)).tree == first.tree
        assert (await bench.engine.state(other.run_id)).tree != first.tree

    held_bench(runner, work)


def test_recovery_leaves_a_run_that_has_ended_alone() -> None:
    """A worker that died after the last commit left nothing to do: no event is added and no task is run."""
    runner = Watched()

    async def work(bench: Bench, journal: HeldJournal) -> None:
        state = await bench.walk([A])
        session = await bench.reopen(state.run_id)
        await bench.engine.recover(session)
        walk = Walk(session)
        await walk.run()
        assert runner.keys == ["a"]
        events = await journal.events(state.run_id)
        assert isinstance(events[-1].event, RunCompleted)
        assert len(events) == 4

    held_bench(runner, work)


def test_an_absurd_wait_is_a_day():
    """Whatever a provider names, the run asks again after a day: no moment that no clock can show."""
    task = TaskDefinition("run_a", Phase("a", "architect"))
    for named, waits in ((1e300, 86_400.0), (90.0, 90.0), (None, 60.0)):
        stop = failed(task, RateLimitedError("Slow down.", retry_after=named), 1000.0).stop
        assert isinstance(stop, RunParked)
        assert stop.resume_at == 1000.0 + waits


def test_what_was_not_made_was_made_by_nobody():
    """A phase that has begun and brought nothing yet is neither simulated nor real."""
    assert made_how(PhaseState()) == ""
    assert made_how(PhaseState(result="Done.")) == "simulated"
