"""What a provider can do to a real run: how it stops, that it is never called done, and that it goes on when mended."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from real_mode import KEY, SHORT, against, done_calls, opened, request, stopped_as
from run_faults import FAULTS, Fault

from orchestrator_v2 import Orchestrator
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import OrchestratorError, StoreError
from orchestrator_v2.core.events import RunParked, TaskFailed
from orchestrator_v2.core.usage import nano_usd, usd
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import PhaseStatus
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import Asked, asked, worked_reply
from orchestrator_v2.workspace.sandbox import Sandbox


class Weather:
    """Answers well, but for the calls of `phase` while the fault lasts."""

    def __init__(self, fault: Reply, *, phase: str = "second", step: int | None = None) -> None:
        self.fault: Reply | None = fault
        self._phase = phase
        self._step = step
        self.spoilt = 0
        self.good: Counter[Asked] = Counter()

    def __call__(self, seen: Seen) -> Reply:
        wanted = asked(seen.prompt)
        if self.fault is not None and wanted.phase == self._phase and self._step in (None, wanted.step):
            self.spoilt += 1
            return self.fault
        self.good[wanted] += 1
        return worked_reply(seen)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stops_the_run_by_its_name_and_mending_it_goes_on(name: str, tmp_path: Path) -> None:
    """Sent as often as the table says, stopped as it says, never completed; then done without paying twice."""
    fault = FAULTS[name]
    weather = Weather(fault.reply)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT, out=tmp_path / "out"))
        run_id = state.run_id
        assert await stopped_as(orchestrator, state) == fault.status
        assert weather.spoilt == fault.tries
        assert state.phase("first").status is PhaseStatus.DONE
        assert state.phase("second").status is not PhaseStatus.DONE
        events = [entry.event for entry in await orchestrator.events(run_id)]
        (failed,) = [event for event in events if isinstance(event, TaskFailed)]
        assert (failed.phase, failed.code) == ("second", fault.code)
        assert failed.what and failed.do
        assert KEY not in repr(events) + repr(await orchestrator.calls(run_id))
        _says_when_to_go_on(fault, [event for event in events if isinstance(event, RunParked)])
        # The phase that was done is laid out, the other is not.
        assert (tmp_path / "out/docs/first.md").is_file()
        assert not (tmp_path / "out/docs/second.md").exists()
        weather.fault = None
        async with opened(tmp_path, server) as later:
            again = await (later.retry(run_id, "second") if fault.code == "refusal" else later.resume(run_id))
            assert await stopped_as(later, again) == "completed"
            rows = await done_calls(later, run_id)
            assert again.usage.cost == sum(row.charged or 0 for row in rows if row.key.startswith(_counted(fault)))
        assert {one: count for one, count in weather.good.items() if one.phase == "first"} == {
            Asked("first", 0): 1,
            Asked("first", 1): 1,
        }
        assert sum(weather.good.values()) == 4
        assert (tmp_path / "out/docs/second.md").is_file()

    against(tmp_path, work, default=weather)


def _counted(fault: Fault) -> tuple[str, ...]:
    """The calls whose tasks ended well: those of a failed round are in the ledger only."""
    return ("first", "second.r2") if fault.status == "failed" or fault.code == "refusal" else ("first", "second")


def _says_when_to_go_on(fault: Fault, parked: list[RunParked]) -> None:
    if fault.status != "waiting_provider":
        assert all(event.resume_at is None for event in parked)
        return
    (event,) = parked
    assert event.resume_at is not None
    wait = {"retry-after": "0", **fault.reply.headers}["retry-after"]
    expected = float(wait) if wait.isdigit() else 0
    assert event.resume_at - time.time() > expected - 60


def test_a_refused_answer_is_not_paid_for_again_by_resume(tmp_path: Path) -> None:
    """The refusal is recorded: resume says so again and sends nothing; `retry` asks anew."""
    weather = Weather(FAULTS["refusal"].reply)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT))
        sent = len(server.requests)
        again = await orchestrator.resume(state.run_id)
        assert await stopped_as(orchestrator, again) == "needs_attention"
        assert len(server.requests) == sent
        assert "retry" in again.advice

    against(tmp_path, work, default=weather)


def test_the_report_counts_what_failed_rounds_cost(tmp_path: Path) -> None:
    """Answers that did not fit were paid for: the cost in RUN.md is the ledger's, not that of the good rounds alone."""
    weather = Weather(FAULTS["no JSON, twice"].reply)
    phases = (*SHORT.workflow.phases, Phase("report", "engine", needs=("second",), outputs=("RUN.md",)))

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        workflow = PhaseGraph(Workflow("reported", phases))
        run_id = (await orchestrator.run(request(workflow=workflow))).run_id
        weather.fault = None
        again = await orchestrator.resume(run_id)
        assert await stopped_as(orchestrator, again) == "completed"
        total = sum(row.charged or 0 for row in await orchestrator.calls(run_id))
        assert total > (again.usage.cost or 0) > 0
        report = (await orchestrator.read(run_id, "RUN.md")).decode()
        assert usd(total) in next(line for line in report.splitlines() if line.startswith("| Cost"))

    against(tmp_path, work, default=weather)


def test_a_short_retry_after_is_obeyed(tmp_path: Path) -> None:
    """100 s are under the cap: they are waited for, exactly, the call is sent once more, and the run completes."""
    busy = Reply(status=429, headers={"retry-after": "100"})
    clock = ManualClock(time.time(), auto=True)
    met: list[Asked] = []

    def answer(seen: Seen) -> Reply:
        met.append(asked(seen.prompt))
        return busy if met[-1] == Asked("second") and met.count(met[-1]) == 1 else worked_reply(seen)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT))
        assert await stopped_as(orchestrator, state) == "completed"
        assert 100 in clock.slept
        assert len(met) == 5

    against(tmp_path, work, default=answer, parts={"clock": clock})


def test_recovery_leaves_a_parked_run_alone_until_its_time(tmp_path: Path) -> None:
    """Before `resume_at` nothing is sent; after it, recovery takes the run up and it completes."""
    weather = Weather(Reply(status=429, headers={"retry-after": "600"}))
    # Calls right after a pause go out one by one, so somebody sleeps for moments.
    clock = ManualClock(time.time(), auto=True)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT))
        assert state.resume_at == pytest.approx(clock.now() + 600)
        weather.fault = None
        sent = len(server.requests)
        assert await orchestrator.recover() == []
        clock.advance(599)
        assert await orchestrator.recover() == []
        assert len(server.requests) == sent
        clock.advance(2)
        (session,) = await orchestrator.recover()
        assert await stopped_as(orchestrator, await orchestrator.drive(session)) == "completed"
        assert len(server.requests) == sent + 2

    against(tmp_path, work, default=weather, parts={"clock": clock})


def test_a_step_in_the_middle_of_a_task_is_not_sent_again(tmp_path: Path) -> None:
    """A fault at the developer's third step: resume sends that step only; the plan and earlier steps are recorded."""
    weather = Weather(Reply(status=500), phase="development", step=3)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request())
        assert await stopped_as(orchestrator, state) == "waiting_provider"
        weather.fault = None
        again = await orchestrator.resume(state.run_id)
        assert await stopped_as(orchestrator, again) == "completed"
        assert set(weather.good.values()) == {1}

    against(tmp_path, work, default=weather)


def test_a_run_without_its_key_waits_for_one(tmp_path: Path) -> None:
    """A resumed run whose key is gone from the settings parks, sends nothing, and goes on with a new key."""
    weather = Weather(Reply(status=401))

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        run_id = (await orchestrator.run(request(workflow=SHORT))).run_id
        weather.fault = None
        sent = len(server.requests)
        async with opened(tmp_path, server, key="") as keyless:
            assert await stopped_as(keyless, await keyless.resume(run_id)) == "needs_credential"
        assert len(server.requests) == sent
        async with opened(tmp_path, server, key="sk-ant-another-key-0001") as later:
            assert await stopped_as(later, await later.resume(run_id)) == "completed"
        assert server.requests[-1].key == "sk-ant-another-key-0001"

    against(tmp_path, work, default=weather)


def test_a_budget_that_is_too_small_sends_nothing_and_waits(tmp_path: Path) -> None:
    """The worst case of the first call does not fit: nothing is sent; with a larger budget the run completes in it."""

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT, budget=nano_usd(0.001)))
        assert await stopped_as(orchestrator, state) == "waiting_budget"
        assert (server.requests, await orchestrator.calls(state.run_id)) == ([], [])
        assert await stopped_as(orchestrator, await orchestrator.resume(state.run_id)) == "waiting_budget"
        assert server.requests == []
        again = await orchestrator.resume(state.run_id, budget=nano_usd(5))
        assert await stopped_as(orchestrator, again) == "completed"
        assert 0 < (again.usage.cost or 0) <= nano_usd(5)

    against(tmp_path, work)


def test_an_unknown_price_with_a_budget_is_refused(tmp_path: Path) -> None:
    """What nobody can price is not sent under a ceiling; without one the run completes and its cost is unknown."""

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT, model="home-made-7b", budget=nano_usd(5)))
        assert await stopped_as(orchestrator, state) == "waiting_budget"
        assert server.requests == []
        free = await orchestrator.run(request(workflow=SHORT, model="home-made-7b"))
        assert await stopped_as(orchestrator, free) == "completed"
        assert free.usage.cost is None

    against(tmp_path, work)


def test_without_a_sandbox_no_generated_code_is_run(tmp_path: Path) -> None:
    """Real mode is blocked before the tests would run; with walls the same run goes on, and nothing is asked again."""
    weather = Weather(Reply(), phase="none")
    bare = Sandbox(bwrap=str(tmp_path / "no-bwrap-here"))

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request())
        assert await stopped_as(orchestrator, state) == "blocked"
        assert state.phase("qa").receipts == ()
        assert state.phase("qa").status is PhaseStatus.PENDING
        async with opened(tmp_path, server) as walled:
            assert await stopped_as(walled, await walled.resume(state.run_id)) == "completed"
        assert set(weather.good.values()) == {1}

    against(tmp_path, work, default=weather, parts={"sandbox": bare})


def test_an_out_folder_that_vanishes_is_laid_out_anew(tmp_path: Path) -> None:
    """Removed in mid-run, it is there again at the end, whole: it is a view, and the journal is the truth."""
    out = tmp_path / "out"
    weather = Weather(Reply(status=500))

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=SHORT, out=out))
        assert (out / "docs/first.md").is_file()
        shutil.rmtree(out)
        weather.fault = None
        assert await stopped_as(orchestrator, await orchestrator.resume(state.run_id)) == "completed"
        assert (out / "docs/first.md").is_file()
        assert (out / "docs/second.md").is_file()

    against(tmp_path, work, default=weather)


def test_an_out_folder_that_cannot_be_written_any_more_loses_nothing(tmp_path: Path) -> None:
    """A file stands where the folder should be: an error names it, the run is kept, and `export` lays it elsewhere."""
    out = tmp_path / "place" / "out"

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        session = await orchestrator.start(request(workflow=SHORT, out=out))
        run_id = session.state.run_id
        shutil.rmtree(tmp_path / "place", ignore_errors=True)
        (tmp_path / "place").write_text("in the way", "utf-8")
        with pytest.raises(OrchestratorError, match="place"):
            await orchestrator.drive(session)
        sent = len(server.requests)
        assert (await orchestrator.row(run_id)).status == "completed"
        await orchestrator.export(run_id, tmp_path / "elsewhere")
        assert (tmp_path / "elsewhere/docs/second.md").is_file()
        assert len(server.requests) == sent == 4

    against(tmp_path, work)


def test_a_data_folder_that_vanishes_ends_the_drive_with_an_error(tmp_path: Path) -> None:
    """The journal is gone: the caller is told by name, nothing more is sent, and nothing is called completed."""

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        session = await orchestrator.start(request(workflow=SHORT))
        shutil.rmtree(tmp_path / "data")
        with pytest.raises(StoreError) as caught:
            await orchestrator.drive(session)
        assert caught.value.what and caught.value.do
        assert session.state.status != "completed"

    against(tmp_path, work)


def test_a_limit_in_the_settings_holds_for_the_runs_calls(tmp_path):
    """With two calls a minute on the key, the third and fourth of a run wait for the next minute, by the clock."""

    async def go():
        clock = ManualClock(auto=True)
        async with (
            FakeAnthropic(default=worked_reply) as server,
            opened(tmp_path, server, requests_per_minute=2, parts={"clock": clock}) as orchestrator,
        ):
            began = clock.now()
            state = await orchestrator.run(request(workflow=SHORT))
            assert (state.status, len(server.requests)) == ("completed", 4)
            assert clock.now() - began >= 60

    asyncio.run(go())
