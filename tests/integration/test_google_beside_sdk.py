"""What is sent to Google laid beside what the vendor's own SDK sends for the same call."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import resolve_model
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers.google import GoogleProvider
from orchestrator_v2.llm.providers.google_schema import _MANY, _NAMED, _ONE, _PLAIN
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_google import FakeGoogle

KEY = "AQ.planted-canary-value"
MODEL = "gemini-3.5-flash"
TOLD = ("x-goog-api-key", "content-type", "authorization")
PIXEL = b"\x89PNG pixel"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}},
    "$defs": {"Part": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}},
    "required": ["name"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPTIONS = InvokeOptions(
    max_tokens=77,
    system_prompt="Be brief.",
    stop_sequences=("END",),
    response_schema=SCHEMA,
    temperature=0.5,
    top_p=0.9,
    seed=7,
    reasoning="minimal",
    tools=(ToolSpec("weather", "What the sky does.", PARAMETERS),),
)
CALL = ToolCall("call_9", "weather", {"city": "Ulm"}, signature="c2ln")
MESSAGES = [
    Message("user", "Build a clock.", images=(Image(PIXEL, "image/png"),)),
    Message("assistant", "Wait.", tool_calls=(CALL,)),
    Message("user", "Go on.", tool_results=(ToolResult("call_9", "rain"),)),
]


def sdk_of(server: FakeGoogle) -> Any:
    from google import genai  # reading it takes a second, in each worker of a test run
    from google.genai import types

    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.base_url, api_version="v1beta"))


def both(mine, theirs):
    """The requests of our client and of the SDK's, as the strict server saw them."""

    async def go():
        async with FakeGoogle(default="{}") as server:
            config = LLMConfig("google", MODEL, Secret(KEY), server.base_url)
            info = resolve_model("google", MODEL, now=0.0, base_url=server.base_url)
            pool, clock = ClientPool(), ManualClock(auto=True)
            connection = Connection(config, info, pool, clock, lambda name: None, Timeouts(), Lane())
            await mine(GoogleProvider().connect(connection))
            await pool.aclose()
            sdk = sdk_of(server).aio
            await theirs(sdk)
            await sdk.aclose()
            assert server.problems == []
            return server.requests

    return asyncio.run(go())


def camel(value):
    """The SDK writes some names as `mime_type`; protobuf's JSON takes both spellings for one field."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): camel(each) for name, each in value.items()}
    return value


def assert_same(mine, sdks):
    assert (mine.method, mine.path) == (sdks.method, sdks.path)
    assert mine.body == camel(sdks.body)
    told = [{name: seen.headers.get(name) for name in TOLD} for seen in (mine, sdks)]
    assert told[0] == told[1]


def test_the_request_is_the_one_that_the_vendors_sdk_sends():
    """Path, key header and body are the same: system text, schema, tools, call, result with its signature, picture."""
    from google.genai import types

    contents = [
        types.Content(
            role="user",
            parts=[types.Part.from_bytes(data=PIXEL, mime_type="image/png"), types.Part(text="Build a clock.")],
        ),
        types.Content(
            role="model",
            parts=[
                types.Part(text="Wait."),
                types.Part(
                    function_call=types.FunctionCall(id="call_9", name="weather", args={"city": "Ulm"}),
                    thought_signature=b"sig",
                ),
            ],
        ),
        types.Content(
            role="user",
            parts=[
                types.Part(
                    function_response=types.FunctionResponse(id="call_9", name="weather", response={"output": "rain"})
                ),
                types.Part(text="Go on."),
            ],
        ),
    ]
    config = types.GenerateContentConfig(
        max_output_tokens=77,
        system_instruction="Be brief.",
        stop_sequences=["END"],
        response_mime_type="application/json",
        response_json_schema=SCHEMA,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.MINIMAL),
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name="weather", description="What the sky does.", parameters_json_schema=PARAMETERS
                    )
                ]
            )
        ],
    )

    async def mine(client):
        await client.invoke(MESSAGES, OPTIONS)

    async def theirs(sdk):
        stream = await sdk.models.generate_content_stream(model=MODEL, contents=contents, config=config)
        assert [chunk.text async for chunk in stream] == ["{}"]

    assert_same(*both(mine, theirs))


def test_vectors_are_asked_for_as_the_vendors_sdk_asks():
    """Path and body of `embed` are the same, with and without a size."""
    from google.genai import types

    texts = ["one", "three"]

    async def mine(client):
        await client.embed(texts)
        await client.embed(texts, dimensions=5)

    async def theirs(sdk):
        contents = [types.Content(role="user", parts=[types.Part(text=text)]) for text in texts]
        for size in (None, 5):
            config = types.EmbedContentConfig(output_dimensionality=size)
            found = await sdk.models.embed_content(model="gemini-embedding-2", contents=contents, config=config)
            assert [each.values[0] for each in found.embeddings] == [3, 5]

    first, second, third, fourth = both(mine, theirs)
    assert_same(first, third)
    assert_same(second, fourth)


def test_tokens_are_counted_and_models_listed_where_the_vendors_sdk_does():
    """The paths are the same; our count takes the whole request, of which the SDK leaves out the system text."""

    async def mine(client):
        options = InvokeOptions(system_prompt="Be brief.")
        assert await client.count_tokens([Message("user", "Build a clock.")], options) == 12
        assert await client.list_models()

    async def theirs(sdk):
        counted = await sdk.models.count_tokens(model=MODEL, contents="Build a clock.")
        assert counted.total_tokens == 12
        assert [model.name async for model in await sdk.models.list()]

    counted, listed, sdk_counted, sdk_listed = both(mine, theirs)
    assert (counted.method, counted.path) == (sdk_counted.method, sdk_counted.path)
    assert counted.body["generateContentRequest"]["contents"] == sdk_counted.body["contents"]
    assert (listed.method, listed.path.split("?")[0]) == (sdk_listed.method, sdk_listed.path.split("?")[0])


def test_the_words_of_a_schema_are_those_that_the_sdk_documents():
    """The list of keywords that Google takes is the one that stands in the SDK's own description of the field."""
    from google.genai import types

    described = types.GenerateContentConfig.model_fields["response_json_schema"].description
    listed = described.split("supported:")[1].split("required`")[0] + "required`"
    theirs = {word.strip("`") for word in listed.split() if word.startswith("`")} - {"anyOf`)"}
    assert theirs | {"propertyOrdering"} == {*_PLAIN, *_ONE, *_MANY, *_NAMED, "$ref"}
