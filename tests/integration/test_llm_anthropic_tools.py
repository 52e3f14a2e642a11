"""Tools, images, counting and listing on Anthropic's wire, over real HTTP and beside what the vendor's SDK sends."""

from __future__ import annotations

import asyncio
import base64
from random import Random

import anthropic
import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    BadGatewayError,
    PromptTooLargeError,
    ProviderError,
    ProviderUnavailableError,
    RequestRejectedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import Reachable, TokenCounter, innermost
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.meter import IMAGE_TOKENS, estimate_prompt
from orchestrator_v2.llm.providers.anthropic_tools import wire_tools
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.tool_loop import run_with_tools
from orchestrator_v2.llm.tools import ToolRegistry
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply, event_bytes, stream_events
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = "sk-ant-api03-planted-canary-value"
TOKEN = "sk-ant-oat01-planted-canary-token"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
AREA = {
    "type": "object",
    "properties": {"width": {"type": "integer", "minimum": 0}, "unit": {"type": "string", "default": "m"}},
    "required": ["width"],
}
OPEN = {"type": "object", "additionalProperties": {"type": "string"}}
TOOLS = (ToolSpec("area", "The area.", AREA), ToolSpec("note", "Notes anything.", OPEN))
OPTIONS = InvokeOptions(max_tokens=1000, tools=TOOLS)
ASK = (Message("user", "How large is it?"),)
DIALOGUE = (
    Message("user", "How large?", stable=True, images=(Image(PNG),)),
    Message("assistant", "Let me see.", tool_calls=(ToolCall("toolu_1", "area", {"width": 2}),)),
    Message("user", "", tool_results=(ToolResult("toolu_1", "no ruler", is_error=True),)),
    Message("user", "And now?"),
)


class Bench:
    def __init__(self) -> None:
        self.ledger = MemoryCallLedger()
        self.server: FakeAnthropic | None = None
        self.result = None


def talk(replies, work, *, key=KEY, model="claude-sonnet-5-5", retry=None, **server):
    """What `work(client)` gave or raised, against a server with these replies; nothing breaks a rule."""
    bench = Bench()

    async def go():
        async with FakeAnthropic(replies, **server) as bench.server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("anthropic", model, Secret(key), bench.server.base_url)
            client = factory.create_client(config, ledger=bench.ledger, retry=retry)
            try:
                bench.result = await work(client)
            except ProviderError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    assert bench.server.problems == []
    return bench


def ask(messages=ASK, options=OPTIONS):
    return lambda client: client.invoke(messages, options, key="a/1")


def sent(messages=ASK, options=OPTIONS, **more):
    """The body of one call."""
    return talk(["Hello."], ask(messages, options), **more).server.requests[0].body


def test_calls_of_tools_are_put_together_from_their_pieces():
    """Several calls, one without arguments, with text before them, come whole and in order, and are charged."""
    uses = (("toolu_1", "area", '{"width": 2, "unit": "größe \\u00fc"}'), ("toolu_2", "note", ""))
    bench = talk([Reply(text="Let me see.", tool_uses=uses)], ask())
    assert bench.result.finish_reason == "tool_use"
    assert bench.result.text == "Let me see."
    assert bench.result.tool_calls == (
        ToolCall("toolu_1", "area", {"width": 2, "unit": "größe ü"}),
        ToolCall("toolu_2", "note", {}),
    )
    assert bench.ledger.rows[0].completion.tool_calls == bench.result.tool_calls
    assert bench.result.cost > 0


@pytest.mark.parametrize(
    "arguments",
    ['{"width": ', "[1]", "12", '{"a": 1, "a": 2}', '{"a": NaN}', 'Sure: {"width": 2}', '{"a":' * 70 + "1" + "}" * 70],
)
def test_arguments_that_are_no_json_object_are_asked_for_once_more(arguments):
    """Broken or hostile arguments never become a call: one more sending, then an error; each is charged as reserved."""
    broken = Reply(tool_uses=(("toolu_1", "area", arguments),))
    good = Reply(tool_uses=(("toolu_1", "area", '{"width": 1}'),))
    assert talk([broken, good], ask()).result.tool_calls[0].arguments == {"width": 1}
    bench = talk([broken] * 3, ask())
    assert type(bench.result) is BadGatewayError
    assert [row.charged == row.reserved > 0 for row in bench.ledger.rows] == [True, True]


def test_what_is_no_tool_call_is_an_error():
    """Two calls of one id, an end by tool_use without a call, arguments for no call: bad gateway content."""
    twice = Reply(tool_uses=(("toolu_1", "area", "{}"), ("toolu_1", "note", "{}")))
    nothing = Reply(stop_reason="tool_use")
    whole = stream_events(Reply())
    stray = event_bytes(
        {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    )
    for bad in (twice, nothing, Reply(events=(*whole[:3], stray, *whole[3:]))):
        assert type(talk([bad, bad], ask()).result) is BadGatewayError


def test_no_cut_of_a_stream_with_tools_gives_an_answer():
    """Wherever the connection ends, there is an error and never a part of a call."""
    whole = Reply(text="Hm.", tool_uses=(("toolu_1", "area", '{"width": 2}'),))
    length = sum(map(len, stream_events(whole)))

    async def each(client):
        return [await failed(client) for _ in range(10, length, 97)]

    async def failed(client):
        try:
            await client.invoke(ASK, OPTIONS, key="a/1")
        except ProviderError as error:
            return error

    cuts = [msgspec.structs.replace(whole, cut_at=at, polite=True) for at in range(10, length, 97)]
    results = talk(cuts, each, retry=RetryConfig(max_attempts=1)).result
    assert len(results) > 10
    assert all(isinstance(result, ProviderError) for result in results)


def test_a_paused_turn_is_an_error_that_is_not_sent_again():
    """The vendor pauses for tools that it runs itself; none were asked for, so there is nothing to go on with."""
    bench = talk([Reply(stop_reason="pause_turn")], ask())
    assert type(bench.result) is RequestRejectedError
    assert "paused" in bench.result.why
    assert (len(bench.server.requests), bench.ledger.rows[0].charged) == (1, bench.ledger.rows[0].reserved)


def test_turns_hold_calls_results_and_images_as_the_wire_wants_them():
    """Results open the user's turn, calls close the assistant's, images stand before the text, one block is cached."""
    body = sent(DIALOGUE)
    first, said, answered = body["messages"]
    assert [block["type"] for block in first["content"]] == ["image", "text"]
    assert base64.b64decode(first["content"][0]["source"]["data"]) == PNG
    assert first["content"][1]["cache_control"] == {"type": "ephemeral"}
    assert said["content"][1] == {"type": "tool_use", "id": "toolu_1", "name": "area", "input": {"width": 2}}
    assert [block["type"] for block in answered["content"]] == ["tool_result", "text"]
    assert answered["content"][0]["is_error"] is True


def test_without_cache_nothing_is_marked_and_images_of_the_options_go_to_the_last_turn():
    """`cache=False` sends no cache_control at all; `images` stand before the user's last words."""
    options = msgspec.structs.replace(OPTIONS, cache=False, images=(Image(b"GIF89a", "image/gif"),))
    bench = talk(["Hello."], ask(DIALOGUE, options))
    assert b"cache_control" not in bench.server.requests[0].raw
    last = bench.server.requests[0].body["messages"][-1]["content"]
    assert [block["type"] for block in last] == ["tool_result", "image", "text"]
    assert last[1]["source"]["media_type"] == "image/gif"


def test_tools_are_strict_where_the_model_and_the_schema_allow_it():
    """A closed schema is enforced, an open or recursive one goes as it stands, as does any for an older model."""
    first, second = sent()["tools"]
    assert (first["strict"], first["input_schema"]["additionalProperties"]) == (True, False)
    assert "minimum: 0" in first["input_schema"]["properties"]["width"]["description"]
    assert second == {"name": "note", "description": "Notes anything.", "input_schema": OPEN}
    assert sent(model="glm-5.3")["tools"][0]["input_schema"] == AREA
    tree = {"type": "object", "properties": {"node": {"$ref": "#/$defs/Node"}}, "required": ["node"]}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    recursive = ToolSpec("tree", "A tree.", {**tree, "$defs": {"Node": node}})
    assert "strict" not in wire_tools([recursive], strict=True)[0]


def test_no_more_is_held_strict_than_the_vendor_takes():
    """Twenty strict tools and twenty-four optional parameters in all, those of the answer's schema included."""
    many = [ToolSpec(f"t{n}", "T.", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
            for n in range(25)]  # fmt: skip
    assert [bool(tool.get("strict")) for tool in wire_tools(many, strict=True)] == [True] * 20 + [False] * 5
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(10)}}
    tools = [ToolSpec(f"w{n}", "W.", wide) for n in range(3)]
    assert sum(bool(tool.get("strict")) for tool in wire_tools(tools, strict=True)) == 2
    assert sum(bool(tool.get("strict")) for tool in wire_tools(tools, strict=True, response_schema=wide)) == 1


def test_a_conversation_with_tools_over_the_wire():
    """Wish, call, result, answer: the rounds follow the wire's rules, and a resume sends nothing."""

    def area(width: int, unit: str = "m") -> str:
        """The area of a square."""
        return f"{width * width} {unit}2"

    registry = ToolRegistry()
    registry.add(area)
    ledger = MemoryCallLedger()
    uses = (("toolu_1", "area", '{"width": 3}'), ("toolu_2", "area", '{"width": "x"}'))
    replies = [Reply(text="Let me see.", tool_uses=uses), "Nine."]

    async def go(client):
        options = InvokeOptions(max_tokens=1000)
        first = await run_with_tools(client, "How large?", registry, options, key="a/1")
        return first, await run_with_tools(client, "How large?", registry, options, key="a/1")

    bench = talk(replies, go)
    first, again = bench.result
    assert (first.text, again.text, again.recorded) == ("Nine.", "Nine.", True)
    assert len(bench.server.requests) == 2
    results = bench.server.requests[1].body["messages"][-1]["content"]
    assert [result.get("is_error", False) for result in results] == [False, True]
    assert results[0]["content"] == "9 m2"
    assert ledger.rows == []


def test_tokens_are_counted_by_the_vendor_for_the_whole_request():
    """The count goes to its own endpoint with all that is input and nothing else, for a key as for a token."""
    options = msgspec.structs.replace(OPTIONS, system_prompt="Be brief.", stop_sequences=("END",))
    for key in (KEY, TOKEN):
        bench = talk([], lambda client: client.count_tokens(DIALOGUE, options), key=key, tokens=321)
        assert bench.result == 321
        (seen,) = bench.server.requests
        assert (seen.method, seen.path) == ("POST", "/v1/messages/count_tokens")
        assert set(seen.body) == {"model", "messages", "system", "tools"}
    assert type(talk([], lambda client: client.count_tokens("Hello")).result) is RequestRejectedError


def test_the_models_of_a_server_are_listed_over_all_pages():
    """Every page is read, retired models are left out; the client says by its type that it can do this."""
    models = [{"id": f"m-{n}", "lifecycle": "retired" if n == 1 else "active"} for n in range(5)]

    async def go(client):
        own = innermost(client.chain)
        assert isinstance(own, Reachable)
        assert isinstance(own, TokenCounter)
        return await own.list_models()

    bench = talk([], go, models=models)
    assert bench.result == ["m-0", "m-2", "m-3", "m-4"]
    assert [seen.path for seen in bench.server.requests] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=m-1",
        "/v1/models?limit=1000&after_id=m-3",
    ]


def near_window(client, *, tokens):
    """A prompt that the estimate puts `tokens` over the window of the model (under it, where negative)."""
    window = client.info.facts.window
    text = "word " * 1000
    each = estimate_prompt(client.info, [Message("user", text * 2)], OPTIONS)
    each -= estimate_prompt(client.info, [Message("user", text)], OPTIONS)
    missing = window + tokens - OPTIONS.max_tokens - estimate_prompt(client.info, [Message("user", "")], OPTIONS)
    return (Message("user", text * max(1, missing // each + 1)),)


MODEL = "claude-haiku-4-5"


@pytest.mark.parametrize(
    ("estimate_over", "counted", "fits"),
    [(20_000, 150_000, True), (-20_000, 199_500, False), (20_000, None, False), (-20_000, None, True)],
    ids=["counted small", "counted large", "estimated large", "estimated small"],
)
def test_near_the_window_the_vendors_count_decides_where_it_has_one(estimate_over, counted, fits):
    """An estimate within 20 % is not believed against a count; without a count it decides. Nothing else is sent."""

    async def go(client):
        return await client.invoke(near_window(client, tokens=estimate_over), OPTIONS, key="a/1")

    bench = talk(["Hello."], go, model=MODEL, tokens=counted)
    paths = [seen.path.rpartition("/")[2] for seen in bench.server.requests]
    if fits:
        assert bench.result.text == "Hello."
        assert paths.count("messages") == 1
    else:
        assert type(bench.result) is PromptTooLargeError
        assert bench.result.over_by == (500 if counted else pytest.approx(estimate_over, abs=3_000))
        assert f"{bench.result.over_by:,} more than" in str(bench.result)
        assert "messages" not in paths
        assert bench.ledger.rows == []
    assert paths.count("count_tokens") == (1 if counted else 2 if fits else 1)


def test_far_from_the_window_nobody_is_asked():
    """A small prompt is sent without a count, a far too large one refused without one."""

    async def small(client):
        return await client.invoke(ASK, OPTIONS, key="a/1")

    async def large(client):
        return await client.invoke(near_window(client, tokens=100_000), OPTIONS, key="a/1")

    assert len(talk(["Hello."], small, model=MODEL, tokens=1).server.requests) == 1
    bench = talk(["Hello."], large, model=MODEL, tokens=1)
    assert type(bench.result) is PromptTooLargeError
    assert bench.server.requests == []


def test_a_count_that_cannot_be_had_for_now_is_a_fault_like_any_other():
    """A server that is down while it counts is retried, and costs nothing."""

    async def go(client):
        return await client.invoke(near_window(client, tokens=-20_000), OPTIONS, key="a/1")

    class Down(FakeAnthropic):
        def _next(self, seen):
            return Reply(status=503)

    async def against():
        async with Down() as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            client = factory.create_client(LLMConfig("anthropic", MODEL, Secret(KEY), server.base_url))
            with pytest.raises(ProviderUnavailableError) as caught:
                await go(client)
            await factory.aclose()
            return caught.value, len(server.requests)

    error, requests = asyncio.run(against())
    assert (error.unbilled, requests) == (True, 3)


def test_tools_results_and_images_count_into_the_estimate():
    """Each makes the estimate larger, an image by the most that one can be."""

    async def go(client):
        def estimate(messages, **fields):
            return estimate_prompt(client.info, messages, InvokeOptions(**fields))

        bare = estimate(ASK)
        result = Message("user", "", tool_results=(ToolResult("1", "x" * 4000),))
        wish = Message("assistant", "", tool_calls=(ToolCall("1", "area", {"text": "x" * 4000}),))
        assert estimate(ASK, tools=TOOLS) > bare + 800
        assert estimate((*ASK, result)) > bare + 1000
        assert estimate((*ASK, wish)) > bare + 1000
        assert estimate(ASK, images=(Image(PNG),)) == bare + IMAGE_TOKENS
        assert estimate((Message("user", ASK[0].content, images=(Image(PNG),) * 2),)) == bare + 2 * IMAGE_TOKENS
        return await client.invoke(ASK, msgspec.structs.replace(OPTIONS, images=(Image(PNG),) * 8), key="a/1")

    usage = {"input_tokens": 39_000, "output_tokens": 5}
    assert talk([Reply(usage=usage)], go).result.notes == ()


async def theirs(base_url):
    """The same three requests by the vendor's SDK."""
    sdk = anthropic.AsyncAnthropic(api_key=KEY, base_url=base_url, max_retries=0)
    image = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    cached = {"type": "text", "text": "How large?", "cache_control": {"type": "ephemeral"}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "area", "input": {"width": 2}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no ruler", "is_error": True}
    messages = [
        {"role": "user", "content": [{"type": "image", "source": image}, cached]},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, use]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    strict = {"name": "area", "description": "The area.", "strict": True}
    tools = [
        {**strict, "input_schema": anthropic.transform_schema(AREA)},
        {"name": "note", "description": "Notes anything.", "input_schema": OPEN},
    ]
    common = {"model": "claude-sonnet-5-5", "messages": messages, "tools": tools}
    async with sdk.messages.stream(max_tokens=1000, **common) as stream:
        message = await stream.get_final_message()
    count = await sdk.messages.count_tokens(**common)
    models = [model.id async for model in sdk.models.list(limit=1000) if model.lifecycle != "retired"]
    await sdk.close()
    return message, count.input_tokens, models


def test_the_vendors_sdk_sends_the_same_and_reads_the_same():
    """Bodies with tools, results, images and cache are the same; calls, count and models are read alike."""
    models = [{"id": f"m-{n}", "lifecycle": "active"} for n in range(3)]
    reply = Reply(text="Let me see.", tool_uses=(("toolu_9", "area", '{"width": 2}'), ("toolu_8", "note", "{}")))

    async def go(client):
        mine = await client.invoke(DIALOGUE, OPTIONS, key="a/1")
        count = await client.count_tokens(DIALOGUE, OPTIONS)
        names = await innermost(client.chain).list_models()
        return mine, count, names, *await theirs(innermost(client.chain)._connection.info.base_url)

    bench = talk([reply, reply], go, tokens=77, models=models)
    mine, count, names, message, their_count, their_names = bench.result
    half = len(bench.server.requests) // 2
    for ours, sdks in zip(bench.server.requests[:half], bench.server.requests[half:], strict=True):
        assert (ours.method, ours.body) == (sdks.method, sdks.body)
        assert ours.path.partition("?")[0] == sdks.path.partition("?")[0]
    blocks = [block for block in message.content if block.type == "tool_use"]
    assert [(call.id, call.name, call.arguments) for call in mine.tool_calls] == [
        (block.id, block.name, block.input) for block in blocks
    ]
    assert (count, names) == (their_count, their_names)


STRICT = {"name": "a", "strict": True, "input_schema": {"type": "object"}}
UNANSWERED = {"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}
BAD_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"name": "a b", "input_schema": {"type": "object"}}]},
        {"tools": [STRICT]},
        {"messages": [UNANSWERED, {"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}]},
        {"messages": [{"role": "user", "content": [BAD_IMAGE]}]},
    ],
)
def test_the_strict_server_knows_the_rules_of_tools_and_images(body):
    """Each rule of the fake that these tests lean on is able to say no."""
    plain = set(broken_rules(Seen("POST", "/v1/messages", {}, b"{}")))
    assert set(broken_rules(Seen("POST", "/v1/messages", {}, msgspec.json.encode(body)))) - plain
