"""The rows of the OpenAI-compatible vendors: each is whole, each is spoken to in its dialect, a new one is one row."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest

import orchestrator_v2
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NANO
from orchestrator_v2.llm.catalog import ProviderRow, lifecycle_note, load_catalog, resolve_model
from orchestrator_v2.llm.errors import from_status, from_stream_error
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.prices import find_price, table_price
from orchestrator_v2.llm.providers.openai_chat import OpenAIChatProvider
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message, ToolSpec
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply

NOW = 1_795_219_200.0  # 2026-11-21
ROWS = {name: row for name, row in load_catalog().items() if row.wire == "openai"}
EXPECTED = (
    "openai azure groq together huggingface zhipu ollama lmstudio vllm cohere mistral deepseek xai openrouter "
    "fireworks moonshot cerebras"
)
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
KEY = Secret("key-of-some-vendor-0000")


def test_every_vendor_that_is_promised_has_its_row():
    """The rows are those of the list, each with keys or the word that it needs none, and an address that is safe."""
    assert set(ROWS) == set(EXPECTED.split())
    for name, row in ROWS.items():
        assert row.keys or row.keyless, name
        assert row.base_url or row.address, name
        assert check_base_url(row.base_url or row.address), name
        assert row.open or row.default, name
        assert row.dialect.structured in ("json_schema", "json_object", "words"), name
        for alias, model in row.aliases.items():
            assert model in row.models, (name, alias)


def speak(provider, options, *, model="", replies=("{}",), credential=KEY, register=None):
    """The one request that reaches the vendor's server, and the answer."""

    async def go():
        async with FakeOpenAI(replies) as server:
            factory = LLMFactory(clock=ManualClock(NOW, auto=True), random=Random(0))
            if register is not None:
                factory.register_provider(provider, register)
            config = LLMConfig(provider, model, credential, server.base_url)
            try:
                answer = await factory.create_client(config).invoke([Message("user", "Hi")], options)
            finally:
                await factory.aclose()
            assert server.problems == []
            return server.requests[0], answer

    return asyncio.run(go())


@pytest.mark.parametrize("name", ROWS)
def test_every_vendor_is_spoken_to_in_its_dialect(name):
    """The body has the fields of its row; the strict server finds no fault; the answer is said to be its own."""
    row = ROWS[name]
    model = row.default or "any-model-at-all"
    tool = ToolSpec("look", "Looks.", SCHEMA)
    options = InvokeOptions(max_tokens=50, system_prompt="Be brief.", response_schema=SCHEMA, tools=(tool,))
    seen, answer = speak(name, options, model=model, credential=None if row.keyless else KEY)
    body, dialect = seen.body, row.dialect
    assert body[dialect.max_tokens] == 50
    assert ("stream_options" in body) == dialect.usage_in_stream
    facts = row.models.get(model)
    by_schema = facts.json_schema if facts else dialect.structured == "json_schema"
    assert body["response_format"]["type"] == ("json_schema" if by_schema else "json_object")
    assert ('"required":["name"]' in body["messages"][0]["content"]) != by_schema
    assert ("strict" in body["tools"][0]["function"]) == dialect.strict_tools
    assert {field: body[field] for field in dialect.extra} == dialect.extra
    assert answer.provenance.provider == name
    assert (answer.cost == 0) == row.free


def test_seeds_go_by_the_vendors_name_for_them():
    """Mistral calls it random_seed."""
    options = InvokeOptions(max_tokens=5, seed=9)
    assert speak("mistral", options)[0].body["random_seed"] == 9
    assert speak("groq", options)[0].body["seed"] == 9


ACME = {
    "wire": "openai",
    "keys": ["ACME_API_KEY"],
    "default": "acme-1",
    "dialect": {
        "max_tokens": "max_tokens",
        "structured": "words",
        "usage_in_stream": False,
        "needs_finish_reason": False,
        "needs_done": False,
        "key_header": "api-key",
    },
    "models": {"acme-1": {"window": 90000}},
}
# Runs in a copy of the package that has one more row, and nothing else.
SCRIPT = """
import asyncio, json, sys
from random import Random
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import resolve_credential
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.types import LLMConfig

async def main():
    key = resolve_credential("acme", {"ACME_API_KEY": "acme-key-0000"})
    factory = LLMFactory(clock=SystemClock(), random=Random(0))
    client = factory.create_client(LLMConfig("acme", "", key.secret))
    answer = await client.invoke("Hi")
    print(json.dumps([answer.text, client.model, str(answer.provenance), "acme" in factory.names()]))
    await factory.aclose()

asyncio.run(main())
"""


def test_a_further_vendor_is_one_row_and_no_code(tmp_path):
    """A JSON file with one row beside the others, and the vendor is there by name, key variable and default model."""
    package = Path(orchestrator_v2.__file__).parent
    shutil.copytree(package, tmp_path / "orchestrator_v2", ignore=shutil.ignore_patterns("__pycache__"))

    async def go():
        async with FakeOpenAI([Reply("Hello from Acme.", stop_reason=None, done=False)]) as server:
            row = {**ACME, "base_url": server.base_url}
            file = tmp_path / "orchestrator_v2" / "llm" / "vendors" / "acme.json"
            file.write_text(json.dumps({"acme": row}))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-B",
                "-c",
                SCRIPT,
                cwd=tmp_path,
                env={"PYTHONPATH": str(tmp_path)},
                stdout=subprocess.PIPE,
            )
            printed, _ = await process.communicate()
            return json.loads(printed), server

    (text, model, provenance, is_listed), server = asyncio.run(go())
    assert (text, model, provenance) == ("Hello from Acme.", "acme-1", "real (acme/acme-1)")
    assert is_listed
    assert server.problems == []
    assert server.requests[0].headers["api-key"] == "acme-key-0000"


def test_a_vendor_may_be_registered_with_a_row_of_its_own():
    """A program brings a row at run time, and the wire that is here speaks by it."""
    row = msgspec.convert(ACME, ProviderRow)
    options = InvokeOptions(max_tokens=5, response_schema=SCHEMA)
    seen, answer = speak("acme", options, model="acme-1", register=OpenAIChatProvider(row))
    assert (seen.body["max_tokens"], seen.headers["api-key"]) == (5, KEY.reveal())
    assert "response_format" not in seen.body
    assert answer.text == "{}"


@pytest.mark.parametrize(
    ("model", "gone", "successor"),
    [
        ("gpt-4-turbo", "2026-10-23", "gpt-6.1-sol"),
        ("gpt-4", "2026-10-23", "gpt-6.1-sol"),
        ("gpt-3.5-turbo", "2026-10-23", "gpt-6.1-terra"),
        ("o4-mini", "2026-10-23", "gpt-6.1-terra"),
    ],
)
def test_a_model_that_was_shut_down_names_its_successor(model, gone, successor):
    """The error has the day and the model to use instead; behind somebody's own server the name still passes."""
    with pytest.raises(ConfigError, match=f"{gone}.*{successor}"):
        resolve_model("openai", model, now=NOW)
    assert resolve_model("openai", model, now=NOW, base_url="http://localhost:1").name == model


def test_openais_lifecycle_is_whole():
    """What retires has a successor that does not; gpt-4o still answers, with a warning; a slip has near matches."""
    row = ROWS["openai"]
    for name, facts in row.models.items():
        assert bool(facts.retires) == bool(facts.successor), name
        if facts.successor:
            assert not row.models[facts.successor].retires
    assert "2027-01-14" in lifecycle_note(resolve_model("openai", "gpt-4o", now=NOW), NOW)
    for alias in ("", "openai", "gpt"):
        assert resolve_model("openai", alias, now=NOW).name == "gpt-6.1-terra"
    assert resolve_model("zhipu", "glm", now=NOW).name == "glm-5.3"
    with pytest.raises(UnknownNameError, match=r"gpt-6\.1-terra"):
        resolve_model("openai", "gpt-6.1-tera", now=NOW)
    with pytest.raises(ConfigError, match="No model of ollama is named"):
        resolve_model("ollama", "", now=NOW)


def test_windows_are_those_of_the_price_table():
    """No window is ours to invent: each that a row has, and the table knows, is the table's."""
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    compared = 0
    for name, row in ROWS.items():
        for model, facts in row.models.items():
            try:
                listed = snapshot.find_provider_model(model, None, row.priced_as or name, None)[1]
            except LookupError:
                continue
            if facts.window is not None and listed.context_window is not None:
                assert facts.window == listed.context_window, (name, model)
                compared += 1
    assert compared >= 50


def test_prices_go_by_the_tables_name_and_by_the_servers_address():
    """GLM costs what Zhipu's own server asks, or z.ai's behind its address; vectors cost their input alone."""
    china = find_price("zhipu", "glm-5.3", now=NOW)
    world = find_price("zhipu", "glm-5.3", base_url="https://api.z.ai/api/paas/v4", now=NOW)
    assert china.input == ((0, round(1.103 * NANO)),)
    assert world.input == ((0, round(1.4 * NANO)),)
    for name, row in ROWS.items():
        if row.models:
            assert table_price(name, row.default, now=NOW) is not None, name
    assert find_price("openai", "gpt-6.2-sol", now=NOW) is None
    vectors = find_price("openai", "text-embedding-3-small", now=NOW)
    assert (vectors.input, vectors.output) == (((0, NANO // 50),), ())
    assert resolve_model("ollama", "llama", now=NOW).price.input == ()


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        ({"code": "1302"}, 429, "RateLimitedError"),
        ({"code": "1113"}, 429, "QuotaExhaustedError"),
        ({"code": "1261"}, 400, "RequestRejectedError"),
        ({"code": "1301"}, 400, "RefusalError"),
        ({"code": "1003"}, 401, "AuthenticationError"),
        ({"code": "1112"}, 403, "AuthenticationError"),
        ({"code": 529}, 529, "ProviderUnavailableError"),
        ({"type": "server_error"}, 500, "ProviderUnavailableError"),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, 429, "RateLimitedError"),
        ({"code": "context_length_exceeded"}, 400, "RequestRejectedError"),
        ({"code": "never heard of"}, 500, "ProviderUnavailableError"),
        ("some words", 500, "ProviderUnavailableError"),
    ],
)
def test_an_error_inside_a_stream_is_read_by_code_and_type(error, status, name):
    """Vendors' words and Zhipu's numbers have the status that they would have had before the stream; none is free."""
    found = from_stream_error(error)
    assert (found.status, type(found).__name__, found.unbilled) == (status, name, False)


def test_a_code_counts_only_where_a_code_stands():
    """The number of an account in arrears inside a message is no error of an account."""
    body = {"error": {"code": "1302", "message": "request 1113 was too much"}}
    assert type(from_status(429, body)).__name__ == "RateLimitedError"
    assert type(from_status(500, {"error": {"code": "1113"}})).__name__ == "ProviderUnavailableError"
