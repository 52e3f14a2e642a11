"""Agents over the real client stack: a key alone reaches the wire, and recorded answers are not asked for again."""

from __future__ import annotations

import asyncio
import json

import pytest

from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.factory import create_agent, run_agent
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.state_models import TaskDefinition
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

PLANTED = "sk-ant-api03-planted-0123456789abcdef"
TASK = TaskDefinition(run_id="r", phase=Phase(id="development", agent="developer", outputs=("src/**",)))
PLAN = json.dumps({"summary": "s", "steps": [{"title": "alpha"}, {"title": "beta"}]})
ALPHA, BETA = (
    json.dumps({"summary": "s", "files": [{"path": path, "content": "x = 1\n"}]}) for path in ("src/a.py", "src/b.py")
)


def test_a_users_key_alone_is_enough_to_work_over_the_wire():
    """Without a client in the context one is opened with the key; the server sees it in the header and nowhere else."""

    async def work():
        async with FakeAnthropic([PLAN, ALPHA, BETA]) as server:
            context = AgentContext(
                llm_api_key=PLANTED, llm_provider="anthropic", base_url=server.base_url, brief="A timer", mode="real"
            )
            done = await run_agent(TASK, context, create_agent("coder"))
            return done, server

    done, server = asyncio.run(work())
    assert [file.path for file in done.files] == ["src/a.py", "src/b.py"]
    assert done.provenance.kind == "real"
    assert server.problems == []
    assert len(server.requests) == 3
    for seen in server.requests:
        assert PLANTED in seen.headers["authorization"]
        assert PLANTED not in json.dumps(seen.body)
        assert "A timer" in json.dumps(seen.body)


def test_a_refused_key_is_an_error_that_does_not_show_it():
    """The provider echoes the key; the agent neither simulates instead nor repeats it."""

    async def work():
        async with FakeAnthropic([Reply(status=401, message=f"invalid key {PLANTED}")]) as server:
            context = AgentContext(llm_api_key=PLANTED, base_url=server.base_url, brief="A timer")
            await create_agent("developer").plan(TASK, TASK.phase, None, context)

    with pytest.raises(OrchestratorError) as caught:
        asyncio.run(work())
    assert caught.value.code == "authentication"
    assert PLANTED not in f"{caught.value!r} {caught.value}"


def test_a_task_that_was_interrupted_asks_only_for_what_was_not_answered_yet():
    """Plan and first step come from the ledger; the calls before the crash are not sent again."""
    ledger = MemoryCallLedger()

    def attempt(answers, number):
        factory, scripted = scripted_factory(answers, name="anthropic")
        client = factory.create_client(LLMConfig("anthropic", ""), ledger=ledger)
        task = TaskDefinition(run_id="r", phase=TASK.phase, attempt=number)
        context = AgentContext(client=client, brief="A timer", upstream={"docs/a.md": "a"})
        try:
            return asyncio.run(run_agent(task, context)), scripted
        except KeyError:
            return None, scripted

    nothing, _ = attempt([PLAN, ALPHA, KeyError("crash")], 1)
    done, scripted = attempt([BETA], 2)
    assert nothing is None
    assert [call.key for call in scripted.calls] == ["development/act/2"]
    assert done is not None
    assert [file.path for file in done.files] == ["src/a.py", "src/b.py"]
    assert done.usage.calls == 3
