"""Callers who go away, come twice, or come back: nothing runs on unasked, and one key is one run."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from operation_cases import Counted, CountWords, Text, over, replies, request, settings, simulated

from orchestrator_v2.core import operation_errors as oe
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import ProviderUnavailableError, RunStateError
from orchestrator_v2.core.secrets import REDACTED
from orchestrator_v2.operation_bootstrap import open_operations
from orchestrator_v2.operations.orchestrator import LLMOrchestrator
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory


async def standings(operations: LLMOrchestrator) -> Counter[str]:
    return Counter(row.status for row in await operations.history(limit=1_000))


def slowed(model: ScriptedLLM, seconds: float) -> None:
    """The scripted model takes its time."""
    usual = model.invoke

    async def invoke(*given: Any, **more: Any) -> Any:
        await asyncio.sleep(seconds)
        return await usual(*given, **more)

    model.invoke = invoke  # type: ignore[method-assign]


@pytest.mark.parametrize("mode", ["monolithic", "agentic"])
def test_whenever_a_caller_goes_away_nothing_is_left_running(tmp_path: Path, mode: str) -> None:
    """Cancelled at many instants, before the run is recorded and after: each run has ended or is paused, held by
    nobody, and goes on by its key without paying twice."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        slowed(model, 0.002)
        for number in range(60):
            asked = request(mode=mode, idempotency_key=f"k{number}", cache_policy="bypass")
            task = asyncio.ensure_future(operations.execute(asked))
            await asyncio.sleep(0.0005 * number)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        found = await standings(operations)
        keys = [request(mode=mode, idempotency_key=f"k{n}", cache_policy="bypass") for n in range(60)]
        answers = await asyncio.gather(*(operations.execute(asked) for asked in keys))
        done = Counter(call.key.partition("/")[0] for call in model.calls)
        return found, answers, done, await standings(operations)

    found, answers, done, after = over(tmp_path, work)
    assert set(found) <= {"paused", "completed"} and found["paused"] > 5
    assert all(answer.success for answer in answers)
    assert after == {"completed": 60}
    # What was in flight when the caller left may be sent once more; what had been answered is not.
    assert max(done.values()) <= 60 * 2


def test_short_deadlines_leave_nothing_running(tmp_path: Path) -> None:
    """Of many operations that are given a few milliseconds none stays marked as running for a keeper to find."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        slowed(model, 0.003)
        asked = [request(f"hello you {n}", timeout_ms=1 + n % 12, cache_policy="bypass") for n in range(48)]
        said = await asyncio.gather(*(operations.execute(each) for each in asked), return_exceptions=True)
        return said, await standings(operations)

    good = json.dumps({"words": 3, "longest": "hello"})
    said, found = over(tmp_path, work, good, repeat=True)
    assert any(isinstance(each, oe.OperationTimeoutError) for each in said)
    assert set(found) <= {"paused", "completed"}


def test_a_run_that_nobody_waits_for_is_not_driven_on(tmp_path: Path) -> None:
    """Its provider was down and its caller has been told: when its time has come it is set aside, not paid for."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        with pytest.raises(oe.ModelUnavailableError) as caught:
            await operations.execute(request())
        run_id = caught.value.context["run_id"]
        assert caught.value.context["retry_after"] > 0
        before = len(model.calls)
        runs: Any = operations._runs
        clock: ManualClock = runs._parts.clock
        clock.advance(1_000)
        assert [found for found, _ in await runs.unattended()] == [run_id]
        assert await runs.take_up(run_id) is None
        return await standings(operations), len(model.calls) - before, await runs.unattended()

    async def go() -> Any:
        clock = ManualClock(auto=True)
        factory, model = scripted_factory([ProviderUnavailableError("Down.", status=503)], repeat=True, clock=clock)
        loaded = settings(tmp_path, provider="scripted", model="scripted", mode="real")
        async with await open_operations(loaded, handlers=(CountWords,), factory=factory, clock=clock) as operations:
            return await work(operations, model)

    found, sent, left = asyncio.run(go())
    assert (found, sent, left) == ({"paused": 1}, 0, [])


@pytest.mark.parametrize("how", ["begun", "paused", "failed"])
def test_one_key_many_times_at_once_is_one_run_whatever_stood_there(tmp_path: Path, how: str) -> None:
    """Retries that come together find one run: each has its answer, and nothing is sent twice."""
    broken = how == "failed"

    def speak(messages: Any, options: Any) -> str:
        return "no JSON" if broken else replies(messages, options)

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        nonlocal broken
        asked = request(mode="agentic", idempotency_key="the-one", cache_policy="bypass")
        if how == "begun":
            await operations.start(asked)
        else:
            first = asyncio.ensure_future(operations.execute(asked))
            await asyncio.sleep(0.01 if how == "paused" else 1)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        broken = False
        before = len(model.calls)
        answers = await asyncio.gather(*(operations.execute(asked) for _ in range(6)))
        return answers, len(model.calls) - before, await standings(operations)

    answers, sent, found = over(tmp_path, work, speak, repeat=True)
    assert len({answer.metadata.run_id for answer in answers}) == 1
    assert found == {"completed": 1} and sent <= 7


def test_a_key_that_was_answered_from_the_cache_keeps_that_answer(tmp_path: Path) -> None:
    """Whatever is asked anew meanwhile, and whatever the policy: the key stands for the run that it was answered by."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        first = await operations.execute(request())
        keyed = await operations.execute(request(idempotency_key="k"))
        await operations.execute(request(cache_policy="refresh"))
        again = [await operations.execute(request(idempotency_key="k", cache_policy=p)) for p in ("use", "bypass")]
        return first, keyed, again, len(model.calls)

    first, keyed, again, calls = over(tmp_path, work)
    assert keyed.metadata.cache == "hit" and calls == 2
    assert {each.metadata.run_id for each in (keyed, *again)} == {first.metadata.run_id}
    assert all(each.metadata.replayed for each in again)


def test_what_is_begun_in_the_background_goes_on_and_is_kept(tmp_path: Path) -> None:
    """The same key at once is one run; a paused one is going on again; an equal request finds the answer."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        asked = request(idempotency_key="k")
        ids = await asyncio.gather(*(operations.start(asked) for _ in range(8)))
        runs: Any = operations._runs
        session = await runs.take_up(ids[0])
        await runs.drive(session)
        equal = await operations.execute(request())
        slowed(model, 0.05)
        other = request(mode="agentic", idempotency_key="k2")
        left = asyncio.ensure_future(operations.execute(other))
        await asyncio.sleep(0.02)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        run_id = await operations.start(other)
        return ids, equal, await runs.take_up(run_id) is not None

    ids, equal, goes_on = over(tmp_path, work)
    assert len(set(ids)) == 1 and goes_on
    assert (equal.metadata.cache, equal.metadata.run_id) == ("hit", ids[0])


def test_a_deadline_in_the_background_is_refused(tmp_path: Path) -> None:
    """Nobody would keep it."""

    async def work(operations: LLMOrchestrator) -> None:
        with pytest.raises(oe.InvalidRequestError, match="no deadline"):
            await operations.start(request(timeout_ms=100))

    simulated(tmp_path, work)


def test_a_changed_operation_is_asked_anew(tmp_path: Path) -> None:
    """Its agents, rounds, version and the task as it is put are part of what an answer depends on."""

    class Renamed(CountWords):
        agents = (*CountWords.agents[:2], CountWords.agents[2].__class__("critic", "Critic", "You criticise."))

    class Once(CountWords):
        rounds = 1

    class Newer(CountWords):
        version = "2"

    class Stricter(CountWords):
        def context(self, request: Text) -> dict[str, Any]:
            return {"strict": True}

    async def asked(handler: type[CountWords]) -> str:
        async with await open_operations(settings(tmp_path), handlers=(handler,)) as operations:
            return (await operations.execute(request(mode="agentic"))).metadata.cache

    kinds = (CountWords, CountWords, Renamed, Once, Newer, Stricter, Stricter)
    found = [asyncio.run(asked(kind)) for kind in kinds]
    assert found == ["miss", "hit", "miss", "miss", "miss", "miss", "hit"]


def test_a_pasted_key_is_neither_kept_nor_sent(tmp_path: Path) -> None:
    """An operator's key by its value, a vendor's by its shape, in data, metadata and the idempotency key; a dummy key
    of a letter harms nothing."""
    vendors = "sk-ant-api03-pasted-0123456789abcdef"
    operators = 'ab"cd\\ef-operators-own'

    async def go() -> Any:
        factory, model = scripted_factory([replies], repeat=True)
        loaded = settings(tmp_path, provider="scripted", model="scripted", mode="real")
        loaded = load_with(loaded, {"ANTHROPIC_API_KEY": operators, "OPENAI_API_KEY": "l"})
        async with await open_operations(loaded, handlers=(CountWords,), factory=factory) as operations:
            asked = request(f"hello {vendors} and {operators}", metadata={"note": vendors}, idempotency_key=vendors)
            answer = await operations.execute(asked)
            return answer, await operations.response(answer.metadata.run_id), model.calls[0].text

    answer, stored, prompt = asyncio.run(go())
    assert answer.success and stored.metadata.request == {"note": REDACTED}
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for secret in (vendors, operators, json.dumps(operators)[1:-1]):
        assert secret.encode() not in kept and secret not in prompt
    assert "hello" in prompt


def load_with(loaded: Any, keys: Mapping[str, str]) -> Any:
    import msgspec

    from orchestrator_v2.core.secrets import Secret

    return msgspec.structs.replace(loaded, keys={name: Secret(value) for name, value in keys.items()})


class Broken(CountWords):
    """Fails in a way of its own for each `limit`."""

    def simulate(self, request: Text) -> Counted:
        wrong: Mapping[int, Any] = {2: {"words": 1}, 3: Counted.model_construct(words=float("nan"), longest="x")}
        return wrong[request.limit]  # 1: a KeyError

    def images(self, request: Text) -> Any:
        return [] if request.limit < 4 else 1 / 0


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_handlers_own_fault_is_told_as_such(tmp_path: Path, limit: int) -> None:
    """Whatever its code raises or gives, the error names the handler, and neither the caller nor the engine."""

    async def go() -> str:
        async with await open_operations(settings(tmp_path), handlers=(Broken,)) as operations:
            asked = request().model_copy(update={"data": {"text": "hello", "limit": limit}})
            with pytest.raises(oe.AgentFailureError) as caught:
                await operations.execute(asked)
            return str(caught.value)

    told = asyncio.run(go())
    assert "Broken" in told and "Tell the author" in told


def test_an_operations_run_is_not_rolled_back_nor_forked(tmp_path: Path) -> None:
    """Nobody puts other words into an agent's mouth."""

    async def work(operations: LLMOrchestrator) -> None:
        answer = await operations.execute(request(mode="agentic"))
        runs: Any = operations._runs
        forged = {"answers/second/doubter.json": b"{}"}
        with pytest.raises(RunStateError, match="answers the operation"):
            await runs.rolled_back(answer.metadata.run_id, "aggregate", forged)
        with pytest.raises(RunStateError, match="answers the operation"):
            await runs.fork(answer.metadata.run_id, "aggregate", forged)

    simulated(tmp_path, work)


def test_a_larger_budget_lets_an_operation_go_on(tmp_path: Path) -> None:
    """The same key with more money is the same request; `resume` takes a new ceiling too."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        poor = request(idempotency_key="k", budget_usd=0.000001)
        with pytest.raises(oe.InsufficientResourcesError):
            await operations.execute(poor)
        return await operations.execute(poor.model_copy(update={"budget_usd": 5.0})), len(model.calls)

    async def go() -> Any:
        factory, model = scripted_factory([replies], repeat=True, name="anthropic")
        loaded = settings(tmp_path, provider="anthropic", mode="real")
        async with await open_operations(loaded, handlers=(CountWords,), factory=factory) as operations:
            return await work(operations, model)

    answer, calls = asyncio.run(go())
    assert answer.success and calls == 1
