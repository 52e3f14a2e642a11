"""Agents reached by API and both ways: over real local servers of two wires, with what can go wrong on the way."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from random import Random

import pytest
from pydantic import BaseModel, field_validator

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import InputError, SyncInLoopError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.tasks.agent_registry import AgentRegistry
from orchestrator_v2.tasks.agent_task import AgentTask, ExecutionResult
from orchestrator_v2.tasks.command import Command
from orchestrator_v2.tasks.task_executor import TaskExecutor
from orchestrator_v2.testing import fake_anthropic, fake_openai
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

KEY = "sk-ant-planted-canary-0123456789"
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
ONCE = RetryConfig(max_attempts=1)
QUICK = RetryConfig(max_attempts=3, initial=0.001)
WIRES = {
    "anthropic": (fake_anthropic.FakeAnthropic, fake_anthropic.Reply, "anthropic/claude-sonnet-5-5"),
    "openai": (fake_openai.FakeOpenAI, fake_openai.Reply, "openai/gpt-6.1-terra"),
}
ECHO = [sys.executable, "-I", "-S", "-c", "import sys; print('By hand:', sys.stdin.read())"]
WHOLE = AgentTask("What is 2 + 2?", task_id="sum", allow_cli_fallback=True)


class Bench:
    """A server of one wire with an agent on it, and what came of a task."""

    def __init__(self, *replies, wire="anthropic", ledger=None, retry=ONCE, default="Hello."):
        self.server_of, self.reply, self.model = WIRES[wire]
        self.server = self.server_of(replies, default=default)
        self.ledger = ledger
        self.retry = retry

    async def __aenter__(self):
        await self.server.__aenter__()
        self.agents = AgentRegistry()
        url = self.server.base_url
        self.agents.register_agent("api", "dev", "api", self.model, Secret(KEY), base_url=url)
        self.agents.register_agent("both", "dev", "hybrid", self.model, Secret(KEY), base_url=url, command=ECHO)
        self.executor = TaskExecutor(self.agents, ledger=self.ledger, retry=self.retry, environ={"PATH": "/usr/bin"})
        return self

    async def __aexit__(self, *error):
        await self.executor.aclose()
        await self.server.__aexit__(*error)


def run(*replies, task: AgentTask | str = "What is 2 + 2?", agent="api", **more) -> tuple[ExecutionResult, Bench]:
    """One task over one server. No rule of its wire is broken."""
    given = AgentTask(task, task_id="sum") if isinstance(task, str) else task

    async def go():
        async with Bench(*replies, **more) as bench:
            return await bench.executor.execute(given, agent), bench

    result, bench = asyncio.run(go())
    assert bench.server.problems == []
    assert KEY not in repr(result)
    return result, bench


@pytest.mark.parametrize("wire", WIRES)
def test_a_task_is_answered_by_api(wire: str) -> None:
    """In process, over the real wire: text, usage, and how it came to be."""
    task = AgentTask("What is 2 + 2?", task_id="sum", system_prompt="Be brief.", context={"note": "{{7*7}}"})
    result, bench = run("Four.", task=task, wire=wire)
    assert (result.success, result.output, result.task_id) == (True, "Four.", "sum")
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.calls) == (12, 5, 1)
    assert result.metadata == {
        "agent": "api",
        "execution_method": "api",
        "provider": wire,
        "model": bench.model.partition("/")[2],
        "attempts": 1,
        "provenance": "real",
        "recorded": False,
    }
    seen = bench.server.requests[0]
    assert "Be brief." in seen.prompt
    assert "{{7*7}}" in seen.prompt
    assert KEY in (seen.headers.get("x-api-key"), seen.key)


def test_the_simulated_provider_needs_nothing() -> None:
    """Offline, without a key, free, and marked as what it is."""
    agents = AgentRegistry()
    agents.register_agent("sim", "dev", "api", "simulated")
    result = TaskExecutor(agents, environ={}).execute_sync(AgentTask("p", response_schema=SCHEMA))
    assert (result.success, result.data, result.cost) == (True, {"sum": 0}, 0)
    assert result.metadata["provenance"] == "simulated"
    assert result.metadata["chosen_because"] == "It is the only one that fits."


def test_a_structured_answer_is_asked_for_again_once() -> None:
    """A value that does not fit is shown back with its faults; both calls are charged, the second one counts."""
    task = AgentTask("2 + 2?", task_id="sum", response_schema=SCHEMA)
    result, bench = run('{"sum": "four"}', '{"sum": 4}', task=task)
    assert (result.success, result.data, result.usage.calls, result.metadata["attempts"]) == (True, {"sum": 4}, 2, 2)
    second = bench.server.requests[1].prompt
    assert "'four' is not of type 'integer'" in second
    assert '{"sum": "four"}' in second


def test_an_answer_that_stays_wrong_is_an_error_and_is_charged() -> None:
    """There is one correction and no more; what both calls used is told."""
    task = AgentTask("2 + 2?", task_id="sum", response_schema=SCHEMA)
    result, bench = run("I will not.", '{"sum": "four"}', task=task)
    assert result.error is not None
    assert (result.error.code, result.output, result.data) == ("invalid_output", "", None)
    assert (len(bench.server.requests), result.usage.calls, result.usage.input_tokens) == (2, 2, 24)
    assert result.cost


def test_passing_faults_are_overcome_by_the_model_layers_retries() -> None:
    """The executor sends nothing again itself; the attempts are counted."""
    fault = fake_anthropic.Reply(status=529)
    result, bench = run(fault, fault, "Four.", retry=QUICK)
    assert (result.output, result.metadata["attempts"], len(bench.server.requests)) == ("Four.", 3, 3)
    lost, bench = run(fault, fault, fault, "Four.", retry=QUICK)
    assert lost.error is not None
    assert (lost.error.code, lost.metadata["attempts"], len(bench.server.requests)) == ("provider_unavailable", 3, 3)


MENDED = {
    "down": fake_anthropic.Reply(status=503),
    "a rate limit": fake_anthropic.Reply(status=429),
    "no connection": fake_anthropic.Reply(reset=True),
    "no answer at all": fake_anthropic.Reply(body=b"<html>"),
    "a cut stream": fake_anthropic.Reply(cut_at=300, polite=True),
}
LASTING = {
    "a bad request": (fake_anthropic.Reply(status=400), "request_rejected"),
    "a refused key": (fake_anthropic.Reply(status=401), "authentication"),
    "an empty account": (fake_anthropic.Reply(status=402), "quota_exhausted"),
    "a refusal": (fake_anthropic.Reply(text="No.", stop_reason="refusal"), "refusal"),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_a_second_way_can_mend_is_mended_where_the_task_allows_it(name: str) -> None:
    """The program answers in place of the API, and the metadata says so; without leave the error is the result."""
    result, _ = run(default=MENDED[name], task=WHOLE, agent="both")
    assert (result.success, result.output) == (True, "By hand: What is 2 + 2?")
    told = result.metadata
    assert (told["execution_method"], told["fallback_from"], told["attempts"]) == ("cli", "api", 2)
    assert told["fallback_reason"].partition(":")[0] in (
        "provider_unavailable", "rate_limited", "bad_gateway_content", "stream_truncated",
    )  # fmt: skip
    alone, _ = run(default=MENDED[name], agent="both")
    assert (alone.success, alone.metadata["execution_method"], alone.output) == (False, "api", "")


@pytest.mark.parametrize("name", LASTING)
def test_what_a_second_way_cannot_mend_is_the_result(name: str) -> None:
    """A bad request, a refused key, spent money and a refusal do not start a program."""
    fault, code = LASTING[name]
    result, _ = run(default=fault, task=WHOLE, agent="both")
    assert result.error is not None
    assert (result.error.code, result.metadata["execution_method"]) == (code, "api")
    assert "fallback_from" not in result.metadata


def test_an_agent_with_both_ways_asks_the_api_first() -> None:
    """The program is the second choice, not a race."""
    result, bench = run("Four.", task=WHOLE, agent="both")
    assert (result.output, result.metadata["execution_method"]) == ("Four.", "api")
    assert len(bench.server.requests) == 1


def test_no_key_and_no_budget_are_told_apart() -> None:
    """Without a key the program may answer; money that is not there is no reason to spend it elsewhere."""
    agents = AgentRegistry()
    agents.register_agent("both", "dev", "hybrid", "anthropic/claude-sonnet-5-5", "${MY_KEY}", command=ECHO)
    no_key = TaskExecutor(agents, environ={}).execute_sync(WHOLE)
    assert no_key.output == "By hand: What is 2 + 2?"
    assert no_key.metadata["fallback_reason"].startswith("needs_credential: There is no key for the agent 'both'")
    ledger = MemoryCallLedger(budget=1)
    poor = TaskExecutor(agents, environ={"MY_KEY": KEY}, ledger=ledger).execute_sync(WHOLE)
    assert poor.error is not None
    assert (poor.error.code, poor.metadata["execution_method"], poor.cost) == ("budget_exceeded", "api", 0)


def test_a_provider_that_hangs_leaves_time_for_the_other_way() -> None:
    """Half of the task's time is the API's where there is a second way; the cost of the first is not known."""
    slow = fake_anthropic.Reply(silence=30)
    task = AgentTask("What is 2 + 2?", timeout=4.0, allow_cli_fallback=True)
    result, _ = run(default=slow, task=task, agent="both")
    assert result.output == "By hand: What is 2 + 2?"
    assert result.duration < 4
    assert result.cost is None
    alone, _ = run(default=slow, task=AgentTask("p", timeout=0.3))
    assert alone.error is not None
    assert (alone.error.code, alone.cost) == ("provider_unavailable", None)
    assert alone.duration < 2


def test_a_task_may_name_the_interfaces_that_it_allows() -> None:
    """An agent with both ways uses the allowed one; an agent without any is told."""
    by_hand = AgentTask("p", interfaces=["cli"])
    result, bench = run("Four.", task=by_hand, agent="both")
    assert (result.metadata["execution_method"], bench.server.requests) == ("cli", [])
    none, _ = run("Four.", task=by_hand)
    assert none.error is not None
    assert none.error.what == "The agent 'api' is reached by api."


def test_the_ledger_knows_the_call_by_the_task() -> None:
    """An answer that was recorded is found by the task_id, its correction too, and nothing is sent twice."""
    ledger = MemoryCallLedger()
    task = AgentTask("2 + 2?", task_id="sum", response_schema=SCHEMA)
    run("four", '{"sum": 4}', task=task, ledger=ledger)

    async def again():
        async with Bench(ledger=ledger) as bench:
            bench.agents.register_agent(
                "api", "dev", "api", bench.model, Secret(KEY), base_url=bench.server.base_url, replace=True
            )
            return await bench.executor.execute(task, "api"), bench.server.requests

    result, requests = asyncio.run(again())
    assert (result.data, requests, result.metadata["recorded"], result.metadata["attempts"]) == (
        {"sum": 4},
        [],
        True,
        0,
    )
    assert [row.key for row in ledger.rows] == ["sum", "sum/fix"]


def test_a_key_that_changes_is_the_key_that_is_used() -> None:
    """A reference is looked up for each task, though the client is kept."""

    async def go():
        environ = {"MY_KEY": "sk-first-0123456789"}
        async with fake_anthropic.FakeAnthropic() as server:
            agents = AgentRegistry()
            agents.register_agent(
                "a", "dev", "api", "anthropic/claude-sonnet-5-5", "${MY_KEY}", base_url=server.base_url
            )
            async with TaskExecutor(agents, environ=environ) as executor:
                for key in ("sk-first-0123456789", "sk-second-0123456789"):
                    environ["MY_KEY"] = key
                    await executor.execute_parallel([AgentTask("p"), AgentTask("q")])
            return [seen.key for seen in server.requests]

    assert asyncio.run(go()) == ["sk-first-0123456789"] * 2 + ["sk-second-0123456789"] * 2


def test_a_key_of_the_environment_goes_to_its_own_provider_alone() -> None:
    """An agent with a base_url and no credential is not given the provider's key out of the environment."""

    async def go():
        async with fake_anthropic.FakeAnthropic() as server:
            agents = AgentRegistry()
            agents.register_agent("a", "dev", "api", "anthropic/claude-sonnet-5-5", base_url=server.base_url)
            async with TaskExecutor(agents, environ={"ANTHROPIC_API_KEY": KEY}) as executor:
                return await executor.execute(AgentTask("p")), server.requests

    result, requests = asyncio.run(go())
    assert result.error is not None
    assert (result.error.code, requests) == ("needs_credential", [])


def test_a_key_in_the_prompt_is_taken_out_and_one_in_the_answer_too() -> None:
    """Neither a user who pastes it nor a server that says it back gets it any further."""
    result, bench = run(f"Your key is {KEY}.", task=f"Is {KEY} my key?")
    assert result.output == "Your key is [redacted]."
    assert KEY not in bench.server.requests[0].prompt


def test_connections_are_shared_by_the_tasks_of_an_agent() -> None:
    """Twenty tasks, one after the other, take one connection."""

    async def go():
        async with Bench() as bench:
            results = await bench.executor.execute_parallel([AgentTask(f"p{n}") for n in range(20)], "api", limit=1)
            return results, bench.server.connections

    results, connections = asyncio.run(go())
    assert all(result.success for result in results)
    assert connections == 1


def test_many_tasks_at_once_keep_their_order_and_their_failures() -> None:
    """One that fails ends no other; at most so many are on their way as the limit says."""

    def answer(seen):
        number = int(seen.prompt.split()[-1])
        if number == 3:
            return fake_anthropic.Reply(status=400)
        return fake_anthropic.Reply(text=f"I had {number}", silence=0.02 * (number % 3))

    async def go():
        async with Bench(default=answer) as bench:
            tasks = [AgentTask(f"number {number}", task_id=f"t{number}") for number in range(12)]
            return await bench.executor.execute_parallel(tasks, "api", limit=5), bench.server.connections

    results, connections = asyncio.run(go())
    assert [result.task_id for result in results] == [f"t{number}" for number in range(12)]
    assert [result.output for result in results] == ["" if n == 3 else f"I had {n}" for n in range(12)]
    assert results[3].error is not None
    assert 1 < connections <= 5


def test_a_provider_of_another_package_that_breaks_fails_its_task_alone() -> None:
    """Whatever it raises is an error of that task."""
    factory, _ = scripted_factory([ZeroDivisionError("boom"), "Four."])
    agents = AgentRegistry()
    agents.register_agent("a", "dev", "api", "scripted/any")
    executor = TaskExecutor(agents, models=factory, environ={}, retry=ONCE)
    first, second = executor.execute_parallel_sync([AgentTask("p"), AgentTask("q")], limit=1)
    assert first.error is not None
    assert "boom" in first.error.why
    assert second.output == "Four."


class Torn(MemoryCallLedger):
    """A ledger of somebody's own that raises what it likes."""

    async def begin(self, *args, **more):
        raise ZeroDivisionError(f"boom {KEY}")


@pytest.mark.parametrize("agent", ["api", "cli"])
def test_what_nobody_foresaw_is_one_tasks_error(agent: str) -> None:
    """Whatever raises: the result says so, without a key and with who raised it, and the other task goes on."""
    agents = AgentRegistry()
    agents.register_agent("api", "dev", "api", "anthropic/claude-sonnet-5-5", Secret(KEY))
    agents.register_agent("cli", "dev", "cli", command=ECHO)
    executor = TaskExecutor(agents, ledger=Torn(), environ={"PATH": "/usr/bin"}, retry=ONCE)
    results = executor.execute_parallel_sync([AgentTask("p"), AgentTask("q")], agent, limit=1)
    assert [result.success for result in results] == [False, False]
    assert all("boom [redacted]" in result.error.why for result in results if result.error)
    # No program was started; of a model nobody can say whether it was asked.
    assert {result.cost for result in results} == ({0} if agent == "cli" else {None})
    assert all(result.metadata["provider"] for result in results)
    assert KEY not in repr(results)


class Vault(dict):
    """Somebody's own environment, which breaks at one name."""

    def __getitem__(self, name):
        if name == "BROKEN":
            raise KeyError("boom")
        return super().__getitem__(name)


def test_a_way_that_raises_fails_its_task_alone() -> None:
    """The executor takes what a way lets through for that task's error, and does not claim that it cost nothing."""
    agents = AgentRegistry()
    agents.register_agent("a", "dev", "cli", command=Command(tuple(ECHO), environ=("BROKEN",)))
    agents.register_agent("b", "dev", "cli", command=ECHO)
    executor = TaskExecutor(agents, environ=Vault(PATH="/usr/bin", BROKEN="1"))

    async def go():
        return await asyncio.gather(*(executor.execute(AgentTask("p"), name) for name in ("a", "b", ["a"])))

    bad, good, no_name = asyncio.run(go())
    assert good.success
    assert bad.error is not None
    assert (bad.error.code, bad.cost, bad.metadata["agent"]) == ("error", None, "a")
    assert "KeyError: 'boom' (at test_tasks_api.py:" in bad.error.why
    assert "test_tasks_api.py, which raised it" in bad.error.do
    assert no_name.error is not None
    assert (no_name.cost, "fault of orchestrator_v2" in no_name.error.do) == (0, True)


def test_a_paid_answer_whose_model_breaks_is_charged() -> None:
    """The caller's own validator raised what it should not: what the call used is told all the same."""

    class Verdict(BaseModel):
        sum: int

        @field_validator("sum")
        @classmethod
        def check(cls, value: int) -> int:
            raise KeyError("boom")

    result, _ = run('{"sum": 4}', task=AgentTask("2 + 2?", response_schema=Verdict))
    assert result.error is not None
    assert (result.error.code, result.usage.calls, result.usage.input_tokens) == ("invalid_input", 1, 12)
    assert result.cost


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}])
def test_nothing_is_sent_for_a_schema_that_leads_nowhere(schema: dict) -> None:
    """It is looked through before, so that no call is paid for."""
    result, bench = run(task=AgentTask("p", response_schema=schema))
    assert result.error is not None
    assert (result.error.code, bench.server.requests, result.cost) == ("invalid_input", [], 0)


def test_cancelling_ends_the_calls() -> None:
    """The caller that leaves waits for no answer."""

    async def go():
        async with Bench(default=fake_anthropic.Reply(silence=30)) as bench:
            work = asyncio.create_task(bench.executor.execute_parallel([AgentTask("p"), AgentTask("q")], "api"))
            for _ in range(1000):
                if len(bench.server.requests) == 2:
                    break
                await asyncio.sleep(0.01)
            began = time.monotonic()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            return time.monotonic() - began

    assert asyncio.run(go()) < 1


def test_what_no_list_of_tasks_can_be_is_refused() -> None:
    """A task_id names one call, so it is there once; a limit is at least one."""
    executor = TaskExecutor(AgentRegistry(), environ={})
    twice = [AgentTask("p", task_id="a"), AgentTask("q", task_id="a")]
    with pytest.raises(InputError, match="'a' is there twice"):
        executor.execute_parallel_sync(twice)
    for limit in (0, 1.5, True, "3", None):
        with pytest.raises(InputError, match="limit of 1"):
            executor.execute_parallel_sync([AgentTask("p")], limit=limit)  # type: ignore[arg-type]
    assert executor.execute_parallel_sync([]) == []


def test_the_sync_twin_refuses_inside_a_loop() -> None:
    """It would block the loop that it waits for."""

    async def go():
        TaskExecutor(AgentRegistry(), environ={}).execute_sync(AgentTask("p"))

    with pytest.raises(SyncInLoopError):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("no-such-model", "Write provider/model"),
        ("anthropic/claude-sonet-5-5", "claude-sonnet-5-5"),
        ("antropic/claude-sonnet-5-5", "Write provider/model"),
    ],
)
def test_a_model_that_nobody_knows_is_told(model: str, words: str) -> None:
    """The agent's name and what to write instead are in the error; nothing is sent."""
    agents = AgentRegistry()
    agents.register_agent("a", "dev", "api", model)
    result = TaskExecutor(agents, environ={}).execute_sync(AgentTask("p"))
    assert result.error is not None
    assert words in str(result.error)
    assert result.cost == 0


def test_a_model_may_be_named_by_itself() -> None:
    """Where one provider alone has it, its name is enough; a provider's name means its default model."""

    async def go(model):
        factory, _ = scripted_factory(["Four."], name="anthropic", clock=ManualClock())
        agents = AgentRegistry()
        agents.register_agent("a", "dev", "api", model, Secret(KEY))
        return (await TaskExecutor(agents, models=factory, environ={}).execute(AgentTask("p"))).metadata

    for model in ("claude-sonnet-5-5", "anthropic"):
        told = asyncio.run(go(model))
        assert told["provider"] == "anthropic"
        assert told["model"].startswith("claude-")


def test_a_context_that_is_no_json_is_told() -> None:
    """The value is named before anything is sent."""
    agents = AgentRegistry()
    agents.register_agent("a", "dev", "api", "simulated")
    result = TaskExecutor(agents, environ={}).execute_sync(AgentTask("p", context={"when": object()}))
    assert result.error is not None
    assert "'when'" in result.error.what


def test_a_result_is_plain_data() -> None:
    """It can be written down as JSON as it is."""
    import msgspec

    result, _ = run("Four.")
    assert json.loads(msgspec.json.encode(result))["metadata"]["execution_method"] == "api"


def test_a_factory_that_was_given_is_not_closed() -> None:
    """Who made it closes it."""

    async def go():
        async with fake_anthropic.FakeAnthropic() as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            agents = AgentRegistry()
            agents.register_agent(
                "a", "dev", "api", "anthropic/claude-sonnet-5-5", Secret(KEY), base_url=server.base_url
            )
            for _ in range(2):
                async with TaskExecutor(agents, models=factory, environ={}) as executor:
                    assert (await executor.execute(AgentTask("p"))).success
            connections = server.connections
            await factory.aclose()
            return connections

    assert asyncio.run(go()) == 1


def sockets() -> int:
    """How many this process has open."""
    return sum(link.is_socket() for link in Path("/proc/self/fd").iterdir())


def test_a_sync_call_closes_its_own_connections_of_a_given_factory_and_no_others() -> None:
    """The connection of the loop beside it is used on, and nothing of the sync call's own loop stays open."""

    async def go():
        async with fake_anthropic.FakeAnthropic() as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            agents = AgentRegistry()
            agents.register_agent(
                "a", "dev", "api", "anthropic/claude-sonnet-5-5", Secret(KEY), base_url=server.base_url
            )
            executor = TaskExecutor(agents, models=factory, environ={})
            assert (await executor.execute(AgentTask("p"))).success
            before, gc_was = sockets(), gc.isenabled()
            gc.disable()  # What nobody has closed is not to be closed by chance.
            try:
                for _ in range(5):
                    assert (await asyncio.to_thread(executor.execute_sync, AgentTask("p"))).success
                await asyncio.sleep(0.1)
                left = sockets() - before
            finally:
                if gc_was:
                    gc.enable()
            assert (await executor.execute(AgentTask("p"))).success
            connections = server.connections
            await factory.aclose()
            return left, connections

    assert asyncio.run(go()) == (0, 6)
