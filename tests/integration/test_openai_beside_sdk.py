"""What is sent on the OpenAI-compatible wire laid beside what the vendor's own SDK sends for the same call."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.providers.openai_schema import enforced_schema
from orchestrator_v2.llm.types import Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult, ToolSpec
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply

KEY = "sk-proj-planted-canary-value"
TOLD = ("authorization", "content-type", "accept-encoding")
PATH = "/openai/v1"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
TOOL = {"name": "weather", "description": "The weather.", "parameters": SCHEMA, "strict": True}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"name":"Kiel"}'}}
TALK = (
    Message("user", "Look.", images=(Image(b"png"),)),
    Message("assistant", "", tool_calls=(ToolCall("call_1", "weather", {"name": "Kiel"}),)),
    Message("user", "And now?", tool_results=(ToolResult("call_1", "rain"),)),
)
# Each call as ours, and as the SDK's.
CALLS = {
    "schema": (
        "gpt-6.1-terra",
        [Message("user", "Build a clock.")],
        InvokeOptions(max_tokens=77, system_prompt="Be brief.", response_schema=SCHEMA, seed=5),
        {
            "max_completion_tokens": 77,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Build a clock."}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
            "seed": 5,
        },
    ),
    "sampling": (
        "gpt-4o",
        [Message("user", "Build a clock.")],
        InvokeOptions(max_tokens=77, temperature=0.5, top_p=0.9, stop_sequences=("END",)),
        {
            "max_completion_tokens": 77,
            "messages": [{"role": "user", "content": "Build a clock."}],
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["END"],
        },
    ),
    "reasoning": (
        "gpt-6.1-terra",
        [Message("user", "Build a clock.")],
        InvokeOptions(max_tokens=77, reasoning="xhigh"),
        {
            "max_completion_tokens": 77,
            "messages": [{"role": "user", "content": "Build a clock."}],
            "reasoning_effort": "xhigh",
        },
    ),
    "tools": (
        "gpt-6.1-terra",
        TALK,
        InvokeOptions(max_tokens=77, tools=(ToolSpec("weather", "The weather.", SCHEMA),)),
        {
            "max_completion_tokens": 77,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look."},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
                    ],
                },
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
                {"role": "user", "content": "And now?"},
            ],
            "tools": [{"type": "function", "function": TOOL}],
        },
    ),
}


def both(ours, theirs, replies):
    """The requests of `ours(client)` and of `theirs(sdk)` for the same server, and what each gave."""
    import openai  # reading it takes a second, in each worker of a test run

    async def go():
        async with FakeOpenAI(replies) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            mine = await ours(factory, server.base_url + PATH)
            await factory.aclose()
            sdk = openai.AsyncOpenAI(
                api_key=KEY,
                base_url=server.base_url + PATH,
                max_retries=0,
                default_headers={"Accept-Encoding": "identity"},
            )
            sdks = await theirs(sdk)
            await sdk.close()
            assert server.problems == []
            return server.requests, mine, sdks

    return asyncio.run(go())


def client_of(factory, base_url, model):
    return factory.create_client(LLMConfig("openai", model, Secret(KEY), base_url))


@pytest.mark.parametrize("name", CALLS)
def test_the_request_is_the_one_that_the_vendors_sdk_sends(name):
    """Method, path, body and credential are the same, with a schema, with sampling, with tools and images."""
    model, messages, options, arguments = CALLS[name]

    async def ours(factory, base_url):
        return await client_of(factory, base_url, model).invoke(messages, options)

    async def theirs(sdk):
        stream = await sdk.chat.completions.create(
            model=model, stream=True, stream_options={"include_usage": True}, **arguments
        )
        return [chunk async for chunk in stream]

    (mine, sdks), _, _ = both(ours, theirs, ["{}", "{}"])
    assert (mine.method, mine.path, mine.body) == (sdks.method, sdks.path, sdks.body)
    assert [mine.headers.get(header) for header in TOLD] == [sdks.headers.get(header) for header in TOLD]


def test_the_answer_is_the_one_that_the_vendors_sdk_reads():
    """Text, calls of tools, usage and finish reason of one stream are the same, read by either."""
    reply = Reply(
        text="Let me see what the weather is.",
        reasoning="Hm, a question.",
        tool_calls=(("call_1", "weather", '{"name": "Kiel"}'), ("call_2", "weather", '{"name": "Bonn"}')),
        stop_reason="tool_calls",
    )

    async def ours(factory, base_url):
        return await client_of(factory, base_url, "gpt-6.1-terra").invoke([Message("user", "Build a clock.")])

    async def theirs(sdk):
        async with sdk.chat.completions.stream(
            model="gpt-6.1-terra",
            max_completion_tokens=16_000,
            messages=[{"role": "user", "content": "Build a clock."}],
            stream_options={"include_usage": True},
        ) as stream:
            return await stream.get_final_completion()

    _, mine, sdks = both(ours, theirs, [reply, reply])
    message = sdks.choices[0].message
    assert mine.text == message.content
    assert [(call.id, call.name, call.arguments) for call in mine.tool_calls] == [
        (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls
    ]
    assert (mine.finish_reason, sdks.choices[0].finish_reason) == ("tool_use", "tool_calls")
    assert (mine.usage.input_tokens, mine.usage.output_tokens) == (
        sdks.usage.prompt_tokens,
        sdks.usage.completion_tokens,
    )


def test_models_and_vectors_are_asked_for_as_by_the_vendors_sdk():
    """GET /models and POST /embeddings: the same requests, the same vectors."""

    async def ours(factory, base_url):
        client = client_of(factory, base_url, "text-embedding-3-small")
        return await client._own.list_models(), (await client.embed(["a", "bc"], dimensions=3)).vectors

    async def theirs(sdk):
        models = sorted([model.id async for model in sdk.models.list()])
        found = await sdk.embeddings.create(
            model="text-embedding-3-small", input=["a", "bc"], dimensions=3, encoding_format="float"
        )
        vectors = sorted(found.data, key=lambda vector: vector.index)
        return models, tuple(tuple(vector.embedding) for vector in vectors)

    requests, mine, sdks = both(ours, theirs, [])
    assert mine == sdks
    assert [(r.method, r.path, r.body, r.key) for r in requests[:2]] == [
        (r.method, r.path, r.body, r.key) for r in requests[2:]
    ]


def test_azure_is_reached_as_by_the_vendors_sdk():
    """The deployment is the model and the path is that of Azure's v1; the key has the header of the SDK for Azure."""
    import openai

    arguments = {
        "model": "my-deployment",
        "max_completion_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    async def ours(factory, base_url):
        config = LLMConfig("azure", "my-deployment", Secret(KEY), base_url + "/")
        await factory.create_client(config).invoke([Message("user", "Hi")], InvokeOptions(max_tokens=9))

    async def theirs(sdk):
        azure = openai.AsyncAzureOpenAI(api_key=KEY, base_url=str(sdk.base_url), api_version="v1", max_retries=0)
        for client in (sdk, azure):
            async for _ in await client.chat.completions.create(**arguments):
                pass
        await azure.close()

    (mine, plain, azures), _, _ = both(ours, theirs, [])
    assert (mine.body, mine.path) == (plain.body, plain.path)
    assert mine.headers["api-key"] == azures.headers["api-key"] == KEY
    assert "authorization" not in mine.headers


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    kind: Literal["a", "b"]


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    parts: list[Part]
    first: Part | None


def test_a_strict_schema_is_strict_for_the_vendors_sdk_too():
    """A schema that we send as strict is one that the SDK's own narrowing leaves as it is."""
    from openai.lib._pydantic import to_strict_json_schema

    form = enforced_schema(Whole.model_json_schema())
    assert form["strict"]
    assert form["schema"] == to_strict_json_schema(Whole)
