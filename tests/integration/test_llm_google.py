"""The Google provider over real HTTP, against a strict local server that breaks on demand."""

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
from orchestrator_v2.llm.base import Embedder, Reachable, TokenCounter
from orchestrator_v2.llm.call_log import VENDOR_LOGGERS
from orchestrator_v2.llm.catalog import load_catalog, resolve_model
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers.google import GoogleProvider
from orchestrator_v2.llm.providers.google_schema import known_schema
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_google import MODELS, FakeGoogle, Reply, body_of, event_bytes, stream_events
from orchestrator_v2.testing.fake_server import Seen
from orchestrator_v2.testing.google_rules import broken_rules, key_of, text_of
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("AQ.planted-canary-value")
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)
ONCE = RetryConfig(max_attempts=1)
SSE = {"content-type": "text/event-stream"}
WEATHER = ToolSpec("weather", "What the sky does.", {"type": "object", "properties": {"city": {"type": "string"}}})
WISH = {"functionCall": {"id": "call_9", "name": "weather", "args": {"city": "Ulm"}}, "thoughtSignature": "c2ln"}
# July 2026: before the prices of the newer models change.
NOW = 1_783_000_000.0


class Bench:
    """What one conversation with the fake server left behind."""

    def __init__(self):
        self.clock = ManualClock(auto=True)
        self.ledger = MemoryCallLedger()
        self.log = []
        self.probes = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, retry=None, timeouts=None, path="", strict=True, **config):
    """Sends one call through the whole chain; the result is the Completion or the error."""
    bench = Bench()

    async def go():
        async with FakeGoogle(replies, strict=strict) as server:
            bench.server = server
            factory = LLMFactory(clock=bench.clock, random=Random(0), probe=bench.probes.append, timeouts=timeouts)
            whole = LLMConfig("google", "gemini-3.5-flash", KEY, server.base_url + path)
            whole = msgspec.structs.replace(whole, **config)
            client = factory.create_client(whole, ledger=bench.ledger, log=bench.log.append, retry=retry)
            try:
                bench.result = await client.invoke(messages, options, key="a/1")
            except ProviderError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    return bench


def direct(use, replies=(), model="gemini-3.5-flash", **kwargs):
    """What `use` gives of the provider's own client, and the server that it spoke to."""

    async def go():
        async with FakeGoogle(replies, **kwargs) as server:
            config = LLMConfig("google", model, KEY, server.base_url)
            info = resolve_model("google", model, now=NOW, base_url=server.base_url)
            pool, clock = ClientPool(), ManualClock(auto=True)
            connection = Connection(config, info, pool, clock, lambda name: None, Timeouts(), Lane())
            try:
                return await use(GoogleProvider().connect(connection)), server
            finally:
                await pool.aclose()

    return asyncio.run(go())


def test_an_answer_comes_whole_with_usage_cost_and_provenance():
    """Text in several pieces and scripts is put together; thoughts are no text; cached tokens count."""
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
    }
    text = "Grüße aus der Küche: 漢字 \U0001f600 und noch etwas mehr."
    bench = talk([Reply(text=text, usage=usage, parts=({"text": "Hm, a clock.", "thought": True},))])
    completion = bench.result
    assert completion.text == text
    assert (completion.finish_reason, completion.request_id) == ("stop", "resp_fake")
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (100, 50)
    assert completion.usage.cache_read_tokens == 40
    assert completion.cost == 60 * 1500 + 40 * 150 + 50 * 9000
    assert str(completion.provenance) == "real (google/gemini-3.5-flash)"
    assert bench.server.problems == []
    assert bench.probes[:3] == ["request-sent", "first-byte", "last-byte-before-parse"]


def test_the_request_is_what_the_wire_asks_for():
    """System text, cap, schema, seed and stop sequences stand where they belong; neighbours of a role are one turn."""
    schema = {"type": "object", "properties": {"name": {"const": "x"}, "code": {"type": "string", "pattern": "a+"}}}
    options = InvokeOptions(
        max_tokens=77, system_prompt="Be brief.", stop_sequences=("END",), response_schema=schema, seed=3
    )
    messages = [
        Message("user", "The project {{7*7}}", stable=True),
        Message("user", "The task"),
        Message("assistant", "{}"),
        Message("user", "Once more."),
    ]
    seen = talk(["{}"], options=options, messages=messages).server.requests[0]
    config = seen.body["generationConfig"]
    assert seen.path == "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
    assert (config["maxOutputTokens"], config["stopSequences"], config["seed"]) == (77, ["END"], 3)
    assert config["responseMimeType"] == "application/json"
    properties = config["responseJsonSchema"]["properties"]
    assert properties["name"] == {"enum": ["x"]}
    assert properties["code"] == {"type": "string", "description": "{pattern: a+}"}
    assert seen.body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert [turn["role"] for turn in seen.body["contents"]] == ["user", "model", "user"]
    assert [part["text"] for part in seen.body["contents"][0]["parts"]] == ["The project {{7*7}}", "The task"]
    assert text_of(seen).startswith("Be brief.")


def test_a_schema_keeps_what_google_knows_and_says_the_rest_in_words():
    """A reference stands alone, values and bounds stay, what is not known is told in the description."""
    schema = {
        "$defs": {"Size": {"type": "integer", "minimum": 1, "multipleOf": 2, "description": "How big."}},
        "type": "object",
        "properties": {
            "size": {"$ref": "#/$defs/Size", "description": "lost"},
            "either": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"const": True}, "minItems": 2}]},
        },
        "additionalProperties": {"type": "string", "minLength": 1},
        "default": {},
    }
    known = known_schema(schema)
    assert known["properties"]["size"] == {"$ref": "#/$defs/Size"}
    assert known["$defs"]["Size"] == {
        "type": "integer",
        "minimum": 1,
        "description": "How big.\n\n{multipleOf: 2}",
    }
    array = known["properties"]["either"]["anyOf"][1]
    assert (array["minItems"], array["items"]) == (2, {"description": "{const: True}"})
    assert known["additionalProperties"] == {"type": "string", "description": "{minLength: 1}"}
    assert "default" not in known


def test_pictures_stand_in_the_turn_they_belong_to():
    """A message's own pictures stay with it, those of the call join the last user's turn, before its text."""
    messages = [
        Message("user", "This one.", images=(Image(b"first", "image/png"),)),
        Message("assistant", "Yes."),
        Message("user", "And this."),
    ]
    options = InvokeOptions(max_tokens=10, images=(Image(b"second", "image/jpeg"),))
    bench = talk(["ok"], options=options, messages=messages)
    first, _, last = bench.server.requests[0].body["contents"]
    assert first["parts"] == [{"inlineData": {"data": "Zmlyc3Q=", "mimeType": "image/png"}}, {"text": "This one."}]
    assert last["parts"][0] == {"inlineData": {"data": "c2Vjb25k", "mimeType": "image/jpeg"}}
    assert bench.server.problems == []


def test_a_tool_is_asked_for_and_its_result_goes_back_with_the_signature():
    """The wish comes as a ToolCall; sent back with its result it carries its id, name and the provider's mark."""
    options = InvokeOptions(max_tokens=100, tools=(WEATHER,))
    wish = talk([Reply(text="", parts=(WISH,))], options=options).result
    assert (wish.finish_reason, wish.text) == ("tool_use", "")
    assert wish.tool_calls == (ToolCall("call_9", "weather", {"city": "Ulm"}, "c2ln"),)
    messages = [
        *ASK,
        Message("assistant", "", tool_calls=wish.tool_calls),
        Message("user", "", tool_results=(ToolResult("call_9", "no sky", is_error=True),)),
    ]
    bench = talk(["It rains."], options=options, messages=messages)
    assert bench.result.text == "It rains."
    assert bench.server.problems == []
    body = bench.server.requests[0].body
    assert body["contents"][1]["parts"] == [WISH]
    answer = {"id": "call_9", "name": "weather", "response": {"error": "no sky"}}
    assert body["contents"][2]["parts"] == [{"functionResponse": answer}]
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == WEATHER.parameters


def test_a_result_that_answers_no_call_is_refused_unsent():
    """A tool result whose call is not in the conversation never reaches the wire and costs nothing."""
    bench = talk(["x"], messages=[Message("user", "", tool_results=(ToolResult("call_1", "?"),))])
    assert type(bench.result) is RequestRejectedError
    assert bench.server.requests == []
    assert bench.ledger.rows[0].charged == 0


def test_calls_without_an_id_get_one_each():
    """Older models name no id; two wishes are still told apart."""
    bare = {"functionCall": {"name": "weather"}}
    calls = talk([Reply(text="", parts=(bare, bare))]).result.tool_calls
    assert [(call.id, call.arguments) for call in calls] == [("call_1", {}), ("call_2", {})]


def test_a_model_without_structured_output_gets_the_schema_in_words():
    """Behind a base_url an unknown model is asked in the prompt, and may be given a temperature."""
    options = InvokeOptions(max_tokens=10, response_schema={"type": "object"}, temperature=0.2)
    body = talk(["{}"], options=options, model="gemma-9").server.requests[0].body
    assert "responseJsonSchema" not in body["generationConfig"]
    assert '{"type":"object"}' in body["systemInstruction"]["parts"][0]["text"]
    assert body["generationConfig"]["temperature"] == 0.2


def test_sampling_is_refused_where_the_model_does_not_take_it():
    """The present default ignores a temperature: that is an error before sending, charged with nothing."""
    bench = talk(["Hello."], options=InvokeOptions(temperature=0.5), model="gemini")
    assert isinstance(bench.result, RequestRejectedError)
    assert bench.server.requests == []
    assert bench.ledger.rows[0].charged == 0


def test_max_tokens_is_kept_within_the_models_own_cap():
    """More than the model can give is not asked for."""
    body = talk(["Hello."], options=InvokeOptions(max_tokens=500_000)).server.requests[0].body
    assert body["generationConfig"]["maxOutputTokens"] == 65_536


@pytest.mark.parametrize("path", ["/v1beta", "/v1beta/"])
def test_a_base_url_may_name_the_version_itself(path):
    """The version is not put behind itself."""
    bench = talk(["Hello."], path=path)
    assert bench.server.requests[0].path.startswith("/v1beta/models/")
    assert bench.server.problems == []


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
FAULTS = [
    ("429", Reply(status=429), RateLimitedError, 3),
    ("429 spend", Reply(status=429, message="Your prepayment credits are depleted."), QuotaExhaustedError, 1),
    ("402", Reply(status=402), QuotaExhaustedError, 1),
    ("500", Reply(status=500), ProviderUnavailableError, 3),
    ("502 html", Reply(status=502, body=b"<html>bad</html>"), ProviderUnavailableError, 3),
    ("503", Reply(status=503), ProviderUnavailableError, 3),
    ("504", Reply(status=504), ProviderUnavailableError, 3),
    ("408", Reply(status=408), ProviderUnavailableError, 3),
    ("409", Reply(status=409), ProviderUnavailableError, 3),
    ("should not retry", Reply(status=500, headers={"x-should-retry": "false"}), ProviderUnavailableError, 1),
    ("400", Reply(status=400), RequestRejectedError, 1),
    ("404", Reply(status=404), RequestRejectedError, 1),
    ("413", Reply(status=413), RequestRejectedError, 1),
    ("422", Reply(status=422), RequestRejectedError, 1),
    ("bad key", Reply(status=400, message="API key not valid.", details=(BAD_KEY,)), AuthenticationError, 1),
    ("401", Reply(status=401), AuthenticationError, 1),
    ("403", Reply(status=403), AuthenticationError, 1),
    ("redirect", Reply(status=307, headers={"location": "/v1beta/models"}), RequestRejectedError, 1),
    ("html 200", Reply(body=b"<html>login</html>", headers={"content-type": "text/html"}), BadGatewayError, 2),
    ("empty 200", Reply(body=b""), BadGatewayError, 2),
    ("empty stream", Reply(body=b"", headers=SSE), BadGatewayError, 2),
    ("list 200", Reply(body=b"[]"), BadGatewayError, 2),
    ("error 200", Reply(body=b'{"error": {"message": "odd"}}'), BadGatewayError, 2),
    ("nothing in it", Reply(events=(event_bytes({"usageMetadata": {}}),)), BadGatewayError, 2),
    ("connection reset", Reply(reset=True), ProviderUnavailableError, 3),
    ("cut", Reply(text="x" * 99, cut_at=400), StreamTruncatedError, 3),
    ("politely cut", Reply(text="x" * 99, cut_at=400, polite=True), StreamTruncatedError, 3),
    ("no finish reason", Reply(stop_reason=None), StreamTruncatedError, 3),
    ("unknown finish reason", Reply(stop_reason="NOVELTY"), BadGatewayError, 2),
    ("malformed call", Reply(stop_reason="MALFORMED_FUNCTION_CALL"), BadGatewayError, 2),
    (
        "unavailable after 200",
        Reply(
            events=(
                stream_events(Reply(text="x" * 30))[0],
                event_bytes({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}),
            )
        ),
        ProviderUnavailableError,
        3,
    ),
    (
        "rejected after 200",
        Reply(events=(event_bytes({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}),)),
        RequestRejectedError,
        1,
    ),
    (
        "error without a code after 200",
        Reply(events=(event_bytes({"error": {"message": "odd"}}),)),
        ProviderUnavailableError,
        3,
    ),
    (
        "malformed chunk",
        Reply(
            events=(
                stream_events(Reply(text="x" * 30))[0],
                b"data: {nonsense\n\n",
                *stream_events(Reply(text="x" * 30))[1:],
            )
        ),
        StreamTruncatedError,
        3,
    ),
    ("malformed start", Reply(events=(b"data: {nonsense\n\n",)), BadGatewayError, 2),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_is_its_error_and_sent_as_often_as_the_table_says(reply, expected, attempts):
    """The fault table row by row: class, number of requests on the wire, all rows settled, no key in any text."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.outcome for row in bench.ledger.rows} == {"failed"}
    assert bench.server.problems == []
    assert len(bench.clock.slept) == attempts - 1
    assert "canary" not in repr(bench.result) + str(bench.result) + repr(bench.ledger.rows) + repr(bench.log)


@pytest.mark.parametrize(
    "reply", [row[1] for row in FAULTS if row[3] > 1], ids=[row[0] for row in FAULTS if row[3] > 1]
)
def test_after_a_passing_fault_the_answer_comes(reply):
    """Every fault that is retried ends well when the server has recovered; the attempts are counted."""
    bench = talk([reply, "All is well."])
    assert bench.result.text == "All is well."
    assert bench.result.attempts == 2


FREE = ["429", "402", "400", "404", "bad key", "401", "403", "redirect", "408", "429 spend"]
LOST = ["500", "cut", "politely cut", "unavailable after 200", "connection reset", "html 200", "malformed chunk"]


@pytest.mark.parametrize("name", [*FREE, *LOST])
def test_a_failed_call_is_charged_by_what_the_provider_may_have_done(name):
    """What was refused is free; what may have been worked on costs its reservation."""
    reply = next(row[1] for row in FAULTS if row[0] == name)
    row = talk([reply], retry=ONCE).ledger.rows[0]
    assert row.reserved > 0
    assert row.charged == (0 if name in FREE else row.reserved)


def delayed(delay):
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return Reply(status=429, details=({"@type": "type.googleapis.com/google.rpc.Help"}, info))


def test_the_delay_that_google_names_is_obeyed_and_a_long_one_is_not_waited_for():
    """It stands in the body's details, in seconds with an s; a Retry-After header goes before it."""
    assert talk([delayed("34.5s"), "ok"]).clock.slept == [34.5]
    both = msgspec.structs.replace(delayed("34s"), headers={"retry-after": "7"})
    assert talk([both, "ok"]).clock.slept == [7]
    bench = talk([delayed("600s"), "ok"])
    assert (bench.result.retry_after, bench.clock.slept, len(bench.server.requests)) == (600, [], 1)
    assert talk([delayed("soon"), "ok"]).clock.slept != []


@pytest.mark.parametrize("polite", [False, True], ids=["reset", "polite"])
def test_a_stream_cut_at_any_byte_is_never_a_completion(polite):
    """For every offset of a stream short of its last line end there is an error, for the whole length the answer."""
    short = Reply(text="Hi, you there.")
    # The CR alone ends a line too: from there on nothing is missing.
    size = len(body_of(short)) - 1

    async def go():
        wrong = []
        replies = [msgspec.structs.replace(short, cut_at=at, polite=polite) for at in range(size)]
        async with FakeGoogle([*replies, short]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("google", "gemini-3.5-flash", KEY, server.base_url)
            client = factory.create_client(config, retry=ONCE)
            for at in range(size):
                try:
                    wrong.append((at, await client.invoke(ASK, OPTIONS)))
                except (StreamTruncatedError, BadGatewayError, ProviderUnavailableError):
                    continue
            assert (await client.invoke(ASK, OPTIONS)).text == "Hi, you there."
            assert len(server.requests) == size + 1
            await factory.aclose()
        return wrong

    assert asyncio.run(go()) == []


def test_hostile_bodies_are_cut_and_memory_stays_flat():
    """A hundred megabytes of text, of error body, or of unpacked gzip end in an error within a few megabytes."""
    block = b"x" * (1024 * 1024)
    delta = event_bytes({"candidates": [{"content": {"parts": [{"text": "y" * 60_000}]}}]})
    packed = gzip.compress(b"z" * (100 * 1024 * 1024))
    bombs = [
        Reply(body=block, times=100, headers=SSE),
        Reply(body=block, times=100, headers={"content-type": "text/html"}),
        Reply(status=500, body=block, times=100),
        Reply(body=delta * 20, times=100, headers=SSE),
        Reply(body=packed, headers={**SSE, "content-encoding": "gzip"}),
        Reply(status=500, body=packed, headers={"content-encoding": "gzip"}),
    ]
    talk(["warm up"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bomb in bombs:
        assert isinstance(talk([bomb], retry=ONCE).result, ProviderError)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_silence_and_slow_drips_end_at_their_deadlines():
    """No byte for `idle` seconds, or a drip past `total`, are errors."""
    quick = Timeouts(connect=1.0, idle=0.2, total=0.6)
    bench = talk([Reply(silence=5)], timeouts=quick, retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)
    assert bench.ledger.rows[0].charged == bench.ledger.rows[0].reserved
    dripping = Reply(text="word " * 2000, pause=0.05, piece=20)
    bench = talk([dripping], timeouts=quick, retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)
    bench = talk([dripping], options=InvokeOptions(timeout=0.3), retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)


def test_a_cut_answer_is_asked_for_once_more_with_a_larger_cap():
    """MAX_TOKENS twice is an error after two requests."""
    bench = talk([Reply(stop_reason="MAX_TOKENS")] * 2)
    assert type(bench.result) is OutputTruncatedError
    assert [seen.body["generationConfig"]["maxOutputTokens"] for seen in bench.server.requests] == [1000, 2000]


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"])
def test_a_filtered_answer_or_prompt_is_a_refusal_and_not_sent_again(reason):
    """Both ways of the filter, on the prompt and on the answer, end in a refusal after one request."""
    for reply in (Reply(text="", stop_reason=reason), Reply(blocked=reason)):
        bench = talk([reply] * 3)
        assert type(bench.result) is RefusalError
        assert len(bench.server.requests) == 1
        assert reason in bench.ledger.rows[0].completion.notes[0]


def test_no_key_in_any_log_error_or_repr_when_the_server_echoes_it(caplog):
    """With all loggers but the vendors' at DEBUG, a key that the server echoes shows up in no log, error or record."""
    echo = f"you sent {KEY.reveal()}"
    faults = [
        Reply(status=401, message=echo),
        Reply(status=400, message=echo, details=({**BAD_KEY, "metadata": {"key": KEY.reveal()}},)),
        Reply(status=400, body=echo.encode()),
        Reply(status=500, message="x" * 495 + echo),
        Reply(body=json.dumps([{"error": {"code": 500, "message": echo}}]).encode()),
        Reply(events=(event_bytes({"error": {"code": 500, "message": echo}}),)),
        Reply(body=f"<html>{echo}</html>".encode(), headers={"content-type": "text/html"}),
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
        assert key_of(bench.server.requests[0]) == KEY.reveal()
        assert KEY.reveal() not in bench.server.requests[0].path
    assert "canary" not in "\n".join(shown) + caplog.text


def test_characters_cut_in_halves_by_the_server_become_whole_again():
    """An emoji whose two escaped halves arrive in two chunks is one character; a lone half becomes U+FFFD."""
    halves = [
        b'data: {"candidates":[{"content":{"parts":[{"text":"' + part + b'"}]}}]}\n\n'
        for part in (rb"a\ud83d", rb"\ude00b", rb"\ud800")
    ]
    assert talk([Reply(events=(*halves, *stream_events(Reply(text=""))))]).result.text == "a\U0001f600b\ufffd"


def test_stray_environment_variables_decide_nothing(monkeypatch):
    """Keys and proxies of the environment reach no request of ours."""
    monkeypatch.setenv("GOOGLE_API_KEY", "AQ.of-somebody-else")
    monkeypatch.setenv("GEMINI_API_KEY", "AQ.of-somebody-else")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert key_of(talk(["Hello."]).server.requests[0]) == KEY.reveal()


def test_without_a_key_there_is_no_client():
    """The error names the variable to set."""
    with pytest.raises(CredentialMissingError, match="key"):
        LLMFactory(clock=ManualClock(), random=Random(0)).create_client(LLMConfig("google", "gemini"))


def test_the_extras_count_list_and_embed():
    """The client is what the seams of the layer ask for; vectors come in order, many texts in several requests."""
    texts = ["x" * length for length in range(1, 121)]

    async def use(client):
        assert isinstance(client, Embedder)
        assert isinstance(client, TokenCounter)
        assert isinstance(client, Reachable)
        found = await client.embed(texts, dimensions=2)
        return (
            found,
            await client.count_tokens(ASK, InvokeOptions(system_prompt="Be brief.")),
            await client.list_models(),
        )

    (found, counted, listed), server = direct(use)
    assert found.vectors == tuple((float(length), 0.0) for length in range(1, 121))
    assert (found.model, found.usage.input_tokens, found.usage.cost) == ("gemini-embedding-2", 36, None)
    assert (counted, listed) == (12, list(MODELS))
    assert [len(seen.body.get("requests", ())) for seen in server.requests] == [50, 50, 20, 0, 0]
    assert server.problems == []
    system = server.requests[3].body["generateContentRequest"]["systemInstruction"]
    assert system["parts"] == [{"text": "Be brief."}]


EXTRA_FAULTS = [
    (Reply(status=429), RateLimitedError),
    (Reply(status=400, details=(BAD_KEY,)), AuthenticationError),
    (Reply(status=503), ProviderUnavailableError),
    (Reply(status=307, headers={"location": "/v1beta/models"}), RequestRejectedError),
    (Reply(reset=True), ProviderUnavailableError),
    (Reply(body=b"<html>"), BadGatewayError),
    (Reply(body=b""), BadGatewayError),
    (Reply(body=b"[]"), BadGatewayError),
    (Reply(body=b'{"embeddings": [], "totalTokens": "x", "models": 3}'), BadGatewayError),
    (Reply(body=b'{"embeddings": [{"values": []}], "totalTokens": null, "models": {}}'), BadGatewayError),
    (Reply(body=b"x" * 1024 * 1024, times=6), BadGatewayError),
    (Reply(text="x", cut_at=3), ProviderUnavailableError),
]


@pytest.mark.parametrize("ability", ["embed", "count", "list"])
@pytest.mark.parametrize(("reply", "expected"), EXTRA_FAULTS)
def test_the_faults_of_the_extras_are_the_same_errors(reply, expected, ability):
    """Whatever goes wrong beside an answer is an error of this project too, with no key in it."""
    uses = {
        "embed": lambda client: client.embed(["x"]),
        "count": lambda client: client.count_tokens(ASK),
        "list": lambda client: client.list_models(),
    }
    with pytest.raises(expected) as caught:
        direct(uses[ability], [reply])
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: requests that break them are told so."""
    schema = {"properties": {"x": {"$ref": "#/y", "title": "no"}}, "pattern": "a"}
    body = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"text": "a", "inlineData": {}}]},
        ],
        "generationConfig": {"responseJsonSchema": schema, "novelty": 1},
    }
    path = "/v1beta/models/x:streamGenerateContent?alt=sse"
    assert len(broken_rules(Seen("POST", path, {"authorization": "Bearer k"}, json.dumps(body).encode()))) == 7
    assert len(broken_rules(Seen("POST", "/v1/models/x:generate?key=k", {"x-goog-api-key": "k"}, b"[]"))) == 3


def test_every_window_of_the_catalog_is_that_of_the_price_table():
    """No window is invented: each is the installed table's, and a model that it does not know has none."""
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    for name, facts in load_catalog()["google"].models.items():
        if not facts.successor or facts.window is not None:
            assert snapshot.find_provider_model(name, None, "google", None)[1].context_window == facts.window, name


@pytest.mark.parametrize("name", ["gemini-1.5-pro", "gemini-2.0-flash"])
def test_a_model_that_is_gone_names_its_successor(name):
    """What many still have in their configuration is answered with what to use in its place."""
    with pytest.raises(ConfigError, match=rf"{name}.*gemini-3\.8-flash"):
        resolve_model("google", name, now=NOW)
    assert resolve_model("google", "gemini", now=NOW).name == "gemini-3.8-flash"
    assert resolve_model("google", "cheap", now=NOW).name == "gemini-3.5-flash-lite"
