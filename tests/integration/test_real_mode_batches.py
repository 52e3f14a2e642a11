"""Runs whose model calls go by the batch lane: parked while the provider works, gone on with, paid once."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest
from real_mode import KEY, SHORT, done_calls, opened, request, settings, stopped_as

from orchestrator_v2 import Orchestrator, open_orchestrator
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core.clock import ManualClock, SystemClock
from orchestrator_v2.core.errors import ConfigError, FencedError, RunStateError
from orchestrator_v2.core.workflow import Gate, Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState, RunStatus
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.settling import Settling
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.worked_answers import worked_reply
from orchestrator_v2.workspace.evidence import CHECKS

KEYS = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": "sk-openai-of-its-own"}

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


def branches(*plain: str) -> PhaseGraph:
    """One phase by batch, and beside it a chain of plain ones; the last needs both."""
    chain = [
        Phase(name, "developer", needs=(before,) if before else (), outputs=(f"docs/{name}.md",))
        for before, name in zip(("", *plain), plain, strict=False)
    ]
    slow = Phase("slow", "architect", outputs=("docs/slow.md",), batch=True)
    last = Phase("last", "reviewer", needs=("slow", plain[-1]), outputs=("docs/last.md",))
    return PhaseGraph(Workflow("branches", (slow, *chain, last)))


def test_what_needs_no_batch_goes_on_beside_it(tmp_path):
    """The run stands still when nothing else is left to do, and not while a branch beside the batch can go on."""

    async def go() -> None:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server, opened(tmp_path, server) as orchestrator:
            state = await orchestrator.run(request(workflow=branches("a", "b", "c")))
            assert state.status == "waiting_provider"
            done = [name for name, phase in state.phases.items() if phase.status == "done"]
            assert sorted(done) == ["a", "b", "c"]
            assert (state.phase("slow").status, state.phase("last").status) == ("pending", "pending")
            state = await orchestrator.resume(state.run_id)
            state = await orchestrator.resume(state.run_id)
            assert state.status == "completed"

    asyncio.run(go())


def test_a_wait_that_is_over_is_not_what_the_run_waits_for(tmp_path):
    """The phase by batch is done in the end; a review beside it waits for a person, and that is what is said."""

    async def go() -> None:
        seen = Phase("seen", "reviewer", outputs=("docs/seen.md",), gate=Gate(review="human"))
        slow = Phase("slow", "architect", outputs=("docs/slow.md",), batch=True)
        graph = PhaseGraph(Workflow("both", (slow, seen)))
        async with FakeAnthropicBatches(worked_reply, polls=0) as server, opened(tmp_path, server) as orchestrator:
            state = await orchestrator.run(request(workflow=graph))
            assert (state.status, state.phase("seen").status) == ("waiting_provider", "waiting_review")
            while state.status == "waiting_provider":
                state = await orchestrator.resume(state.run_id)
            assert (state.status, state.phase("slow").status) == ("waiting_review", "done")

    asyncio.run(go())


def test_a_batch_of_a_phase_that_is_begun_anew_is_charged_and_said_to_be_lost(tmp_path):
    """`retry` asks anew; the old batch may be billed, so its reservation is charged and no longer held open."""

    async def go() -> None:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server, opened(tmp_path, server) as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, batch=True))
            state = await orchestrator.retry(state.run_id, "first")
            while state.status == "waiting_provider":
                state = await orchestrator.resume(state.run_id)
            assert state.status == "completed"
            old, *others = await orchestrator.calls(state.run_id)
            assert (old.key, old.outcome, old.charged == old.reserved) == ("first/plan", "failed", True)
            assert old.handle in old.error
            assert {row.outcome for row in others} == {"done"}
            assert (await orchestrator.row(state.run_id)).spent == sum(row.charged or 0 for row in [old, *others])

    asyncio.run(go())


def test_a_model_that_retires_meanwhile_is_still_collected_from(tmp_path):
    """A run's model is judged by the day on which it was started; the batch that is out is its own."""

    async def go() -> None:
        clock = ManualClock(1_793_000_000.0, auto=True)  # 2026-10-26
        async with FakeAnthropicBatches(worked_reply, polls=0) as server:
            async with opened(tmp_path, server, base_url=None, parts={"clock": clock}) as orchestrator:
                with pytest.raises(ConfigError):
                    clock.advance(60 * 86_400)
                    await orchestrator.start(request(workflow=SHORT, batch=True, model="claude-sonnet-4-5"))
            clock = ManualClock(1_793_000_000.0, auto=True)
            async with opened(tmp_path, server, parts={"clock": clock}) as orchestrator:
                state = await orchestrator.run(request(workflow=SHORT, batch=True, model="claude-sonnet-4-5"))
                clock.advance(60 * 86_400)
                while state.status == "waiting_provider":
                    state = await orchestrator.resume(state.run_id)
                assert state.status == "completed"

    asyncio.run(go())


def test_one_who_waits_does_not_take_anothers_work_for_the_end(tmp_path):
    """While another process goes on with the run, `wait` looks again until it has ended."""

    async def go() -> None:
        async with (
            FakeAnthropicBatches(worked_reply, polls=0) as server,
            opened(tmp_path, server, parts={"clock": ManualClock(auto=True)}) as waiting,
            opened(tmp_path, server) as other,
        ):
            state = await waiting.run(request(workflow=SHORT, batch=True))
            running = msgspec.structs.replace(state, status=RunStatus.RUNNING)

            async def work() -> None:
                now = state
                while now.status == "waiting_provider":
                    try:
                        now = await other.resume(state.run_id)
                    except (RunStateError, FencedError):
                        now = await other.state(state.run_id)

            both = await asyncio.gather(waiting.wait(running), work())
            assert both[0].status == "completed"
            assert len(server.desk.batches) == 4

    asyncio.run(go())


def test_a_run_is_not_taken_to_another_server(tmp_path):
    """A key is for one origin: settings that name another server than the run began with park it, and cost nothing."""

    async def go() -> None:
        async with (
            FakeAnthropicBatches(worked_reply, polls=0) as server,
            FakeAnthropicBatches(worked_reply) as elsewhere,
        ):
            async with opened(tmp_path, server) as orchestrator:
                state = await orchestrator.run(request(workflow=SHORT, batch=True))
            async with opened(tmp_path, elsewhere) as moved:
                state = await moved.resume(state.run_id)
                assert (state.status, elsewhere.requests) == ("needs_attention", [])
                assert server.base_url in state.stopped
            async with opened(tmp_path, server) as back:
                state = await back.resume(state.run_id)
                assert state.status == "waiting_provider"
                assert [row.outcome for row in await back.calls(state.run_id)] == ["done", "submitted"]

    asyncio.run(go())


def test_the_key_of_another_provider_does_not_go_to_the_settings_server(tmp_path):
    """base_url in the settings is the settings' provider's server; a run with another provider goes to its own."""
    loaded = load_settings({"data_dir": str(tmp_path), "base_url": "http://127.0.0.1:9"}, KEYS, tmp_path, tmp_path)
    factory = LLMFactory(clock=SystemClock(), random=Random(1), catalog=loaded.catalog)

    def resolve(config: LLMConfig) -> tuple[str, str]:
        return factory.resolve(config).name, ""

    settling = Settling(
        loaded, key=None, resolve=resolve, needs_key=factory.needs_key, batches=lambda _: True, checks=CHECKS
    )
    assert settling.config("anthropic", "").base_url == "http://127.0.0.1:9"
    other = settling.config("openai", "")
    assert (other.base_url, other.model) == ("", "")
    assert other.credential is not None and other.credential.reveal() == KEYS["OPENAI_API_KEY"]
