"""One typed question, one typed answer: validation, both modes, correction, partial success, cache, idempotency."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from operation_cases import GOOD, VIEW, CountWords, over, replies, request, simulated
from pydantic import ValidationError

from orchestrator_v2.core import operation_errors as oe
from orchestrator_v2.core.errors import (
    AuthenticationError,
    ConfigError,
    ProviderUnavailableError,
    RefusalError,
    SyncInLoopError,
)
from orchestrator_v2.llm.types import InvokeOptions, Message
from orchestrator_v2.operations.handler import OperationHandler
from orchestrator_v2.operations.orchestrator import LLMOrchestrator
from orchestrator_v2.operations.registry import OperationRegistry
from orchestrator_v2.operations.types import LLMRequest
from orchestrator_v2.testing.scripted_llm import ScriptedLLM


def test_a_monolithic_operation_is_one_question_and_one_answer(tmp_path: Path) -> None:
    """One call is made; the answer has the response's schema, and the metadata says who gave it."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        return await operations.execute(request()), [call.key for call in model.calls]

    answer, keys = over(tmp_path, work)
    assert answer.success and answer.results == {"words": 2, "longest": "hello"}
    assert keys == ["answer"]
    assert answer.metadata.models_used == ("scripted/scripted",)
    assert (answer.metadata.provenance, answer.metadata.execution_mode) == ("real", "monolithic")


def test_the_data_reaches_the_model_byte_for_byte(tmp_path: Path) -> None:
    """Template words, quotes and closing tags in the data are data; nothing of it is filled in or lost."""
    odd = '{{7*7}} {% raw %} </data id="1"> \\ "quoted" ✓'

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        await operations.execute(request(odd, cache_policy="bypass"))
        return model.calls[0].text

    answer = json.dumps({"words": 6, "longest": '"quoted"'})
    text = over(tmp_path, work, answer)
    assert json.dumps(odd, ensure_ascii=False)[1:-1] in text
    assert "49" not in text


def test_an_agentic_operation_asks_each_agent_twice_and_one_who_sums_up(tmp_path: Path) -> None:
    """In the second round each agent reads the others' answers; the sum reads all of them."""
    said = {"counter": "I count two.", "measurer": "I measure five.", "doubter": "I doubt it."}

    def speak(messages: Sequence[Message], options: InvokeOptions) -> str:
        assert options.response_schema is not None
        if "words" in options.response_schema["properties"]:
            return GOOD
        who = next(name for name in said if f"You are the {name.capitalize()}." in messages[-1].content)
        return json.dumps({"summary": said[who], "findings": [], "disagreements": []})

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        return await operations.execute(request(mode="agentic")), {call.key: call.text for call in model.calls}

    answer, prompts = over(tmp_path, work, speak, repeat=True)
    assert answer.results == {"words": 2, "longest": "hello"}
    assert answer.metadata.agents_used == ("counter", "measurer", "doubter")
    assert set(prompts) == {f"{r}-{a}" for r in ("first", "second") for a in said} | {"aggregate"}
    assert not any(words in prompts["first-doubter"] for words in said.values())
    assert all(words in prompts["second-doubter"] for words in said.values())
    assert all(words in prompts["aggregate"] for words in said.values())
    steps = [it.step for it in answer.metadata.events if it.what == "TaskCompleted"]
    assert steps[-1] == "aggregate" and len(steps) == 7


def test_no_more_agents_are_asked_at_once_than_the_operation_allows(tmp_path: Path) -> None:
    """`concurrency` is a ceiling: with two, the third agent waits for one of them."""
    under_way = most = 0

    class Slow(ScriptedLLM):
        async def invoke(self, *given: Any, **more: Any) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            return await super().invoke(*given, **more)

    from operation_cases import settings

    from orchestrator_v2.operation_bootstrap import open_operations
    from orchestrator_v2.testing.scripted_llm import scripted_factory

    async def go() -> None:
        factory, _ = scripted_factory([])
        factory.register_provider("scripted", Slow([replies], repeat=True))
        loaded = settings(tmp_path, provider="scripted", model="scripted", mode="real")
        async with await open_operations(loaded, handlers=(CountWords,), factory=factory) as operations:
            await operations.execute(request(mode="agentic"))

    asyncio.run(go())
    assert most == 2


def test_a_wrong_answer_is_corrected_once(tmp_path: Path) -> None:
    """An answer that misses the schema, or that the operation itself refutes, goes back with what is wrong."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        answer = await operations.execute(request())
        return answer, model.calls[-1]

    wrong = json.dumps({"words": 2, "longest": "absent"})
    answer, fix = over(tmp_path / "a", work, wrong, GOOD)
    assert answer.success and fix.key == "answer/fix"
    assert "'absent' is not in the text" in fix.text
    answer, fix = over(tmp_path / "b", work, '{"words": "many"}', GOOD)
    assert answer.success and "longest: Field required" in fix.text


def test_an_answer_that_stays_wrong_is_a_failure(tmp_path: Path) -> None:
    """After one correction nothing is made up: the operation fails, and its run says so."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        with pytest.raises(oe.AgentFailureError) as caught:
            await operations.execute(request())
        return caught.value, await operations.response(caught.value.context["run_id"])

    error, stored = over(tmp_path, work, "no", "still no")
    assert (error.http_status, error.context["cause"]) == (500, "invalid_output")
    assert not stored.success and stored.results is None
    assert stored.metadata.status == "failed" and stored.errors[0].code == "agent_failure"


def test_agents_that_fail_are_warnings_while_others_answer(tmp_path: Path) -> None:
    """A refusal of one agent leaves it out of both rounds; the sum stands on the others, and the answer says so."""

    def speak(messages: Sequence[Message], options: InvokeOptions) -> str:
        if "You are the Doubter." in messages[-1].content:
            raise RefusalError("The model refused to answer.")
        return replies(messages, options)

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        first = await operations.execute(request(mode="agentic"))
        again = await operations.execute(request(mode="agentic"))
        return first, again, [call.key for call in model.calls]

    first, again, keys = over(tmp_path, work, speak, repeat=True)
    assert first.success and first.metadata.agents_used == ("counter", "measurer")
    assert [warning.split(":")[0] for warning in first.warnings] == ["doubter (first round)", "doubter (second round)"]
    assert "second-doubter" not in keys
    # What some agents are missing from is not given again from the cache.
    assert again.metadata.cache == "miss"


def test_where_no_agent_answers_the_operation_fails_with_their_fault(tmp_path: Path) -> None:
    """When all met the same fault, the caller is told that one: nothing is summed up out of nothing."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        with pytest.raises(oe.OperationError) as caught:
            await operations.execute(request(mode="agentic"))
        return caught.value, len(model.calls)

    error, calls = over(tmp_path, work, ProviderUnavailableError("Down.", status=503), repeat=True)
    assert isinstance(error, oe.ModelUnavailableError)
    assert calls >= 3


def test_a_refused_key_stops_the_whole_operation(tmp_path: Path) -> None:
    """What concerns the key is no warning: the run waits for another key, and the error is 401."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        with pytest.raises(oe.AuthenticationFailedError) as caught:
            await operations.execute(request(mode="agentic"))
        return caught.value, await operations.response(caught.value.context["run_id"])

    error, stored = over(tmp_path, work, AuthenticationError("Refused.", status=401), repeat=True)
    assert error.http_status == 401
    assert stored.metadata.status == "needs_credential"


def test_an_equal_request_is_answered_from_the_cache(tmp_path: Path) -> None:
    """`use` gives the earlier answer for nothing; `refresh` asks and keeps; `bypass` asks and keeps nothing."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        told = []
        for policy in ("use", "use", "refresh", "use", "bypass", "use"):
            answer = await operations.execute(request(cache_policy=policy))
            told.append((policy, answer.metadata.cache, answer.metadata.run_id, len(model.calls)))
        other = await operations.execute(request("hello there, hello"))
        return told, other.metadata.cache

    told, other = over(tmp_path, work)
    assert [(policy, cache, calls) for policy, cache, _, calls in told] == [
        ("use", "miss", 1),
        ("use", "hit", 1),
        ("refresh", "miss", 2),
        ("use", "hit", 2),
        ("bypass", "bypass", 3),
        ("use", "hit", 3),
    ]
    assert told[1][2] == told[0][2] and told[3][2] == told[2][2] == told[5][2]
    assert other == "miss"


def test_the_same_idempotency_key_is_done_once(tmp_path: Path) -> None:
    """With the same data the stored answer comes back, also to two that ask at once; other data is a conflict."""

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        same = [request(idempotency_key="k1", cache_policy="bypass") for _ in range(5)]
        answers = await asyncio.gather(*(operations.execute(each) for each in same))
        later = await operations.execute(same[0])
        with pytest.raises(oe.IdempotencyConflictError) as caught:
            await operations.execute(request("other words", idempotency_key="k1"))
        return answers, later, caught.value, len(model.calls)

    answers, later, conflict, calls = over(tmp_path, work)
    assert calls == 1
    assert len({each.metadata.run_id for each in (*answers, later)}) == 1
    assert later.metadata.replayed and later.metadata.cost_usd == 0.0
    assert (conflict.http_status, conflict.context["run_id"]) == (409, later.metadata.run_id)


def test_a_failed_request_is_tried_again_with_its_key_and_pays_only_for_what_is_missing(tmp_path: Path) -> None:
    """The sum failed after all agents had answered: sent again, only the sum is asked."""
    broken = True

    def speak(messages: Sequence[Message], options: InvokeOptions) -> str:
        text = replies(messages, options)
        return "no JSON" if broken and text == GOOD else text

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        nonlocal broken
        asked = request(mode="agentic", idempotency_key="k2")
        with pytest.raises(oe.AgentFailureError):
            await operations.execute(asked)
        before, broken = len(model.calls), False
        answer = await operations.execute(asked)
        return answer, [call.key for call in model.calls[before:]]

    answer, keys = over(tmp_path, work, speak, repeat=True)
    assert answer.success
    assert keys == ["aggregate.r2"]


def test_a_timeout_keeps_what_was_paid_for(tmp_path: Path) -> None:
    """The limit ends the operation with 504 and a paused run; resumed, it asks for nothing twice."""
    stuck = asyncio.Event()
    hang = True

    class Hanging(ScriptedLLM):
        async def invoke(self, *given: Any, key: str = "", **more: Any) -> Any:
            if hang and key == "second-doubter":
                await stuck.wait()
            return await super().invoke(*given, key=key, **more)

    from operation_cases import settings

    from orchestrator_v2.operation_bootstrap import open_operations
    from orchestrator_v2.testing.scripted_llm import scripted_factory

    async def go() -> Any:
        nonlocal hang
        factory, _ = scripted_factory([])
        model = Hanging([replies], repeat=True)
        factory.register_provider("scripted", model)
        loaded = settings(tmp_path, provider="scripted", model="scripted", mode="real")
        async with await open_operations(loaded, handlers=(CountWords,), factory=factory) as operations:
            with pytest.raises(oe.OperationTimeoutError) as caught:
                await operations.execute(request(mode="agentic", timeout_ms=700))
            run_id = caught.value.context["run_id"]
            stored = await operations.response(run_id)
            before, hang = len(model.calls), False
            answer = await operations.resume(run_id)
            return caught.value, stored, answer, before, [call.key for call in model.calls]

    error, stored, answer, before, keys = asyncio.run(go())
    assert (error.http_status, stored.metadata.status) == (504, "paused")
    assert answer.success and answer.metadata.run_id == stored.metadata.run_id
    assert before == 5 and sorted(keys[before:]) == ["aggregate", "second-doubter"]


def test_wrong_data_is_told_whole(tmp_path: Path) -> None:
    """Every problem of the data is named at once, each with its field, and nothing was begun."""

    async def work(operations: LLMOrchestrator) -> Any:
        with pytest.raises(oe.ValidationFailedError) as caught:
            await operations.execute(
                LLMRequest(feature="words", operation="count", data={"text": "", "limit": "x", "more": 1})
            )
        return caught.value, await operations.history()

    error, history = simulated(tmp_path, work)
    assert [it["field"] for it in error.context["problems"]] == ["text", "limit", "more"]
    assert error.http_status == 400 and history == []


def test_unknown_names_are_told_with_the_nearest(tmp_path: Path) -> None:
    """A feature or an operation that is not there: what there is, and the nearest match."""

    async def work(operations: LLMOrchestrator) -> Any:
        told = []
        for feature, operation in (("word", "count"), ("words", "counts")):
            with pytest.raises(oe.OperationError) as caught:
                await operations.execute(LLMRequest(feature=feature, operation=operation, data={}))
            told.append(caught.value)
        return told

    feature, operation = simulated(tmp_path, work)
    assert isinstance(feature, oe.UnknownFeatureError) and feature.context["nearest"] == "words"
    assert isinstance(operation, oe.UnknownOperationError) and "Did you mean 'count'?" in str(operation)
    assert "plain" in str(operation)


def test_an_operation_without_agents_has_no_agentic_mode(tmp_path: Path) -> None:
    """It is refused before anything is recorded."""

    async def work(operations: LLMOrchestrator) -> Any:
        with pytest.raises(oe.InvalidRequestError, match="no mode 'agentic'"):
            await operations.execute(LLMRequest(feature="words", operation="plain", data={"text": "a"}, mode="agentic"))

    simulated(tmp_path, work)


def test_simulated_answers_cost_nothing_and_say_so(tmp_path: Path) -> None:
    """Without a key both modes answer offline: provenance simulated, no calls, $0."""

    async def work(operations: LLMOrchestrator) -> Any:
        return [await operations.execute(request(mode=mode)) for mode in ("monolithic", "agentic")]

    for answer in simulated(tmp_path, work):
        assert answer.results == {"words": 2, "longest": "hello"}
        assert answer.metadata.provenance == "simulated"
        assert (answer.metadata.usage.calls, answer.metadata.cost_usd) == (0, 0.0)


def test_real_mode_without_a_key_is_an_error(tmp_path: Path) -> None:
    """A model that is named and has no key is asked for in vain: never a simulation in its place."""

    async def work(operations: LLMOrchestrator) -> Any:
        with pytest.raises(oe.AuthenticationFailedError) as caught:
            await operations.execute(request(model_id="claude-haiku"))
        return caught.value

    error = simulated(tmp_path, work)
    assert error.http_status == 401 and error.context["cause"] == "needs_credential"


def test_another_owners_run_is_unknown(tmp_path: Path) -> None:
    """A run is found by its owner; a project's run is no operation's."""

    async def work(operations: LLMOrchestrator) -> Any:
        answer = await operations.execute(request())
        for run_id, owner in ((answer.metadata.run_id, "somebody"), ("op_nothing", "local")):
            with pytest.raises(oe.RunNotFoundError):
                await operations.response(run_id, owner_id=owner)
        return await operations.history()

    assert [row.operation for row in simulated(tmp_path, work)] == ["words.count"]


@pytest.mark.parametrize(
    "data", [{"text": "\ud800"}, {"text": "a\x00b"}, {"text": float("nan")}, {"text": b"bytes"}, {"t": {"\udfff": 1}}]
)
def test_data_that_no_store_can_hold_is_refused(data: dict[str, Any]) -> None:
    """Half characters, NUL, numbers that are none and bytes do not get past the request."""
    with pytest.raises(ValidationError):
        LLMRequest(feature="words", operation="count", data=data)


def test_endless_nesting_is_refused() -> None:
    """A value deeper than a model's answer may be does not get past the request, nor take the process down."""
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValidationError, match="nested deeper"):
        LLMRequest(feature="words", operation="count", data={"text": deep})


def test_a_class_that_is_no_whole_operation_is_refused() -> None:
    """Registration names everything that is missing, and two classes with one id."""

    class Half(OperationHandler[Any, Any]):
        operation_id = "nodot"
        summary = ""
        request_schema = dict  # type: ignore[assignment]
        response_schema = CountWords.response_schema
        rounds = 3

    with pytest.raises(ConfigError) as caught:
        OperationRegistry([Half])
    for what in ("operation_id", "summary", "request_schema", "simulated", "rounds"):
        assert what in str(caught.value)
    with pytest.raises(ConfigError, match="registered twice"):
        OperationRegistry([CountWords, CountWords])


def test_execute_sync_works_from_a_thread_and_refuses_in_the_loop(tmp_path: Path) -> None:
    """Code that is not async gets the same answers, from several threads; inside a loop it is told what to do."""
    from concurrent.futures import ThreadPoolExecutor

    from operation_cases import settings

    from orchestrator_v2.operation_bootstrap import open_operations_sync

    with open_operations_sync(settings(tmp_path), handlers=(CountWords,)) as operations:
        with ThreadPoolExecutor(4) as threads:
            asked = [request(f"word number {number}") for number in range(12)]
            answers = list(threads.map(operations.execute_sync, asked))
        assert all(answer.results == {"words": 3, "longest": "number"} for answer in answers)

        async def inside() -> None:
            operations.execute_sync(request())

        with pytest.raises(SyncInLoopError):
            asyncio.run(inside())
    with pytest.raises(SyncInLoopError, match="does not run"):
        operations.execute_sync(request())


def test_the_view_of_an_agent_is_not_the_answer(tmp_path: Path) -> None:
    """Only the last step's answer is the result: where the one who sums up speaks like an agent, that is corrected."""

    def speak(messages: Sequence[Message], options: InvokeOptions) -> str:
        summing = "put together" in messages[-1].content or "on the strength of these answers" in messages[-1].content
        return VIEW if summing else replies(messages, options)

    async def work(operations: LLMOrchestrator, model: ScriptedLLM) -> Any:
        answer = await operations.execute(request(mode="agentic"))
        return answer, [call.key for call in model.calls][-2:]

    answer, last = over(tmp_path, work, speak, repeat=True)
    assert last == ["aggregate", "aggregate/fix"]
    assert answer.results == {"words": 2, "longest": "hello"}
