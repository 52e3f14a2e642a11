"""Runs whose model calls go by the batch lane: parked while the provider works, gone on with, paid once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from real_mode import KEY, SHORT, done_calls, opened, request, settings, stopped_as

from orchestrator_v2 import Orchestrator, open_orchestrator
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.worked_answers import worked_reply

# Only the second phase goes by batch.
HALF = PhaseGraph(
    Workflow("half", (SHORT.phases["first"], msgspec.structs.replace(SHORT.phases["second"], batch=True)))
)


def test_a_run_by_batches_sleeps_in_the_journal_and_costs_half(tmp_path):
    """Every stop is another process; each call is handed in once, and the whole costs half of what it would."""

    async def go() -> None:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server:
            async with opened(tmp_path / "plain", server) as plain:
                whole = await plain.run(request(workflow=SHORT))
            assert whole.status == "completed"
            home, stops = tmp_path / "batch", 0
            async with opened(home, server) as first:
                state = await first.run(request(workflow=SHORT, batch=True))
            while state.status == "waiting_provider":
                stops += 1
                assert state.resume_at is not None and state.resume_at > state.changed_at
                assert state.stopped.startswith("anthropic works on the batch 'msgbatch_")
                async with opened(home, server) as later:
                    assert (await later.row(state.run_id)).resume_at == state.resume_at
                    state = await later.resume(state.run_id)
            assert (state.status, stops, len(server.desk.batches)) == ("completed", 4, 4)
            async with opened(home, server) as last:
                calls = await last.calls(state.run_id)
            assert [(row.outcome, row.key) for row in calls] == [
                ("done", f"{phase}/{step}") for phase in ("first", "second") for step in ("plan", "act/1")
            ]
            assert state.usage.cost is not None and whole.usage.cost is not None
            assert 0 < state.usage.cost <= whole.usage.cost // 2 + 4
            assert server.problems == []

    asyncio.run(go())


def test_only_the_phases_that_say_so_go_by_batch(tmp_path):
    """`batch: true` in a phase is its lane alone; the other phase is streamed as ever."""

    async def go() -> None:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server, opened(tmp_path, server) as orchestrator:
            state = await orchestrator.run(request(workflow=HALF))
            while state.status == "waiting_provider":
                state = await orchestrator.resume(state.run_id)
            assert state.status == "completed"
            handles = [bool(row.handle) for row in await orchestrator.calls(state.run_id)]
            assert handles == [False, False, True, True]

    asyncio.run(go())


def test_waiting_goes_on_by_itself_to_the_end(tmp_path):
    """`wait` sleeps until each moment that the provider's batch is to be asked about, and no earlier."""

    async def go() -> None:
        async with FakeAnthropicBatches(worked_reply, polls=2) as server:
            clock = ManualClock(auto=True)
            async with opened(tmp_path, server, parts={"clock": clock}) as orchestrator:
                started = clock.now()
                state = await orchestrator.wait(await orchestrator.run(request(workflow=SHORT, batch=True)))
                assert (state.status, len(await done_calls(orchestrator, state.run_id))) == ("completed", 4)
                # Each call waits 60 s three times: 15 s would be the quarter of its age.
                assert clock.now() - started == pytest.approx(4 * 3 * 60, abs=30)
                assert await orchestrator.wait(state) is state

    asyncio.run(go())


def test_a_waiting_that_is_stopped_leaves_the_run_parked(tmp_path):
    """`stop` ends the sleep at once; the run stays where it was and another process can go on with it."""

    async def go() -> ProjectState:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server, opened(tmp_path, server) as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, batch=True))
            asyncio.get_running_loop().call_later(0.05, orchestrator.stop)
            async with asyncio.timeout(5):
                state = await orchestrator.wait(state)
            assert await stopped_as(orchestrator, state) == "waiting_provider"
            return state

    asyncio.run(go())


def test_a_run_that_was_cancelled_meanwhile_is_left_alone(tmp_path):
    """Somebody else cancels while we wait: the waiting ends with the cancelled run, and nothing more is collected."""

    async def go() -> None:
        clock = ManualClock(auto=True)
        async with (
            FakeAnthropicBatches(worked_reply, polls=0) as server,
            opened(tmp_path, server, parts={"clock": clock}) as orchestrator,
        ):
            state = await orchestrator.run(request(workflow=SHORT, batch=True))
            async with opened(tmp_path, server) as other:
                await other.cancel(state.run_id, by="another")
            assert (await orchestrator.wait(state)).status == "cancelled"
            assert [row.outcome for row in await orchestrator.calls(state.run_id)] == ["submitted"]

    asyncio.run(go())


@pytest.mark.parametrize("workflow", [SHORT, HALF])
def test_batches_are_refused_early_where_there_are_none(tmp_path, workflow):
    """A provider without the lane, and simulated work that is told to use it: an error before anything is recorded."""

    async def work(orchestrator: Orchestrator, **more: Any) -> None:
        with pytest.raises(ConfigError, match="batch"):
            await orchestrator.start(request(workflow=workflow, batch=workflow is SHORT, **more))
        assert await orchestrator.rows() == []

    async def go() -> None:
        loaded = settings(tmp_path, key=KEY, base_url="http://127.0.0.1:9")
        async with await open_orchestrator(loaded) as orchestrator:
            await work(orchestrator, provider="ollama", model="llama")
            if workflow is SHORT:
                await work(orchestrator, mode="simulated")

    asyncio.run(go())
