"""Workers: who lives, who holds a run and for how long, and that one which lost its run changes nothing any more."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from walk_cases import Watched, killed, quiet, raising

from orchestrator_v2.core.clock import ManualClock, SystemClock
from orchestrator_v2.core.errors import FencedError, QuotaExhaustedError, StoreUnavailableError
from orchestrator_v2.core.events import RunCancelled
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.durable.workers import is_gone, worker_name
from orchestrator_v2.engine.engine import LEASE, WorkflowEngine
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.persistence.journal import StoredJournal, open_journal
from orchestrator_v2.testing.engines import Bench

A, AFTER_A = Phase("a", "developer"), Phase("b", "qa", needs=("a",))
CHILD = "from orchestrator_v2.durable.workers import worker_name; print(worker_name(), flush=True); input()"


def test_this_process_is_not_gone() -> None:
    """A worker knows its own name, twice the same, as one that lives."""
    assert worker_name() == worker_name()
    assert not is_gone(worker_name())


def test_a_killed_process_is_gone_before_anybody_has_reaped_it() -> None:
    """A living worker is not gone; killed, it is at once, and still is when its process id is free again."""
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert name != worker_name()
        assert not is_gone(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert is_gone(name)
    assert is_gone(name)


def test_a_process_id_that_is_in_use_again_is_another_worker() -> None:
    """The same id with another start time was a worker that is gone."""
    before, _, started = worker_name().rpartition("/")
    assert is_gone(f"{before}/{int(started) - 1}")


def test_a_process_with_a_name_of_strange_bytes_is_read(tmp_path: Path) -> None:
    """The kernel's line on a process holds its program's name as it is: brackets, blanks, bytes that are no text."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    program = tmp_path / os.fsdecode(b"\xff) Z 1")
    program.symlink_to(sleep)
    with subprocess.Popen([program, "60"]) as child:
        machine = worker_name().rpartition("/")[0].rpartition("/")[0]
        assert is_gone(f"{machine}/{child.pid}/1")
        started = Path(f"/proc/{child.pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        assert not is_gone(f"{machine}/{child.pid}/{started}")
        child.kill()


@pytest.mark.parametrize("name", ["", "worker", "a/b/c", "host/boot/12/", "host/boot/x/5", "//", "host/boot/1/1"])
def test_nobody_is_called_gone_who_cannot_be_known(name: str) -> None:
    """A name of another machine, or one that is no worker's, is left to its lease."""
    assert not is_gone(name)


@pytest.mark.parametrize("kind", ["", "/12/", "/x/5", "/-1/5"])
def test_a_name_of_this_machine_without_a_process_is_left_to_its_lease(kind: str) -> None:
    """Without a process id and a start time nothing is known of a worker."""
    machine = worker_name().rpartition("/")[0].rpartition("/")[0]
    assert not is_gone(machine + kind)


def worker(
    journal: StoredJournal,
    name: str,
    runner: Watched,
    clock: ManualClock,
    gone: Callable[[str], bool] = lambda _: False,
) -> Bench:
    """A second process's engine and driver on a journal."""
    bench = Bench(journal, runner, clock, worker=name)
    bench.engine = WorkflowEngine(journal, runner, clock, CountingIds(), worker=name, is_gone=gone)
    return bench


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/journal.db"


def with_clock(url: str, work: Callable[[StoredJournal, ManualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = ManualClock()
        journal = await open_journal(url, clock=clock)
        await work(journal, clock)
        await journal.close()

    asyncio.run(asyncio.wait_for(main(), 10))


async def begun(runner: Watched) -> None:
    """Waits until a task is under way; a database takes a moment for the event before it."""
    for _ in range(2000):
        if runner.keys:
            break
        await asyncio.sleep(0.001)
    await quiet()
    assert runner.keys


def test_a_run_is_opened_by_one_worker_until_its_lease_ends(url: str) -> None:
    """A worker of whom nothing is known keeps its run for the lease; one that is known to be gone does not."""

    async def work(journal: StoredJournal, clock: ManualClock) -> None:
        first = worker(journal, "w1", Watched(), clock)
        run_id = (await first.start([A])).state.run_id
        second = worker(journal, "w2", Watched(), clock, gone=lambda name: name == "w9")
        assert await second.engine.open(run_id) is None
        assert await second.engine.is_driven(run_id)
        third = worker(journal, "w3", Watched(), clock, gone=lambda name: name == "w1")
        assert not await third.engine.is_driven(run_id)
        session = await third.engine.open(run_id)
        assert session is not None
        assert await journal.holder(run_id) == "w3"
        clock.advance(LEASE + 1)
        assert not await second.engine.is_driven(run_id)
        assert await second.engine.open(run_id) is not None
        assert await journal.holder(run_id) == "w2"

    with_clock(url, work)


def test_what_a_worker_writes_after_it_lost_its_run_changes_nothing(url: str) -> None:
    """Paused past its lease, it wakes to a run that another worker has: events, row and claim stay as they are."""

    async def work(journal: StoredJournal, clock: ManualClock) -> None:
        slow, quick = Watched(), Watched()
        slow.gates["a"] = asyncio.Event()
        first, second = worker(journal, "w1", slow, clock), worker(journal, "w2", quick, clock)
        old = await first.start([A, AFTER_A])
        run_id = old.state.run_id
        drive = asyncio.create_task(first.driver.drive(old))
        await begun(slow)
        clock.advance(LEASE + 1)
        session = await second.reopen(run_id)
        await second.engine.recover(session)
        await session.start(session.startable(), list)
        before = await journal.events(run_id)
        slow.gates["a"].set()
        with pytest.raises(FencedError):
            await drive
        for write in (old.conclude(), old.record(RunCancelled("w1"))):
            with pytest.raises(FencedError):
                await write
        assert await journal.events(run_id) == before
        assert await journal.holder(run_id) == "w2"
        assert (await first.engine.row(run_id)).status == "running"
        await session.run_task("a", list)
        await session.run_task("b", list)
        state = await second.engine.state(run_id)
        assert state.status is RunStatus.COMPLETED
        assert (slow.keys, quick.keys) == (["a"], ["a", "b"])

    with_clock(url, work)


def test_a_worker_that_lost_its_run_takes_no_signal_of_it(url: str) -> None:
    """A cancel that it reads is still there for the worker that has the run now."""

    async def work(journal: StoredJournal, clock: ManualClock) -> None:
        first, second = worker(journal, "w1", Watched(), clock), worker(journal, "w2", Watched(), clock)
        old = await first.start([A])
        run_id = old.state.run_id
        await second.engine.wish(run_id, "cancel", by="me")
        clock.advance(LEASE + 1)
        session = await second.reopen(run_id)
        with pytest.raises(FencedError):
            await old.receive(list)
        assert await journal.signalled() == [run_id]
        await session.receive(list)
        assert (await second.engine.state(run_id)).status is RunStatus.CANCELLED
        assert await journal.signalled() == []

    with_clock(url, work)


def test_a_long_task_keeps_its_claim_alive() -> None:
    """The driver renews what it drives while a task takes longer than the lease."""
    runner = Watched()

    async def work(journal: StoredJournal, clock: ManualClock) -> None:
        runner.gates["a"] = asyncio.Event()
        bench = worker(journal, "w1", runner, clock)
        session = await bench.start([A])
        drive = asyncio.create_task(bench.driver.drive(session))
        await begun(runner)
        clock.advance(LEASE - 1)
        await asyncio.sleep(0.4)
        clock.advance(LEASE - 1)
        assert await journal.holder(session.state.run_id) == "w1"
        runner.gates["a"].set()
        assert (await drive).status is RunStatus.COMPLETED

    with_clock("memory:", work)


def test_a_worker_learns_that_its_run_was_taken_while_a_task_is_under_way() -> None:
    """A renewal that is refused ends the walk with the reason, without waiting for the task."""
    runner = Watched()

    async def work(journal: StoredJournal, clock: ManualClock) -> None:
        runner.gates["a"] = asyncio.Event()
        bench = worker(journal, "w1", runner, clock)
        session = await bench.start([A])
        drive = asyncio.create_task(bench.driver.drive(session))
        await begun(runner)
        clock.advance(LEASE + 1)
        assert await journal.claim(session.state.run_id, owner="w2", lease=LEASE) is not None
        with pytest.raises(FencedError, match="taken over"):
            await drive
        assert await journal.holder(session.state.run_id) == "w2"

    with_clock("memory:", work)


async def ends(bench: Bench, session: RunSession, runner: Watched) -> None:
    await bench.driver.drive(session)


async def breaks(bench: Bench, session: RunSession, runner: Watched) -> None:
    runner.answers["a"] = raising(StoreUnavailableError("The database was away."))
    with pytest.raises(StoreUnavailableError):
        await bench.driver.drive(session)


async def parks(bench: Bench, session: RunSession, runner: Watched) -> None:
    runner.answers["a"] = raising(QuotaExhaustedError("402"))
    await bench.driver.drive(session)


async def is_killed(bench: Bench, session: RunSession, runner: Watched) -> None:
    runner.gates["a"] = asyncio.Event()
    drive = asyncio.create_task(bench.driver.drive(session))
    await begun(runner)
    await killed(drive)


@pytest.mark.parametrize("leaves", [ends, parks, breaks, is_killed])
def test_a_claim_is_given_back_however_the_walk_ends(
    leaves: Callable[[Bench, RunSession, Watched], Awaitable[None]],
) -> None:
    """After an end, a stop, a lost database or a cancellation another worker may have the run at once."""

    async def main() -> None:
        runner, clock = Watched(), SystemClock()
        journal = await open_journal("memory:", clock=clock)
        bench = Bench(journal, runner, clock, worker="w1")
        session = await bench.start([A])
        await leaves(bench, session, runner)
        assert await journal.holder(session.state.run_id) == ""
        assert await journal.claim(session.state.run_id, owner="w2", lease=LEASE) is not None

    asyncio.run(asyncio.wait_for(main(), 5))
