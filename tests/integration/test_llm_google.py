"""What is Google's alone: how its wire writes a request, its words for errors, its vectors; over real HTTP.

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
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RefusalError,
    RequestRejectedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import Embedder, Reachable, TokenCounter
from orchestrator_v2.llm.catalog import load_catalog, resolve_model
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers.google import GoogleProvider
from orchestrator_v2.llm.providers.google_schema import known_schema
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_google import MODELS, FakeGoogle, Reply, event_bytes
from orchestrator_v2.testing.fake_server import Seen
from orchestrator_v2.testing.google_rules import broken_rules, text_of
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("AQ.planted-canary-value")
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)
WEATHER = ToolSpec("weather", "What the sky does.", {"type": "object", "properties": {"city": {"type": "string"}}})
WISH = {"functionCall": {"id": "call_9", "name": "weather", "args": {"city": "Ulm"}}, "thoughtSignature": "c2ln"}
# July 2026: before the prices of the newer models change.
NOW = 1_783_000_000.0


class Bench:
    """What one conversation with the fake server left behind."""

    def __init__(self):
        self.clock = ManualClock(auto=True)
        self.ledger = MemoryCallLedger()
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, path="", model="gemini-3.5-flash"):
    """Sends one call through the whole chain; the result is the Completion or the error. No rule is broken."""
    bench = Bench()

    async def go():
        async with FakeGoogle(replies) as bench.server:
            factory = LLMFactory(clock=bench.clock, random=Random(0))
            config = LLMConfig("google", model, KEY, bench.server.base_url + path)
            client = factory.create_client(config, ledger=bench.ledger)
            try:
                bench.result = await client.invoke(messages, options, key="a/1")
            except ProviderError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    assert bench.server.problems == []
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


def test_thoughts_are_paid_for_and_no_text():
    """What was thought aloud counts as output and is not in the answer; cached tokens are inside the total."""
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
    }
    done = talk([Reply(usage=usage, parts=({"text": "Hm, a clock.", "thought": True},))]).result
    assert (done.text, done.request_id) == ("Hello.", "resp_fake")
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.cache_read_tokens) == (100, 50, 40)
    assert done.cost == 60 * 1500 + 40 * 150 + 50 * 9000


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


@pytest.mark.parametrize("path", ["/v1beta", "/v1beta/"])
def test_a_base_url_may_name_the_version_itself(path):
    """The version is not put behind itself."""
    bench = talk(["Hello."], path=path)
    assert bench.server.requests[0].path.startswith("/v1beta/models/")


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
# Beside those of the contract (tests/contracts/provider_faults.py).
FAULTS = [
    ("429 spend", Reply(status=429, message="Your prepayment credits are depleted."), QuotaExhaustedError, 1),
    ("bad key", Reply(status=400, message="API key not valid.", details=(BAD_KEY,)), AuthenticationError, 1),
    ("nothing in it", Reply(events=(event_bytes({"usageMetadata": {}}),)), BadGatewayError, 2),
    ("malformed call", Reply(stop_reason="MALFORMED_FUNCTION_CALL"), BadGatewayError, 2),
    ("no code", Reply(events=(event_bytes({"error": {"message": "odd"}}),)), ProviderUnavailableError, 3),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_of_this_wire_is_its_error_and_sent_as_often_as_it_should(reply, expected, attempts):
    """Class, number of requests, and free only where it was refused."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.charged == 0 for row in bench.ledger.rows} == {attempts == 1}


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


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"])
def test_a_filtered_answer_or_prompt_is_a_refusal_and_not_sent_again(reason):
    """Both ways of the filter, on the prompt and on the answer, end in a refusal after one request."""
    for reply in (Reply(text="", stop_reason=reason), Reply(blocked=reason)):
        bench = talk([reply] * 3)
        assert type(bench.result) is RefusalError
        assert len(bench.server.requests) == 1
        assert reason in bench.ledger.rows[0].completion.notes[0]


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


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: requests that break them are told so."""
    schema = {"properties": {"x": {"$ref": "#/y", "title": "no"}}, "pattern": "a"}
    body = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"text": "a", "inlineData": {}}]},
        ],
        "generationConfig": {"responseJsonSchema": schema, "novelty": 1, "thinkingConfig": {"thinkingLevel": "much"}},
    }
    path = "/v1beta/models/x:streamGenerateContent?alt=sse"
    assert len(broken_rules(Seen("POST", path, {"authorization": "Bearer k"}, json.dumps(body).encode()))) == 8
    assert len(broken_rules(Seen("POST", "/v1/models/x:generate?key=k", {"x-goog-api-key": "k"}, b"[]"))) == 3


def test_every_window_of_the_catalog_is_that_of_the_price_table():
    """No window is invented: each is the installed table's, and a model that it does not know has none."""
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    for name, facts in load_catalog()["google"].models.items():
        if not facts.successor or facts.window is not None:
            assert snapshot.find_provider_model(name, None, "google", None)[1].context_window == facts.window, name
