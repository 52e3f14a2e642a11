"""What is Anthropic's alone: how its wire writes a request, its versions, its OAuth token; over real HTTP.

What every wire does, faults above all, is `tests/contracts/test_provider_contract*.py`.
"""

from __future__ import annotations

import asyncio
from random import Random

import msgspec

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import resolve_model
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers.anthropic import build_headers, build_request
from orchestrator_v2.llm.providers.anthropic_headers import samples
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply

KEY = Secret("sk-ant-api03-planted-canary-value")
TOKEN = Secret("sk-ant-oat01-planted-canary-token")
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)


class Bench:
    """What one conversation with the fake server left behind."""

    def __init__(self):
        self.probes = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, model="claude-sonnet-5-5"):
    """Sends one call through the whole chain; no rule of the wire is broken."""
    bench = Bench()

    async def go():
        async with FakeAnthropic(replies) as bench.server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0), probe=bench.probes.append)
            config = LLMConfig("anthropic", model, KEY, bench.server.base_url)
            bench.result = await factory.create_client(config).invoke(messages, options)
            await factory.aclose()

    asyncio.run(go())
    assert bench.server.problems == []
    return bench


def test_what_a_cache_took_in_and_gave_is_counted_and_priced():
    """Tokens written to the cache and read from it are inside the total, each at its own price; the probes stand."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 20,
    }
    bench = talk([Reply(usage=usage)])
    used = bench.result.usage
    assert (used.input_tokens, used.output_tokens, used.cache_write_tokens, used.cache_read_tokens) == (150, 50, 30, 20)
    assert used.cost == 100 * 2000 + 30 * 2500 + 20 * 100 + 50 * 10_000
    assert bench.probes[:3] == ["request-sent", "first-byte", "last-byte-before-parse"]


def test_the_request_is_what_the_wire_asks_for():
    """System prompt, cap, schema and stop sequences stand where they belong; the last stable block is cached."""
    schema = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}, "required": ["name"]}
    options = InvokeOptions(max_tokens=77, system_prompt="Be brief.", stop_sequences=("END",), response_schema=schema)
    messages = [
        Message("user", "The project {{7*7}}", stable=True),
        Message("user", "The task"),
        Message("assistant", "{}"),
        Message("user", "Once more."),
    ]
    body = talk(["{}"], options=options, messages=messages).server.requests[0].body
    assert (body["model"], body["max_tokens"], body["system"], body["stop_sequences"]) == (
        "claude-sonnet-5-5",
        77,
        "Be brief.",
        ["END"],
    )
    assert body["stream"] is True
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    first, second = body["messages"][0]["content"]
    assert (first["text"], first["cache_control"]) == ("The project {{7*7}}", {"type": "ephemeral"})
    assert "cache_control" not in second


def test_a_model_without_structured_output_gets_the_schema_in_words():
    """Behind a base_url an unknown model is asked in the prompt, and may be given a temperature."""
    options = InvokeOptions(max_tokens=10, response_schema={"type": "object"}, temperature=0.2)
    seen = talk(["{}"], options=options, model="glm-5.3").server.requests[0]
    assert "output_config" not in seen.body
    assert '{"type":"object"}' in seen.body["system"]
    assert seen.body["temperature"] == 0.2
    assert seen.headers["anthropic-version"] == "2023-06-01"


def test_a_refused_oauth_token_gives_way_to_the_api_key_once_and_says_so():
    """The token is tried first and marked as one; after its refusal the key answers, and is used from then on."""

    async def go():
        async with FakeAnthropic([Reply(status=403, message="only authorized for use with Claude Code")]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("anthropic", "claude", TOKEN, server.base_url, "oauth_token", spare_credential=KEY)
            client = factory.create_client(config)
            answers = [await client.invoke(ASK, OPTIONS), await client.invoke(ASK, OPTIONS)]
            await factory.aclose()
            return server, answers

    server, answers = asyncio.run(go())
    assert [seen.key for seen in server.requests] == [TOKEN.reveal(), KEY.reveal(), KEY.reveal()]
    assert all("OAuth token was refused" in answer.notes[0] for answer in answers)
    assert {answer.provenance.kind for answer in answers} == {"real"}


def test_one_connection_serves_many_calls_and_each_loop_has_its_own():
    """Calls share a client and its connection; a factory that lives through two event loops works in both."""
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))

    async def go():
        async with FakeAnthropic() as server:
            config = LLMConfig("anthropic", "claude", KEY, server.base_url)
            for _ in range(5):
                await factory.create_client(config).invoke(ASK, OPTIONS)
            await factory.aclose()
            return server.connections, len(server.requests)

    assert asyncio.run(go()) == (1, 5)
    assert asyncio.run(go()) == (1, 5)


def test_under_the_vendors_own_address_the_present_version_is_spoken():
    """Only an own base_url, and a model that takes sampling and is given some, speak the older version."""
    now = 1_800_000_000.0
    info = resolve_model("anthropic", "claude", now=now)
    connection = Connection(
        LLMConfig("anthropic", "claude", KEY), info, ClientPool(), ManualClock(), lambda name: None, Timeouts(), Lane()
    )
    assert build_headers(connection, KEY)["anthropic-version"] == "2026-10-21"
    older = msgspec.structs.replace(connection, info=resolve_model("anthropic", "claude-opus-4-6", now=now))
    for sampling in ({"temperature": 1.0}, {"top_p": 0.5}):
        body = build_request(older, ASK, InvokeOptions(**sampling))
        assert sampling.items() <= body.items()
        assert samples(body)
    assert not samples(build_request(connection, ASK, InvokeOptions(reasoning="high")))
    assert build_headers(older, KEY, older=True)["anthropic-version"] == "2023-06-01"


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: a request that breaks them all is told so."""
    body = b'{"temperature": 1, "messages": [], "output_config": {"effort": "much"}}'
    bad = Seen("GET", "/v2", {"x-api-key": "k", "anthropic-version": "1"}, body)
    assert len(broken_rules(bad)) == 9
