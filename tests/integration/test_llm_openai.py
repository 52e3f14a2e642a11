"""What is the OpenAI-compatible wire's alone: its requests, vendors' dialects and codes, vectors; over real HTTP.

What every wire does, faults above all, is `tests/contracts/test_provider_contract*.py`.
"""

from __future__ import annotations

import asyncio
import json
from random import Random

import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    ConfigError,
    OrchestratorError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import innermost
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_openai import (
    DONE,
    FakeOpenAI,
    Reply,
    chunk_bytes,
    event_bytes,
    stream_events,
    vector_of,
)
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.openai_rules import Seen, broken_rules

KEY = Secret("sk-proj-planted-canary-value")
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)
ONCE = RetryConfig(max_attempts=1)
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}, "required": ["name"]}
WEATHER = ToolSpec("weather", "The weather in a town.", SCHEMA)


class Bench:
    """What one conversation with the fake server left behind."""

    def __init__(self):
        self.ledger = MemoryCallLedger()
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, **config):
    """Sends one call through the whole chain; the result is the Completion or the error. No rule is broken."""
    bench = Bench()

    async def go():
        async with FakeOpenAI(replies) as bench.server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            whole = LLMConfig("openai", "gpt-6.1-terra", KEY, bench.server.base_url)
            client = factory.create_client(msgspec.structs.replace(whole, **config), ledger=bench.ledger)
            try:
                bench.result = await client.invoke(messages, options, key="a/1")
            except OrchestratorError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    assert bench.server.problems == []
    return bench


def sent(**how):
    """The body of the one request that a call leads to."""
    return talk(["{}"], **how).server.requests[0].body


def test_thinking_aloud_is_paid_for_and_no_text():
    """Reasoning is not in the answer; cached tokens count once, at their price."""
    usage = {
        "prompt_tokens": 150,
        "completion_tokens": 50,
        "total_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    done = talk([Reply(usage=usage, reasoning="Let me think about this for a while.")]).result
    assert (done.text, done.request_id) == ("Hello.", "req_fake")
    assert (done.usage.input_tokens, done.usage.output_tokens) == (150, 50)
    assert (done.usage.cache_read_tokens, done.usage.cache_write_tokens) == (20, 0)
    assert done.cost == 130 * 1000 + 20 * 50 + 50 * 5000


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, (10, 5, 4)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 3}, (10, 5, 3)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}, (10, 35, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None}, (10, 5, 0)),
    ],
    ids=["deepseek", "moonshot", "reasoning beside the rest", "no details"],
)
def test_each_vendors_way_of_counting_is_understood(usage, counted):
    """Cache hits under their several names, and reasoning that only the total holds."""
    found = talk([Reply(usage=usage)]).result.usage
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == counted


def test_the_request_is_what_the_wire_asks_for():
    """One system prompt first, the cap under its new name, the schema strict and narrow, turns that alternate."""
    messages = [
        Message("user", "The project {{7*7}}", stable=True),
        Message("user", "The task"),
        Message("assistant", "{}"),
        Message("user", "Once more."),
    ]
    options = InvokeOptions(max_tokens=77, system_prompt="Be brief.", response_schema=SCHEMA, seed=7)
    body = sent(options=options, messages=messages)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "The project {{7*7}}\n\nThe task"},
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": "Once more."},
    ]
    assert (body["model"], body["max_completion_tokens"], body["seed"]) == ("gpt-6.1-terra", 77, 7)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    form = body["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"]["additionalProperties"] is False
    assert "minLength" not in form["json_schema"]["schema"]["properties"]["name"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": True}}, "required": ["m"]},
        {"type": "object", "properties": {"m": {"type": "object"}}, "required": ["m"]},
        {"type": "object", "properties": {"m": {"type": ["string", "null"]}}, "required": ["m"]},
        {"type": "object", "properties": {"m": {"allOf": [{"type": "string"}]}}, "required": ["m"]},
        {"type": "object", "properties": {"m": {}}, "required": ["m"]},
    ],
    ids=["optional field", "open map", "free object", "list of types", "allOf", "anything"],
)
def test_a_schema_that_strictness_would_change_is_sent_as_it_is(schema):
    """Optional fields, open objects and what strict mode does not know are told to the server, not narrowed."""
    form = sent(options=InvokeOptions(max_tokens=10, response_schema=schema))["response_format"]["json_schema"]
    assert (form["schema"], form["strict"]) == (schema, False)


def test_a_schema_of_no_object_is_asked_for_in_words():
    """The wire enforces objects only: a list is asked for in the system prompt."""
    body = sent(options=InvokeOptions(max_tokens=10, response_schema={"type": "array", "items": {"type": "string"}}))
    assert "response_format" not in body
    assert '{"type":"array"' in body["messages"][0]["content"]


def test_an_unknown_model_behind_a_base_url_is_spoken_to_in_the_common_tongue():
    """max_tokens, the schema in words, a temperature: what nearly every compatible server understands."""
    options = InvokeOptions(max_tokens=10, response_schema=SCHEMA, temperature=0.2, tools=(WEATHER,))
    body = sent(options=options, model="my-own-model")
    assert (body["max_tokens"], body["temperature"]) == (10, 0.2)
    assert "response_format" not in body
    assert '"minLength":1' in body["messages"][0]["content"]
    assert "strict" not in body["tools"][0]["function"]


def test_a_seed_is_refused_where_the_vendor_takes_none():
    """By the vendor's row: an error before sending, charged with nothing."""
    bench = talk(["Hello."], options=InvokeOptions(seed=1), provider="zhipu", model="glm-5.3")
    assert type(bench.result) is RequestRejectedError
    assert (bench.server.requests, bench.ledger.rows[0].charged) == ([], 0)


def test_tools_and_their_results_are_turns_of_their_own():
    """Strict functions, calls with arguments as text, a turn for each result, an error marked by its first word."""
    results = (ToolResult("call_a", "rain"), ToolResult("call_b", "no such town", is_error=True))
    calls = (ToolCall("call_a", "weather", {"name": "Kiel ⛅"}), ToolCall("call_b", "weather", {}))
    messages = [
        *ASK,
        Message("assistant", "", tool_calls=calls),
        Message("user", "", tool_results=results),
        Message("user", "Well?"),
    ]
    body = sent(options=InvokeOptions(max_tokens=100, tools=(WEATHER,)), messages=messages)
    assert (body["tools"][0]["function"]["name"], body["tools"][0]["function"]["strict"]) == ("weather", True)
    _, asked, rain, error, well = body["messages"]
    assert asked["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"name":"Kiel ⛅"}'}
    assert rain == {"role": "tool", "tool_call_id": "call_a", "content": "rain"}
    assert error["content"] == "Error: no such town"
    assert well == {"role": "user", "content": "Well?"}


def test_tool_calls_of_other_servers_are_understood():
    """Whole calls without index, all with index 0, arguments as an object, an end called `stop`."""

    def call(function, **more):
        return chunk_bytes({"tool_calls": [{"function": function, **more}]})

    end = (chunk_bytes({}, "stop"), event_bytes({"choices": [], "usage": Reply().usage}), DONE)
    forms = [
        (call({"name": "a", "arguments": "{}"}), call({"name": "b", "arguments": {"x": 1}})),
        (
            call({"name": "a", "arguments": "{}"}, id="1", index=0),
            call({"name": "b", "arguments": '{"x":1}'}, id="2", index=0),
        ),
    ]
    for form in forms:
        completion = talk([Reply(events=(*form, *end))]).result
        assert completion.finish_reason == "tool_use"
        assert [(each.name, each.arguments) for each in completion.tool_calls] == [("a", {}), ("b", {"x": 1})]
        assert len({each.id for each in completion.tool_calls}) == 2


STREAM = stream_events(Reply())


def broken_call(arguments):
    return Reply(text="", tool_calls=(("1", "weather", arguments),), stop_reason="tool_calls")


def told(error):
    """A stream that breaks off with an error event."""
    return Reply(events=(*STREAM[:2], event_bytes({"error": error})))


# Beside those of the contract (tests/contracts/provider_faults.py).
FAULTS = [
    ("429 no quota", Reply(status=429, code="insufficient_quota"), QuotaExhaustedError, 1),
    ("429 in arrears", Reply(status=429, code="1113"), QuotaExhaustedError, 1),
    ("429 of the day", Reply(status=429, code="1304"), QuotaExhaustedError, 1),
    ("429 too many at once", Reply(status=429, code="1302"), RateLimitedError, 3),
    ("429 locked account", Reply(status=429, code="1112"), AuthenticationError, 1),
    ("400 filter", Reply(status=400, code="content_filter"), RefusalError, 1),
    ("400 sensitive", Reply(status=400, code="1301"), RefusalError, 1),
    ("nothing but the end", Reply(events=(DONE,)), BadGatewayError, 2),
    ("no closing mark", Reply(done=False), StreamTruncatedError, 3),
    ("error as finish reason", Reply(stop_reason="error"), BadGatewayError, 2),
    (
        "server error after 200",
        told({"type": "server_error", "message": "oops", "code": None}),
        ProviderUnavailableError,
        3,
    ),
    ("503 after 200", told({"code": 503, "message": "busy"}), ProviderUnavailableError, 3),
    ("429 after 200", told({"code": "rate_limit_exceeded", "type": "tokens"}), RateLimitedError, 3),
    ("zhipu 1302 after 200", told({"code": "1302", "message": "busy"}), RateLimitedError, 3),
    ("no quota after 200", told({"code": "insufficient_quota"}), QuotaExhaustedError, 1),
    ("rejected after 200", told({"type": "invalid_request_error", "message": "no"}), RequestRejectedError, 1),
    ("400 after 200", told({"code": 400, "type": "BadRequestError", "message": "no"}), RequestRejectedError, 1),
    ("some words after 200", told("it broke"), ProviderUnavailableError, 3),
    ("chunk of another form", Reply(events=(*STREAM[:2], event_bytes({"choices": 3}))), StreamTruncatedError, 3),
    ("arguments that break off", broken_call('{"name": "Ki'), BadGatewayError, 2),
    ("arguments that are a list", broken_call("[1]"), BadGatewayError, 2),
    ("a tool that is not named", Reply(stop_reason="tool_calls"), BadGatewayError, 2),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_of_this_wire_is_its_error_and_sent_as_often_as_it_should(reply, expected, attempts):
    """Class and number of requests, all rows settled; a refusal by the vendor's own codes among them."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.outcome for row in bench.ledger.rows} == {"failed"}


def test_a_refusal_may_come_as_its_own_field():
    """What stands in `refusal` is the model's refusal, whatever the finish reason."""
    said = Reply(events=(chunk_bytes({"refusal": "I can't help with that."}), *STREAM[-3:]))
    assert type(talk([said]).result) is RefusalError


def test_a_second_choice_is_not_mixed_into_the_first():
    """Only the choice that was asked for is read."""
    other = event_bytes({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]})
    assert talk([Reply(events=(STREAM[0], other, *STREAM[1:]))]).result.text == "Hello."


def test_keys_go_where_each_vendor_wants_them():
    """Bearer for most, `api-key` for Azure, no credential at all for a server of one's own, unless one is given."""
    azure = talk(["Hi."], provider="azure", model="my-deployment").server.requests[0]
    assert (azure.headers["api-key"], "authorization" in azure.headers) == (KEY.reveal(), False)
    assert azure.body["model"] == "my-deployment"
    bare = talk(["Hi."], provider="ollama", model="llama", credential=None)
    assert (bare.result.text, bare.result.cost) == ("Hi.", 0)
    assert "authorization" not in bare.server.requests[0].headers
    assert talk(["Hi."], provider="vllm", model="llama").server.requests[0].key == KEY.reveal()


def test_what_is_missing_is_said():
    """A vendor without a common address: the error names the form of what to give; no local server in the open."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    with pytest.raises(ConfigError, match=r"https://RES\.openai\.azure\.com/openai/v1/"):
        factory.create_client(LLMConfig("azure", "my-deployment", KEY))
    with pytest.raises(ConfigError, match="in the open"):
        factory.create_client(LLMConfig("ollama", "llama", base_url="http://192.168.1.5:11434/v1"))


def with_own_client(go, replies=(), **config):
    """What `go` gives of the provider's innermost client, and the server."""

    async def run():
        async with FakeOpenAI(replies) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            whole = LLMConfig("openai", "gpt-6.1-terra", KEY, server.base_url)
            client = factory.create_client(msgspec.structs.replace(whole, **config))
            try:
                return await go(client), server
            finally:
                await factory.aclose()

    return asyncio.run(run())


def test_texts_become_vectors_in_their_order_in_as_many_requests_as_it_takes():
    """The row's model for vectors is asked, in batches; the order is that of the texts, whatever comes back."""
    texts = [f"text {'x' * number}" for number in range(70)]
    found, server = with_own_client(lambda client: client.embed(texts, dimensions=3))
    assert found.vectors == tuple(tuple(vector_of(text)) for text in texts)
    assert [len(seen.body["input"]) for seen in server.requests] == [32, 32, 6]
    assert {(seen.body["model"], seen.body["dimensions"]) for seen in server.requests} == {
        ("text-embedding-3-small", 3)
    }
    assert (found.usage.input_tokens, found.usage.calls, found.model) == (
        sum(map(len, texts)),
        3,
        "text-embedding-3-small",
    )
    own, server = with_own_client(lambda client: client.embed(["a"]), model="text-embedding-3-large")
    assert (own.model, own.usage.cost) == ("text-embedding-3-large", 130)
    assert server.problems == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b'{"data": []}'),
        Reply(body=b'{"data": [{"index": 1, "embedding": [1.0]}]}'),
        Reply(body=b'{"data": [{"index": 0, "embedding": []}]}'),
        Reply(body=b'{"data": [{"index": 0, "embedding": "x"}]}'),
        Reply(body=b"<html>"),
    ],
)
def test_vectors_that_are_not_one_for_each_text_are_no_answer(reply):
    """Too few, out of place, empty, or no numbers: a bad gateway."""
    with pytest.raises(BadGatewayError):
        with_own_client(lambda client: client.embed(["a"]), [reply])


def test_the_models_of_a_server_can_be_asked_for():
    """Also of a server of one's own, without a key."""
    names, server = with_own_client(
        lambda client: innermost(client.chain).list_models(), provider="vllm", model="m", credential=None
    )
    assert names == ["gpt-6-luna", "gpt-6.1-terra", "some-model"]
    assert server.problems == []


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: a request that breaks them all is told so."""
    body = {
        "messages": [
            {"role": "user", "content": []},
            {"role": "user", "content": "x"},
            {"role": "tool", "content": ""},
        ],
        "model": "gpt-6",
        "top_k": 1,
        "temperature": 1,
        "reasoning_effort": "much",
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "no name", "parameters": {}}}],
    }
    bad = Seen("GET", "/v2", {"authorization": "Basic x", "content-type": "text/plain"}, json.dumps(body).encode())
    assert len(broken_rules(bad)) == 13
    for path in ("/v1/embeddings", "/v1/models"):
        assert len(broken_rules(Seen("PUT", path, {}, b'{"x": 1}'))) >= 2
