"""What is sent to Anthropic laid beside what the vendor's own SDK sends for the same call."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.providers.anthropic_headers import PRESENT_VERSION
from orchestrator_v2.llm.strict_schema import FORMATS, strict_schema
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic

KEY = "sk-ant-api03-planted-canary-value"
TOKEN = "sk-ant-oat01-planted-canary-token"
TOLD = ("authorization", "anthropic-beta", "content-type", "accept-encoding")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}, "required": ["name"]}


async def ours(server: FakeAnthropic, secret: str) -> None:
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
    client = factory.create_client(LLMConfig("anthropic", "claude-sonnet-5-5", Secret(secret), server.base_url))
    options = InvokeOptions(
        max_tokens=77,
        system_prompt="Be brief.",
        stop_sequences=("END",),
        response_schema=SCHEMA,
        reasoning="medium",
    )
    await client.invoke([Message("user", "Build a clock.", stable=True)], options)
    await factory.aclose()


async def theirs(server: FakeAnthropic, secret: str) -> None:
    import anthropic  # reading it takes seconds, in each worker of a test run
    from anthropic.lib.credentials import StaticToken

    credential = {"credentials": StaticToken(secret)} if secret == TOKEN else {"api_key": secret}
    sdk = anthropic.AsyncAnthropic(
        **credential, base_url=server.base_url, max_retries=0, default_headers={"Accept-Encoding": "identity"}
    )
    block = {"type": "text", "text": "Build a clock.", "cache_control": {"type": "ephemeral"}}
    stream = await sdk.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=77,
        system="Be brief.",
        stop_sequences=["END"],
        messages=[{"role": "user", "content": [block]}],
        output_config={
            "format": {"type": "json_schema", "schema": anthropic.transform_schema(SCHEMA)},
            "effort": "medium",
        },
        stream=True,
    )
    assert [event.type async for event in stream][-1] == "message_stop"
    await sdk.close()


@pytest.mark.parametrize("secret", [KEY, TOKEN], ids=["key", "token"])
def test_the_request_is_the_one_that_the_vendors_sdk_sends(secret):
    """Path, body, credential and beta headers are the same, for an API key as for an OAuth token."""

    async def go():
        async with FakeAnthropic(["{}", "{}"]) as server:
            await ours(server, secret)
            await theirs(server, secret)
            assert server.problems == []
            return server.requests

    mine, sdks = asyncio.run(go())
    assert (mine.method, mine.path, mine.body) == (sdks.method, sdks.path.split("?")[0], sdks.body)
    assert [mine.headers.get(name) for name in TOLD] == [sdks.headers.get(name) for name in TOLD]
    assert sdks.headers["anthropic-version"] == PRESENT_VERSION


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["integer", "number", "boolean", "null"])}),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "format": st.sampled_from([*sorted(FORMATS), "regex"]),
            "minLength": st.integers(0, 9),
            "description": st.text(max_size=8),
            "title": st.text(max_size=8),
        },
    ),
    st.fixed_dictionaries({"enum": st.lists(PLAIN, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": PLAIN}),
    st.just({"$ref": "#/$defs/X"}),
    st.just({"enum": [[1]], "type": "array", "items": {"type": "string"}}),
)


def grown(inner: st.SearchStrategy) -> st.SearchStrategy:
    """Objects, arrays and choices around smaller schemas."""
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object")},
            optional={
                "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3),
                "required": st.lists(st.text(max_size=3), max_size=2),
                "additionalProperties": st.booleans(),
                "$defs": st.dictionaries(st.text(max_size=3), inner, max_size=2),
            },
        ),
        st.fixed_dictionaries(
            {"type": st.just("array")},
            optional={"items": inner, "minItems": st.integers(0, 3), "uniqueItems": st.booleans()},
        ),
        *(st.fixed_dictionaries({name: st.lists(inner, max_size=3)}) for name in ("anyOf", "oneOf", "allOf")),
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(LEAVES, grown, max_leaves=8))
def test_a_schema_is_narrowed_as_the_vendors_sdk_narrows_it(schema):
    """Whatever schema comes: closed objects, the same keywords kept, the same ones moved into the description."""
    import anthropic

    assert strict_schema(schema) == anthropic.transform_schema(schema)


@pytest.mark.parametrize("schema", [{}, {"description": "anything"}])
def test_a_schema_that_says_no_type_is_refused_by_both(schema):
    """What the vendor's SDK refuses is refused here too, with a reason."""
    import anthropic

    with pytest.raises(ValueError, match="must have a type"):
        strict_schema(schema)
    with pytest.raises(ValueError, match="must have a 'type'"):
        anthropic.transform_schema(schema)
