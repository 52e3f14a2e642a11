"""The keeper: so many runs at once, the journal as the queue, and nothing that was left lying stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from walk_cases import HeldJournal, Watched, killed, orchestrator_over, raising, walking

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import RateLimitedError, StoreUnavailableError
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.state_models import RunStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.service import keeper as keeper_module
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.testing.engines import Bench

A = [Phase("a", "developer")]


class Kept:
    """A bench, an orchestrator on its journal, and a keeper over that."""

    def __init__(self, bench: Bench, journal: HeldJournal, orchestrator: Any, at_once: int) -> None:
        self.bench = bench
        self.journal = journal
        self.orchestrator = orchestrator
        self.keeper = Keeper(orchestrator, at_once=at_once)

    async def start(self, **more: object) -> str:
        """A new run of this orchestrator's engine, handed to the keeper."""
        session = await self.bench.start(A, **more)
        await self.keeper.take(session)
        return session.state.run_id

    async def until(self, run_id: str, status: RunStatus) -> None:
        while (await self.orchestrator.row(run_id)).status != status:  # noqa: ASYNC110 - it is the journal that tells
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _busy_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "TEND", 0.01)
    monkeypatch.setattr(keeper_module, "REST", 2.0)


def on(runner: Watched, work: Callable[[Kept], Awaitable[None]], *, at_once: int = 2) -> None:
    async def main() -> None:
        clock = SystemClock()
        journal = HeldJournal(await open_journal("memory:", clock=clock))
        engine, orchestrator = await orchestrator_over(journal, runner, clock)  # type: ignore[arg-type]
        bench = Bench(journal, runner, clock)  # type: ignore[arg-type]
        bench.engine = engine
        kept = Kept(bench, journal, orchestrator, at_once)
        try:
            await work(kept)
        finally:
            await kept.keeper.stop()

    asyncio.run(asyncio.wait_for(main(), 20))


class Counting(Watched):
    """Counts how many tasks are under way at once; each waits for `door`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.door = asyncio.Event()

    async def __call__(self, task: TaskDefinition, context: Any) -> TaskOutcome:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.door.wait()
        self.now -= 1
        return await super().__call__(task, context)


def test_so_many_at_once_and_the_rest_in_their_turn() -> None:
    """Seven runs, two at once: the other five wait in the journal and are done without anybody asking again."""
    runner = Counting()

    async def work(kept: Kept) -> None:
        kept.keeper.start()
        runs = [await kept.start() for _ in range(7)]
        await asyncio.sleep(0.05)
        assert (kept.keeper.active, runner.now) == (2, 2)
        runner.door.set()
        for run_id in runs:
            await kept.until(run_id, RunStatus.COMPLETED)
        assert runner.most == 2

    on(runner, work)


def test_a_run_whose_worker_died_goes_on_by_itself() -> None:
    """Its claim is free, so the next look round takes it up; the task is done once more, the run once."""
    runner = Watched()

    async def work(kept: Kept) -> None:
        runner.gates["a"] = asyncio.Event()
        walk, drive = await walking(kept.bench, A)
        await killed(drive)
        await kept.journal.release(walk.session.claim)
        runner.gates["a"].set()
        kept.keeper.start()
        await kept.until(walk.session.state.run_id, RunStatus.COMPLETED)
        assert runner.keys == ["a", "a"]

    on(runner, work)


def test_a_wait_for_a_provider_ends_by_itself() -> None:
    """The run sleeps in the journal until its provider's moment, and then goes on without a hand."""
    runner = Watched(a=raising(RateLimitedError("slow", retry_after=0.2)))

    async def work(kept: Kept) -> None:
        kept.keeper.start()
        run_id = await kept.start()
        await kept.until(run_id, RunStatus.WAITING_PROVIDER)
        runner.answers.clear()
        await kept.until(run_id, RunStatus.COMPLETED)
        assert runner.keys == ["a", "a"]

    on(runner, work)


def test_a_paused_run_is_left_alone_and_a_cancel_of_it_is_taken() -> None:
    """Nobody's look round undoes a pause; a wish for a run that nobody drives is taken here."""
    runner = Watched()

    async def work(kept: Kept) -> None:
        kept.keeper.start()
        run_id = await kept.start(tasks=0)
        await kept.until(run_id, RunStatus.PAUSED)
        await asyncio.sleep(0.1)
        assert (await kept.orchestrator.row(run_id)).status == RunStatus.PAUSED
        await kept.orchestrator.wish(run_id, "cancel", by="ann")
        await kept.until(run_id, RunStatus.CANCELLED)
        assert runner.keys == []

    on(runner, work)


def test_a_fault_in_one_run_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the run's id; the other run is done, and so is the one after."""
    runner = Watched()

    async def work(kept: Kept) -> None:
        kept.journal.refused["TaskCompleted a"] = ValueError("a fault of ours")
        first = await kept.start()
        await asyncio.sleep(0.05)
        second = await kept.start()
        await kept.until(second, RunStatus.COMPLETED)
        assert any(first in record.getMessage() for record in caplog.records)
        kept.keeper.start()
        await kept.until(first, RunStatus.COMPLETED)

    on(runner, work)


def test_nobodys_many_runs_stand_before_anothers_first() -> None:
    """Six of one owner were there first; the other's one is done as the second, not as the last."""
    runner = Counting()
    order: list[tuple[float, str]] = []

    async def work(kept: Kept) -> None:
        many = [await kept.bench.start(A, owner_id="many") for _ in range(6)]
        one = await kept.bench.start(A, owner_id="one")
        for session in (*many, one):
            await kept.orchestrator.put_by(session)
        runner.door.set()
        kept.keeper.start()
        await kept.until(one.state.run_id, RunStatus.COMPLETED)
        for session in many:
            await kept.until(session.state.run_id, RunStatus.COMPLETED)
        for row in await kept.journal.runs():
            order.append((row.updated_at, row.owner_id))
        assert "one" in [owner for _, owner in sorted(order)[:2]]

    on(runner, work, at_once=1)


def test_a_run_that_waits_for_its_turn_is_cancelled_at_once() -> None:
    """All places are taken, and stay so; a wish needs none of them, and starts nothing."""
    runner = Counting()

    async def work(kept: Kept) -> None:
        kept.keeper.start()
        busy = [await kept.start() for _ in range(2)]
        waiting = await kept.start()
        assert kept.keeper.active == 2
        kept.keeper.attend(await kept.orchestrator.wish(waiting, "cancel", by="ann"))
        await kept.until(waiting, RunStatus.CANCELLED)
        assert runner.now == 2
        runner.door.set()
        for run_id in busy:
            await kept.until(run_id, RunStatus.COMPLETED)

    on(runner, work)


class Naming(Watched):
    """Keeps what the log would name as worked on, for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[tuple[str, str], str] = {}

    async def __call__(self, task: TaskDefinition, context: Any) -> TaskOutcome:
        self.named[task.run_id, task.key] = CORRELATION.get()
        return await super().__call__(task, context)


def test_a_task_that_a_decision_sets_going_is_logged_under_its_own_run() -> None:
    """Also while another run was driven first, whose watcher hears of the decision."""
    runner = Naming()
    phases = [
        Phase("asked", "developer", gate=Gate(review="human")),
        Phase("slow", "developer"),
        Phase("after", "qa", needs=("asked",)),
    ]

    async def work(kept: Kept) -> None:
        runner.gates = {"a": asyncio.Event(), "slow": asyncio.Event()}
        first = await kept.start()
        session = await kept.bench.start(phases)
        run_id = session.state.run_id
        await kept.keeper.take(session)
        while not (seen := (await kept.orchestrator.state(run_id)).phase("asked").reviewed):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        await kept.orchestrator.decide(run_id, approved=True, by="ann", content=seen)
        while (run_id, "after") not in runner.named:  # noqa: ASYNC110 - it is the runner that tells
            await asyncio.sleep(0.005)
        assert runner.named[run_id, "after"] == run_id
        assert runner.named[first, "a"] == first
        for gate in runner.gates.values():
            gate.set()
        await kept.until(run_id, RunStatus.COMPLETED)

    on(runner, work)


def test_a_run_that_cannot_be_driven_is_left_alone_for_a_while() -> None:
    """It is not asked for again and again; and the others are not held up by it."""
    runner = Watched()

    async def work(kept: Kept) -> None:
        session = await kept.bench.start(A)
        kept.journal.refused = {"RunResumed": StoreUnavailableError("this one only")}
        await kept.orchestrator.put_by(session)
        kept.keeper.start()
        other = await kept.start()
        await kept.until(other, RunStatus.COMPLETED)
        await asyncio.sleep(0.2)
        assert kept.journal.tried.count("RunResumed") == 1
        assert (await kept.orchestrator.row(session.state.run_id)).status == RunStatus.RUNNING

    on(runner, work)


def test_a_run_that_was_paused_between_being_found_and_taken_stays_paused() -> None:
    """Found as lost, but whoever drove it has parked it since: it is given back, not resumed."""
    runner = Watched()

    async def work(kept: Kept) -> None:
        session = await kept.bench.start(A, tasks=0)
        state = await kept.bench.driver.drive(session)
        assert state.status is RunStatus.PAUSED
        assert await kept.orchestrator.take_up(state.run_id) is None
        assert (await kept.orchestrator.row(state.run_id)).status == RunStatus.PAUSED
        assert await kept.journal.holder(state.run_id) == ""

    on(runner, work)
