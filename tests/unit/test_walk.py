"""The walk: what a run becomes through outcomes, failures, reviews, loops and signals; on the in-memory journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from orchestrator_v2.core import events as e
from orchestrator_v2.core.errors import (
    BudgetExceededError,
    OrchestratorError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    RunStateError,
)
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.state_models import OutputFile, PhaseStatus, RunStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.testing.engines import Bench, open_bench

REVIEWED = Phase("check", "consensus", needs=("build",), gate=Gate(review="agent"), on_fail="build")
BUILD = Phase("build", "developer")
AFTER = Phase("after", "steward", needs=("check",))

Runner = Callable[[TaskDefinition, RunContext], Awaitable[TaskOutcome]]


def on_bench(runner: Runner, work: Callable[[Bench], Awaitable[object]]) -> None:
    async def main() -> None:
        await work(await open_bench(runner))

    asyncio.run(main())


def answering(**by_phase: Callable[[TaskDefinition], TaskOutcome]) -> Runner:
    """A runner with an answer for each phase; an unnamed one just ends well."""

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        await asyncio.sleep(0)
        return by_phase.get(task.phase.id, lambda _: TaskOutcome("ok"))(task)

    return run


def raising(error: Exception) -> Callable[[TaskDefinition], TaskOutcome]:
    def answer(task: TaskDefinition) -> TaskOutcome:
        raise error

    return answer


def types(bench: Bench) -> list[str]:
    return [e.event_type(recorded.event) for recorded in bench.told]


def test_a_chain_ends_completed_and_a_start_rides_with_the_end_before_it() -> None:
    """Each link's start is recorded with the end of the one before, and the run's end with its last task."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([Phase("a", "x"), Phase("b", "x", needs=("a",))])
        assert state.status is RunStatus.COMPLETED
        assert types(bench) == [
            "RunStarted",
            "TaskStarted",
            "TaskCompleted",
            "TaskStarted",
            "TaskCompleted",
            "RunCompleted",
        ]
        assert [recorded.seq for recorded in bench.told] == [1, 2, 3, 4, 5, 6]

    on_bench(answering(), work)


def test_no_more_tasks_than_the_limit_are_under_way() -> None:
    """The parallelism of the run bounds the tasks at once, and is reached."""
    now, most = 0, 0

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return TaskOutcome()

    async def work(bench: Bench) -> None:
        phases = [Phase(f"p{i}", "x") for i in range(30)]
        state = await bench.walk(phases, parallelism=5)
        assert state.status is RunStatus.COMPLETED
        assert most == 5

    on_bench(run, work)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RateLimitedError("429", retry_after=600), RunStatus.WAITING_PROVIDER),
        (ProviderUnavailableError("503"), RunStatus.WAITING_PROVIDER),
        (QuotaExhaustedError("402"), RunStatus.NEEDS_ATTENTION),
        (BudgetExceededError("too dear"), RunStatus.WAITING_BUDGET),
        (RequestRejectedError("400"), RunStatus.FAILED),
        (KeyError("a fault of ours"), RunStatus.FAILED),
    ],
)
def test_an_error_never_completes_a_run(error: Exception, status: RunStatus) -> None:
    """Every kind of error ends in its own status; what stands on the phase is not started."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, Phase("next", "x", needs=("build",))])
        assert state.status is status
        assert state.phase("next").status is PhaseStatus.PENDING
        assert state.stopped
        row = await bench.engine.row(state.run_id)
        assert row.status == status

    on_bench(answering(build=raising(error)), work)


def test_a_rate_limit_says_when_it_goes_on() -> None:
    """The parked run carries the moment that the provider named."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD])
        assert state.resume_at is not None
        assert 590 < state.resume_at - state.changed_at <= 600

    on_bench(answering(build=raising(RateLimitedError("429", retry_after=600))), work)


def test_other_branches_end_before_the_run_parks() -> None:
    """A failed task lets those under way end and keeps their work."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, Phase("slow", "x")])
        assert state.phase("slow").status is PhaseStatus.DONE
        assert state.status is RunStatus.WAITING_PROVIDER

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        if task.phase.id == "build":
            raise ProviderUnavailableError("503")
        await asyncio.sleep(0.02)
        return TaskOutcome()

    on_bench(run, work)


def test_a_resumed_run_does_only_what_was_not_done() -> None:
    """After a provider's fault is over, finished tasks are not done again."""
    calls: list[str] = []
    broken = [True]

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        calls.append(task.phase.id)
        if task.phase.id == "build" and broken[0]:
            raise ProviderUnavailableError("503")
        return TaskOutcome()

    async def work(bench: Bench) -> None:
        phases = [Phase("plan", "x"), Phase("build", "x", needs=("plan",)), Phase("end", "x", needs=("build",))]
        state = await bench.walk(phases)
        broken[0] = False
        session = await bench.reopen(state.run_id)
        await bench.engine.resume(session, by="me")
        assert (await bench.driver.drive(session)).status is RunStatus.COMPLETED
        assert calls == ["plan", "build", "build", "end"]

    on_bench(run, work)


def test_a_failed_gate_reopens_with_the_reasons_and_is_bounded() -> None:
    """The phase named by on_fail is done again with the measured output, up to max_rounds, then a person is asked."""
    feedback: list[str] = []

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        if task.phase.id == "build":
            feedback.append(task.feedback)
            return TaskOutcome()
        return TaskOutcome(receipts=(Receipt("tests", False, "1 failed", output="assert 1 == 2"),))

    async def work(bench: Bench) -> None:
        qa = Phase("qa", "qa", needs=("build",), gate=Gate(evidence=("tests",)), on_fail="build", max_rounds=3)
        state = await bench.walk([BUILD, qa])
        assert state.status is RunStatus.NEEDS_ATTENTION
        assert len(feedback) == 3
        assert feedback[0] == ""
        assert "assert 1 == 2" in feedback[1]
        assert state.phase("build").round == 3

    on_bench(run, work)


def test_a_mended_gate_completes() -> None:
    """A second round that passes completes the run, and its call keys name the round."""
    keys: list[str] = []

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        keys.append(task.key)
        good = task.round > 1 or task.phase.id == "build"
        return TaskOutcome(receipts=(Receipt("tests", good, "measured"),) if task.phase.id == "qa" else ())

    async def work(bench: Bench) -> None:
        qa = Phase("qa", "qa", needs=("build",), gate=Gate(evidence=("tests",)), on_fail="build")
        assert (await bench.walk([BUILD, qa])).status is RunStatus.COMPLETED
        assert keys == ["build", "qa", "build.r2", "qa.r2"]

    on_bench(run, work)


def test_what_was_not_measured_does_not_pass() -> None:
    """An agent that says nothing of its tests does not pass a gate that asks for them."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([Phase("qa", "qa", gate=Gate(evidence=("tests",)), max_rounds=1)])
        assert state.status is RunStatus.NEEDS_ATTENTION
        assert "not measured" in state.stopped

    on_bench(answering(), work)


@pytest.mark.parametrize(("verdict", "rounds"), [(False, 3), (None, 3), (True, 1)])
def test_the_consensus_decides_where_no_person_does(verdict: bool | None, rounds: int) -> None:
    """An agent's rejection, and a missing verdict, reopen; an approval lets the run go on."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, REVIEWED, AFTER])
        assert state.phase("build").round == rounds
        assert (state.status is RunStatus.COMPLETED) == (verdict is True)

    on_bench(answering(check=lambda _: TaskOutcome("because", approved=verdict)), work)


def test_a_person_rejects_with_a_reason_and_then_approves() -> None:
    """The run waits durably; the reason reaches the prompt of the phase that is done again."""
    feedback: list[str] = []

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        if task.phase.id == "build":
            feedback.append(task.feedback)
        made = OutputFile(f"{task.phase.id}.md", f"round {task.round}".encode())
        return TaskOutcome(files=(made,), approved=True)

    async def decide(bench: Bench, run_id: str, *, approved: bool, reason: str = "") -> RunStatus:
        content = (await bench.engine.state(run_id)).phase("check").reviewed
        await bench.engine.decide(run_id, "check", approved=approved, by="me", content=content, reason=reason)
        session = await bench.reopen(run_id)
        await bench.engine.recover(session, by="signal")
        return (await bench.driver.drive(session)).status

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, REVIEWED, AFTER], review="human")
        assert state.status is RunStatus.WAITING_REVIEW
        assert await decide(bench, state.run_id, approved=False, reason="too dark") is RunStatus.WAITING_REVIEW
        assert feedback == ["", "too dark"]
        assert await decide(bench, state.run_id, approved=True) is RunStatus.COMPLETED

    on_bench(run, work)


def test_a_decision_on_another_content_is_refused() -> None:
    """A review is bound to the hash that was seen."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, REVIEWED], review="human")
        with pytest.raises(RunStateError):
            await bench.engine.decide(state.run_id, "check", approved=True, by="me", content="other", reason="")

    on_bench(answering(), work)


def test_a_decision_on_a_run_that_has_ended_says_so() -> None:
    """The phase still shows what was to be looked at; it is the run that wants no decision any more."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, REVIEWED], review="human")
        await (await bench.reopen(state.run_id)).record(e.RunCancelled("me"))
        with pytest.raises(RunStateError, match="ended: cancelled"):
            content = state.phase("check").reviewed
            await bench.engine.decide(state.run_id, "check", approved=True, by="me", content=content, reason="")

    on_bench(answering(), work)


def test_cancel_ends_a_run_that_is_under_way() -> None:
    """A cancel sent to the journal stops the tasks under way; nothing is recorded of them afterwards."""

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        await asyncio.sleep(30)
        return TaskOutcome()

    async def work(bench: Bench) -> None:
        session = await bench.start([BUILD])
        drive = asyncio.create_task(bench.driver.drive(session))
        await asyncio.sleep(0.05)
        await bench.engine.wish(session.state.run_id, "cancel", by="me")
        state = await asyncio.wait_for(drive, 5)
        assert state.status is RunStatus.CANCELLED
        assert types(bench)[-1] == "RunCancelled"

    on_bench(run, work)


def test_pause_lets_tasks_end_and_starts_no_other() -> None:
    """A paused run keeps what was under way, and resumes behind it."""
    calls: list[str] = []

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        calls.append(task.phase.id)
        await asyncio.sleep(0.6 if task.phase.id == "build" else 0)
        return TaskOutcome()

    async def work(bench: Bench) -> None:
        session = await bench.start([BUILD, Phase("next", "x", needs=("build",))])
        drive = asyncio.create_task(bench.driver.drive(session))
        await asyncio.sleep(0.05)
        await bench.engine.wish(session.state.run_id, "pause", by="me")
        state = await asyncio.wait_for(drive, 5)
        assert state.status is RunStatus.PAUSED
        assert state.phase("build").status is PhaseStatus.DONE
        again = await bench.reopen(state.run_id)
        await bench.engine.resume(again, by="me")
        assert (await bench.driver.drive(again)).status is RunStatus.COMPLETED
        assert calls == ["build", "next"]

    on_bench(run, work)


def test_stop_drains_and_the_run_stays_resumable() -> None:
    """A stop of the driver ends tasks under way, records nothing of a stop, and gives the claim back."""

    async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        await asyncio.sleep(0.05)
        return TaskOutcome()

    async def work(bench: Bench) -> None:
        session = await bench.start([BUILD, Phase("next", "x", needs=("build",))])
        drive = asyncio.create_task(bench.driver.drive(session))
        await asyncio.sleep(0.01)
        bench.driver.stop()
        state = await asyncio.wait_for(drive, 5)
        assert state.status is RunStatus.RUNNING
        assert state.phase("build").status is PhaseStatus.DONE
        assert state.phase("next").status is PhaseStatus.PENDING
        assert await bench.engine.open(state.run_id) is not None

    on_bench(run, work)


def test_a_phase_that_when_leaves_out_is_skipped() -> None:
    """`when` is read against the run's mode; what stands on the phase goes on."""

    async def work(bench: Bench) -> None:
        only_real = Phase("paid", "x", when={"mode": "real"}, needs=("build",))
        state = await bench.walk([BUILD, only_real, Phase("end", "x", needs=("paid",))])
        assert state.status is RunStatus.COMPLETED
        assert state.phase("paid").status is PhaseStatus.SKIPPED

    on_bench(answering(), work)


def test_an_optional_phase_may_fail() -> None:
    """An optional phase's error is recorded and left out; the run goes on."""

    async def work(bench: Bench) -> None:
        extra = Phase("extra", "x", optional=True)
        state = await bench.walk([extra, Phase("end", "x", needs=("extra",))])
        assert state.status is RunStatus.COMPLETED
        assert state.phase("extra").status is PhaseStatus.SKIPPED
        assert "TaskFailed" in types(bench)

    on_bench(answering(extra=raising(RequestRejectedError("400"))), work)


def test_a_step_that_kills_its_worker_is_set_aside() -> None:
    """After five workers died under a phase it is not started again until a person says so."""

    async def work(bench: Bench) -> None:
        session = await bench.start([BUILD])
        run_id = session.state.run_id
        for _ in range(5):
            await session.start(session.startable(), list)
            await bench.journal.release(session.claim)
            session = await bench.reopen(run_id)
            await bench.engine.recover(session)
        state = await bench.driver.drive(session)
        assert state.status is RunStatus.NEEDS_ATTENTION
        assert "5 times" in state.stopped
        again = await bench.reopen(run_id)
        await bench.engine.resume(again, by="me")
        assert (await bench.driver.drive(again)).status is RunStatus.COMPLETED

    on_bench(answering(), work)


def test_the_state_in_memory_is_the_fold_of_the_events() -> None:
    """A walk's own state, and the one folded from the journal, are equal through reopenings and reviews."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD, REVIEWED, AFTER])
        assert await bench.engine.state(state.run_id) == state

    on_bench(answering(check=lambda task: TaskOutcome(approved=task.round > 1)), work)


def test_a_run_without_its_error_words_is_not_left() -> None:
    """A fault of our own names itself in the run, and not only in the log."""

    async def work(bench: Bench) -> None:
        state = await bench.walk([BUILD])
        assert "ZeroDivisionError" in state.stopped

    on_bench(answering(build=raising(ZeroDivisionError("x"))), work)


def test_errors_that_are_no_failures_of_the_run_are_raised() -> None:
    """An unknown run is the caller's error."""

    async def work(bench: Bench) -> None:
        with pytest.raises(OrchestratorError, match="no run named"):
            await bench.engine.row("run_x")

    on_bench(answering(), work)
