"""What holds for an agent however it is reached: API, a program, both ways; and over a server that is not ours."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator

import pytest
from llmock_server import fetch, running_llmock

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.tasks.agent_registry import AgentRegistry
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.command import Command
from orchestrator_v2.tasks.task_executor import TaskExecutor
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = "sk-proj-planted-canary-0123456789"
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
# Does what its prompt says, as the server does; `down` breaks the API alone, so that the program is fallen back to.
PROGRAM = """
import os, sys, time
asked = sys.stdin.read()
if "fail" in asked: sys.exit("no: " + os.environ.get("TOOL_KEY", ""))
if "hang" in asked: time.sleep(600)
print('{"sum": 4}' if "JSON" in asked else "Four.")
"""
FAILED = {"api": "request_rejected", "cli": "provider", "hybrid": "provider"}
WAY = {"api": "api", "cli": "cli", "hybrid": "cli"}
INTERFACES = tuple(WAY)


def answer(seen) -> Reply:
    prompt = seen.prompt
    if "by program" in prompt:
        return Reply(status=503)
    if "fail" in prompt:
        return Reply(status=400, message=f"no: {KEY}")
    return Reply(text='{"sum": 4}' if "response_format" in seen.body else "Four.", silence=600 * ("hang" in prompt))


def run(interface: str, *tasks: AgentTask, ledger=None, limit: int = 4):
    """The results of these tasks, all by one agent; one that is reached both ways always falls back."""
    agents = AgentRegistry()
    command = Command((sys.executable, "-I", "-S", "-c", PROGRAM), credential_variable="TOOL_KEY", grace=0.1)
    more = {} if interface == "api" else {"command": command}

    async def go():
        async with FakeOpenAI(default=answer) as server:
            agents.register_agent(
                "a", "dev", interface, "" if interface == "cli" else "openai/gpt-6.1-terra", Secret(KEY),
                base_url=server.base_url, **more,
            )  # fmt: skip
            async with TaskExecutor(agents, environ={}, retry=RetryConfig(max_attempts=1), ledger=ledger) as executor:
                return await executor.execute_parallel(tasks, "a", limit=limit)

    return asyncio.run(go())


def task(interface: str, prompt: str, **more) -> AgentTask:
    words = f"by program: {prompt}" if interface == "hybrid" else prompt
    return AgentTask(words, allow_cli_fallback=interface == "hybrid", **more)


@pytest.mark.parametrize("interface", INTERFACES)
def test_an_answer_says_how_it_came_to_be(interface: str) -> None:
    """The way, the provider, the agent and the attempts are in the metadata of every success."""
    result = run(interface, task(interface, "2 + 2?", task_id="t"))[0]
    assert (result.success, result.output, result.task_id, result.error) == (True, "Four.", "t", None)
    told = result.metadata
    assert (told["execution_method"], told["agent"], told["provenance"]) == (WAY[interface], "a", "real")
    assert told["provider"]
    assert told["attempts"] == (2 if interface == "hybrid" else 1)
    assert ("fallback_from" in told) == (interface == "hybrid")
    assert ("exit_code" in told) == (WAY[interface] == "cli")


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_structured_answer_is_a_value(interface: str) -> None:
    """The same schema gives the same value on every way."""
    result = run(interface, task(interface, "2 + 2?", response_schema=SCHEMA))[0]
    assert (result.data, json.loads(result.output)) == ({"sum": 4}, {"sum": 4})


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_failure_is_a_result_and_tells_no_key(interface: str) -> None:
    """What, why and what to do; no output, and no key, though the other side says it back."""
    result = run(interface, task(interface, "fail"))[0]
    assert result.error is not None
    assert (result.success, result.output, result.data, result.error.code) == (False, "", None, FAILED[interface])
    assert all((result.error.what, result.error.why, result.error.do))
    assert "[redacted]" in result.error.why
    assert KEY not in repr(result)


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_task_ends_with_its_time(interface: str) -> None:
    """Whoever hangs, the caller has a result when the time is over, and the cost is not claimed to be nothing."""
    result = run(interface, task(interface, "hang", timeout=0.6))[0]
    assert result.error is not None
    assert (result.error.code, result.cost) == ("provider_unavailable", None)
    assert result.duration < 5


@pytest.mark.parametrize("interface", INTERFACES)
def test_many_tasks_stand_in_their_order(interface: str) -> None:
    """A failure among them is one failure."""
    tasks = [task(interface, "fail" if number == 2 else "2 + 2?", task_id=f"t{number}") for number in range(6)]
    results = run(interface, *tasks)
    assert [result.task_id for result in results] == [one.task_id for one in tasks]
    assert [result.success for result in results] == [number != 2 for number in range(6)]


@pytest.mark.parametrize("interface", ["api", "cli"])
def test_what_was_answered_once_is_recorded(interface: str) -> None:
    """A second executor on the same ledger has the answer without asking."""
    ledger = MemoryCallLedger()
    one = task(interface, "2 + 2?", task_id="t")
    first, second = run(interface, one, ledger=ledger)[0], run(interface, one, ledger=ledger)[0]
    assert (first.output, first.metadata["recorded"], first.metadata["attempts"]) == ("Four.", False, 1)
    assert (second.output, second.metadata["recorded"], second.metadata["attempts"]) == ("Four.", True, 0)
    assert len(ledger.rows) == 1


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    """An independent mock of the vendors' wires that also judges its client."""
    with running_llmock() as url:
        yield url


def test_tasks_over_a_server_that_is_not_ours(mock_url: str) -> None:
    """Two vendors' wires at once, a fault on the way that is overcome, and no complaint of the judge."""
    fetch(f"{mock_url}/_llmock/reset", {})
    fetch(f"{mock_url}/_llmock/scenario", {"behaviors": [{"type": "fail", "status": 503, "times": 1}]})
    agents = AgentRegistry()
    key = Secret("llmock-key-000000")
    agents.register_agent("claude", "dev", "api", "anthropic/claude-sonnet-5-5", key, base_url=f"{mock_url}/anthropic")
    agents.register_agent("gpt", "qa", "api", "openai/gpt-6.1-terra", key, base_url=f"{mock_url}/v1")

    async def go():
        async with TaskExecutor(agents, environ={}, retry=RetryConfig(initial=0.1)) as executor:
            tasks = [
                AgentTask(f"number {n} of 4711", agent_type=("dev", "qa")[n % 2], max_tokens=500) for n in range(6)
            ]
            return await executor.execute_parallel(tasks, limit=3)

    results = asyncio.run(go())
    assert [result.metadata["provider"] for result in results] == ["anthropic", "openai"] * 3
    assert all(f"number {n} of 4711" in result.output for n, result in enumerate(results))
    assert sum(result.metadata["attempts"] for result in results) == 7
    findings = fetch(f"{mock_url}/_llmock/verdict").get("findings", [])
    assert [finding for finding in findings if finding] == []
