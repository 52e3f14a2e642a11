"""The OpenAI-compatible provider over real HTTP, against a strict local server that breaks on demand."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import resource
import traceback
from random import Random

import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    ConfigError,
    CredentialMissingError,
    OrchestratorError,
    OutputTruncatedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import Embedder, Reachable
from orchestrator_v2.llm.call_log import VENDOR_LOGGERS
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_openai import (
    DONE,
    FakeOpenAI,
    Reply,
    body_of,
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
        self.clock = ManualClock(auto=True)
        self.ledger = MemoryCallLedger()
        self.log = []
        self.probes = []
        self.heard = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, retry=None, timeouts=None, strict=True, sink=False, **config):
    """Sends one call through the whole chain; the result is the Completion or the error."""
    bench = Bench()

    async def go():
        async with FakeOpenAI(replies, strict=strict) as server:
            bench.server = server
            factory = LLMFactory(clock=bench.clock, random=Random(0), probe=bench.probes.append, timeouts=timeouts)
            whole = LLMConfig("openai", "gpt-6.1-terra", KEY, server.base_url)
            whole = msgspec.structs.replace(whole, **config)
            client = factory.create_client(whole, ledger=bench.ledger, log=bench.log.append, retry=retry)
            heard = {"sink": bench.heard.append} if sink else {}
            try:
                bench.result = await client.invoke(messages, options, key="a/1", **heard)
            except OrchestratorError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    return bench


def sent(**how):
    """The body of the one request that a call leads to."""
    bench = talk(["{}"], **how)
    assert bench.server.problems == []
    return bench.server.requests[0].body


def test_an_answer_comes_whole_with_usage_cost_and_provenance():
    """Text in pieces and scripts is put together; thinking is no text; cached tokens count once, at their price."""
    usage = {
        "prompt_tokens": 150,
        "completion_tokens": 50,
        "total_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    text = "Grüße aus der Küche: 漢字 \U0001f600 und noch etwas mehr."
    bench = talk([Reply(text=text, usage=usage, reasoning="Let me think about this for a while.")], sink=True)
    completion = bench.result
    assert completion.text == "".join(bench.heard) == text
    assert (completion.finish_reason, completion.request_id) == ("stop", "req_fake")
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (150, 50)
    assert (completion.usage.cache_read_tokens, completion.usage.cache_write_tokens) == (20, 0)
    assert completion.cost == 130 * 1000 + 20 * 50 + 50 * 5000
    assert str(completion.provenance) == "real (openai/gpt-6.1-terra)"
    assert bench.server.problems == []
    assert bench.probes[:3] == ["request-sent", "first-byte", "last-byte-before-parse"]


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


def test_an_answer_without_usage_is_charged_as_its_reservation():
    """A server that counts nothing costs what was reserved, and the answer says so."""
    bench = talk([Reply(usage=None)])
    assert bench.ledger.rows[0].charged == bench.ledger.rows[0].reserved > 0
    assert "token count was missing" in bench.result.notes[0]


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


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (InvokeOptions(temperature=0.5), {}),
        (InvokeOptions(stop_sequences=("END",)), {}),
        (InvokeOptions(seed=1), {"provider": "zhipu", "model": "glm-5.3"}),
        (InvokeOptions(images=(Image(b"x", "image/tiff"),)), {}),
    ],
    ids=["temperature", "stop", "seed", "kind of image"],
)
def test_what_the_model_does_not_honour_is_refused_unsent(options, config):
    """An option without effect is an error before sending, charged with nothing."""
    bench = talk(["Hello."], options=options, **config)
    assert isinstance(bench.result, RequestRejectedError)
    assert bench.server.requests == []
    assert bench.ledger.rows[0].charged == 0


def test_max_tokens_is_kept_within_the_models_own_cap():
    """More than the model can give is not asked for."""
    assert sent(options=InvokeOptions(max_tokens=500_000))["max_completion_tokens"] == 128_000


def test_images_travel_as_data_urls_in_the_turn_they_belong_to():
    """Those of a message stand in it, those of the options in the last user's turn."""
    messages = [Message("user", "One", images=(Image(b"a"),)), Message("assistant", "Yes."), Message("user", "Two")]
    body = sent(messages=messages, options=InvokeOptions(max_tokens=10, images=(Image(b"b", "image/webp"),)))
    first, _, last = body["messages"]
    assert first["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}
    assert last["content"][0] == {"type": "text", "text": "Two"}
    assert last["content"][1]["image_url"]["url"] == "data:image/webp;base64,Yg=="


def test_tools_are_offered_asked_for_and_answered():
    """Arguments that come in pieces are put together; the whole conversation with results keeps every rule."""
    calls = (("call_a", "weather", '{"name": "Kiel \\u26c5"}'), ("call_b", "weather", ""))
    options = InvokeOptions(max_tokens=100, tools=(WEATHER,))
    bench = talk([Reply(text="Let me see.", tool_calls=calls, stop_reason="tool_calls")], options=options)
    completion = bench.result
    assert (completion.finish_reason, completion.text) == ("tool_use", "Let me see.")
    assert completion.tool_calls == (
        ToolCall("call_a", "weather", {"name": "Kiel ⛅"}),
        ToolCall("call_b", "weather", {}),
    )
    function = bench.server.requests[0].body["tools"][0]["function"]
    assert (function["name"], function["strict"]) == ("weather", True)
    results = (ToolResult("call_a", "rain"), ToolResult("call_b", "no such town", is_error=True))
    messages = [
        *ASK,
        Message("assistant", "", tool_calls=completion.tool_calls),
        Message("user", "", tool_results=results),
        Message("user", "Well?"),
    ]
    _, asked, rain, error, well = sent(options=options, messages=messages)["messages"]
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
SSE = {"content-type": "text/event-stream"}


def broken_call(arguments):
    return Reply(text="", tool_calls=(("1", "weather", arguments),), stop_reason="tool_calls")


def told(error):
    """A stream that breaks off with an error event."""
    return Reply(events=(*STREAM[:2], event_bytes({"error": error})))


FAULTS = [
    ("429", Reply(status=429), RateLimitedError, 3),
    ("429 spend limit", Reply(status=429, message="You reached your spend limit"), QuotaExhaustedError, 1),
    ("429 no quota", Reply(status=429, code="insufficient_quota"), QuotaExhaustedError, 1),
    ("429 in arrears", Reply(status=429, code="1113"), QuotaExhaustedError, 1),
    ("429 of the day", Reply(status=429, code="1304"), QuotaExhaustedError, 1),
    ("429 too many at once", Reply(status=429, code="1302"), RateLimitedError, 3),
    ("429 locked account", Reply(status=429, code="1112"), AuthenticationError, 1),
    ("402", Reply(status=402), QuotaExhaustedError, 1),
    ("500", Reply(status=500), ProviderUnavailableError, 3),
    ("502 html", Reply(status=502, body=b"<html>bad</html>"), ProviderUnavailableError, 3),
    ("503", Reply(status=503), ProviderUnavailableError, 3),
    ("504", Reply(status=504), ProviderUnavailableError, 3),
    ("529", Reply(status=529), ProviderUnavailableError, 3),
    ("408", Reply(status=408), ProviderUnavailableError, 3),
    ("409", Reply(status=409), ProviderUnavailableError, 3),
    ("should not retry", Reply(status=500, headers={"x-should-retry": "false"}), ProviderUnavailableError, 1),
    ("400", Reply(status=400), RequestRejectedError, 1),
    ("400 filter", Reply(status=400, code="content_filter"), RefusalError, 1),
    ("400 sensitive", Reply(status=400, code="1301"), RefusalError, 1),
    ("404", Reply(status=404), RequestRejectedError, 1),
    ("413", Reply(status=413), RequestRejectedError, 1),
    ("422", Reply(status=422), RequestRejectedError, 1),
    ("401", Reply(status=401), AuthenticationError, 1),
    ("403", Reply(status=403), AuthenticationError, 1),
    ("redirect", Reply(status=307, headers={"location": "/v1/chat/completions"}), RequestRejectedError, 1),
    ("html 200", Reply(body=b"<html>login</html>", headers={"content-type": "text/html"}), BadGatewayError, 2),
    ("empty 200", Reply(body=b""), BadGatewayError, 2),
    ("empty stream", Reply(body=b"", headers=SSE), BadGatewayError, 2),
    ("nothing but the end", Reply(body=DONE, headers=SSE), BadGatewayError, 2),
    ("list 200", Reply(body=b"[]"), BadGatewayError, 2),
    ("error 200", Reply(body=b'{"error": {"message": "odd"}}'), BadGatewayError, 2),
    ("success false", Reply(body=b'{"success": false, "code": 500, "msg": "odd"}'), BadGatewayError, 2),
    ("connection reset", Reply(reset=True), ProviderUnavailableError, 3),
    ("cut", Reply(cut_at=300), StreamTruncatedError, 3),
    ("politely cut", Reply(cut_at=300, polite=True), StreamTruncatedError, 3),
    ("no finish reason", Reply(stop_reason=None), StreamTruncatedError, 3),
    ("no closing mark", Reply(done=False), StreamTruncatedError, 3),
    ("unknown finish reason", Reply(stop_reason="novelty"), BadGatewayError, 2),
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
    ("malformed chunk", Reply(events=(*STREAM[:2], b"data: {nonsense\n\n", *STREAM[2:])), StreamTruncatedError, 3),
    ("malformed start", Reply(events=(b"data: {nonsense\n\n",)), BadGatewayError, 2),
    ("chunk of another form", Reply(events=(*STREAM[:2], event_bytes({"choices": 3}))), StreamTruncatedError, 3),
    ("arguments that break off", broken_call('{"name": "Ki'), BadGatewayError, 2),
    ("arguments that are a list", broken_call("[1]"), BadGatewayError, 2),
    ("a tool that is not named", Reply(stop_reason="tool_calls"), BadGatewayError, 2),
]
IDS = [row[0] for row in FAULTS]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=IDS)
def test_each_fault_is_its_error_and_sent_as_often_as_the_table_says(reply, expected, attempts):
    """The fault table row by row: class, number of requests on the wire, all rows settled, no key in any text."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.outcome for row in bench.ledger.rows} == {"failed"}
    assert bench.server.problems == []
    assert len(bench.clock.slept) == attempts - 1
    assert "canary" not in repr(bench.result) + str(bench.result) + repr(bench.ledger.rows) + repr(bench.log)


RETRIED = [row for row in FAULTS if row[3] > 1]


@pytest.mark.parametrize("reply", [row[1] for row in RETRIED], ids=[row[0] for row in RETRIED])
def test_after_a_passing_fault_the_answer_comes(reply):
    """Every fault that is retried ends well when the server has recovered; the attempts are counted."""
    bench = talk([reply, "All is well."])
    assert bench.result.text == "All is well."
    assert bench.result.attempts == 2


FREE = ["429", "402", "529", "400", "404", "401", "403", "redirect", "408", "429 no quota", "400 filter"]
LOST = ["500", "cut", "politely cut", "503 after 200", "no quota after 200", "connection reset", "html 200"]
LOST += ["malformed chunk", "arguments that break off"]


@pytest.mark.parametrize("name", [*FREE, *LOST])
def test_a_failed_call_is_charged_by_what_the_provider_may_have_done(name):
    """What was refused is free; what may have been worked on costs its reservation."""
    reply = next(row[1] for row in FAULTS if row[0] == name)
    row = talk([reply], retry=ONCE).ledger.rows[0]
    assert row.reserved > 0
    assert row.charged == (0 if name in FREE else row.reserved)


def test_retry_after_is_obeyed_and_a_long_one_is_not_waited_for():
    """Seconds, milliseconds and HTTP dates are waited for; ten minutes come out at once, the time in the error."""
    for headers, seconds in (
        ({"retry-after": "3"}, 3),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:45 GMT"}, 45),
    ):
        for status in (429, 503):
            bench = talk([Reply(status=status, headers=headers), "ok"])
            assert bench.result.text == "ok"
            assert sum(bench.clock.slept) == pytest.approx(seconds)
    bench = talk([Reply(status=429, headers={"retry-after": "600"}), "ok"])
    assert (bench.result.retry_after, bench.clock.slept, len(bench.server.requests)) == (600, [], 1)


@pytest.mark.parametrize("polite", [False, True], ids=["reset", "polite"])
def test_a_stream_cut_at_any_byte_is_never_a_completion(polite):
    """For every offset of a stream short of its whole length there is an error, for the whole length the answer."""
    short = Reply(text="Hi.")
    size = len(body_of(short))

    async def go():
        wrong = []
        replies = [msgspec.structs.replace(short, cut_at=at, polite=polite) for at in range(size)]
        async with FakeOpenAI([*replies, short]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("openai", "gpt-6.1-terra", KEY, server.base_url)
            for at in range(size):
                client = factory.create_client(config, retry=ONCE)
                try:
                    wrong.append((at, await client.invoke(ASK, OPTIONS)))
                except (StreamTruncatedError, BadGatewayError, ProviderUnavailableError):
                    continue
            answer = await factory.create_client(config, retry=ONCE).invoke(ASK, OPTIONS)
            assert (answer.text, len(server.requests)) == ("Hi.", size + 1)
            await factory.aclose()
        return wrong

    assert asyncio.run(go()) == []


def test_hostile_bodies_are_cut_and_memory_stays_flat():
    """A hundred megabytes of text, of error body, of arguments, or of unpacked gzip end within a few megabytes."""
    block = b"x" * (1024 * 1024)
    text = chunk_bytes({"content": "y" * 60_000})
    call = chunk_bytes({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "a", "arguments": ""}}]})
    more = chunk_bytes({"tool_calls": [{"index": 0, "function": {"arguments": "z" * 60_000}}]})
    packed = gzip.compress(b"z" * (100 * 1024 * 1024))
    bombs = [
        Reply(body=block, times=100, headers=SSE),
        Reply(status=500, body=block, times=100),
        Reply(body=text * 20, times=100, headers=SSE),
        Reply(body=call + more * 100, headers=SSE),
        Reply(body=packed, headers={**SSE, "content-encoding": "gzip"}),
    ]
    talk(["warm up"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bomb in bombs:
        assert isinstance(talk([bomb], retry=ONCE).result, ProviderError)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_silence_and_slow_drips_end_at_their_deadlines():
    """No byte for `idle` seconds, or thinking for ever past `total`, are errors and charged as reserved."""
    quick = Timeouts(connect=1.0, idle=0.2, total=0.6)
    bench = talk([Reply(silence=5)], timeouts=quick, retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)
    assert bench.ledger.rows[0].charged == bench.ledger.rows[0].reserved
    dripping = Reply(reasoning="word " * 2000, pause=0.05, piece=20)
    assert isinstance(talk([dripping], timeouts=quick, retry=ONCE).result, ProviderUnavailableError)
    bench = talk([dripping], options=InvokeOptions(timeout=0.3), retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)


def test_a_cut_or_refused_answer_over_the_wire():
    """length twice is an error after two requests, a full window after one; both ways of refusing are refusals."""
    bench = talk([Reply(stop_reason="length")] * 2)
    assert type(bench.result) is OutputTruncatedError
    assert [seen.body["max_completion_tokens"] for seen in bench.server.requests] == [1000, 2000]
    bench = talk([Reply(stop_reason="model_context_window_exceeded")] * 2)
    assert type(bench.result) is OutputTruncatedError
    assert len(bench.server.requests) == 1
    assert type(talk([Reply(stop_reason="content_filter")]).result) is RefusalError
    said = Reply(events=(chunk_bytes({"refusal": "I can't help with that."}), *STREAM[-3:]))
    assert type(talk([said]).result) is RefusalError


def test_characters_cut_in_halves_by_the_server_become_whole_again():
    """An emoji whose two escaped halves arrive in two chunks is one character; a lone half becomes U+FFFD."""
    halves = [
        b'data: {"choices":[{"index":0,"delta":{"content":"' + part + b'"}}]}\n\n'
        for part in (rb"a\ud83d", rb"\ude00b", rb"\ud800")
    ]
    assert talk([Reply(events=(*halves, *STREAM[-3:]))]).result.text == "a\U0001f600b\ufffd"


def test_a_second_choice_is_not_mixed_into_the_first():
    """Only the choice that was asked for is read."""
    other = event_bytes({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]})
    assert talk([Reply(events=(STREAM[0], other, *STREAM[1:]))]).result.text == "Hello."


def test_no_key_in_any_log_error_or_repr_when_the_server_echoes_it(caplog):
    """With all loggers but the vendors' at DEBUG, a key that the server echoes shows up in no log, error or record."""
    echo = f"you sent {KEY.reveal()}"
    faults = [
        Reply(status=401, message=echo),
        Reply(status=400, body=echo.encode()),
        Reply(status=500, message="x" * 495 + echo),
        Reply(body=json.dumps({"success": False, "msg": echo}).encode()),
        told({"message": echo}),
        told(echo),
    ]
    shown = []
    caplog.set_level(logging.DEBUG)
    for name in VENDOR_LOGGERS:
        caplog.set_level(logging.WARNING, logger=name)
    for fault in faults:
        bench = talk([fault], retry=ONCE)
        error = bench.result
        shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
        shown += [repr(bench.ledger.rows), json.dumps(bench.log)]
        assert bench.server.requests[0].key == KEY.reveal()
    assert "canary" not in "\n".join(shown) + caplog.text


@pytest.mark.parametrize("value", ["clé-canary-value-0000", "two canary-words-0000", "sk-canary\nX-Evil: 1"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(value):
    """Spaces, line ends and other scripts are named as the fault before anything is made."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    with pytest.raises(ConfigError, match="cannot be sent") as caught:
        factory.create_client(LLMConfig("openai", "gpt", Secret(value)))
    assert "canary" not in str(caught.value)


def test_stray_environment_variables_decide_nothing(monkeypatch):
    """Keys, addresses, organisations and proxies of the environment reach no request of ours."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-stray")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer stolen\nx-stray: 1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seen = talk(["Hello."]).server.requests[0]
    assert seen.key == KEY.reveal()
    assert "stray" not in repr(seen.headers)


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
    """No key, no base_url: each error names the variable or the form of what to give."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    with pytest.raises(CredentialMissingError, match="GROQ_API_KEY"):
        factory.create_client(LLMConfig("groq", "llama-3.3-70b-versatile"))
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
    """The client is `Reachable` and an `Embedder`; a refused key is said."""

    async def go(client):
        own = client._own
        assert isinstance(own, Reachable)
        assert isinstance(own, Embedder)
        return await own.list_models()

    names, server = with_own_client(go, provider="vllm", model="m", credential=None)
    assert names == ["gpt-6-luna", "gpt-6.1-terra", "some-model"]
    assert server.problems == []
    with pytest.raises(AuthenticationError):
        with_own_client(go, [Reply(status=401)])


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: a request that breaks them all is told so."""
    body = {
        "messages": [
            {"role": "user", "content": []},
            {"role": "user", "content": "x"},
            {"role": "tool", "content": ""},
        ],
        "model": "gpt-6",
        "top_p": 1,
        "temperature": 1,
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "no name", "parameters": {}}}],
    }
    bad = Seen("GET", "/v2", {"authorization": "Basic x", "content-type": "text/plain"}, json.dumps(body).encode())
    assert len(broken_rules(bad)) == 12
    for path in ("/v1/embeddings", "/v1/models"):
        assert len(broken_rules(Seen("PUT", path, {}, b'{"x": 1}'))) >= 2
