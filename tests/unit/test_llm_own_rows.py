"""A user's own models file: what it adds and overrides, who sees it, and that every mistake in it is named."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random

import pytest

from orchestrator_v2.agents.window import room_of
from orchestrator_v2.config.display import rows
from orchestrator_v2.config.loader import inspect_settings, load_settings, user_config_path
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.auth import resolve_credential
from orchestrator_v2.llm.catalog import COMMON, load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.manager import LLMManager
from orchestrator_v2.llm.own_rows import with_own_rows
from orchestrator_v2.llm.prices import find_price, price, price_row
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig
from orchestrator_v2.testing.fake_openai import FakeOpenAI, Reply
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

NOW = 1_795_219_200.0  # 2026-11-21
GOOD = """
[anthropic.aliases]
mine = "claude-haiku-5-5"

[anthropic.models.claude-sonnet-5-5]
window = 300_000
price = { input = 1.5, output = 7.25, cache_read = 0.15, cache_write = 1.875, search = 8 }

[anthropic.models.claude-sonnet-6]
window = 2_000_000

[acme]
base_url = "https://llm.acme.example/v1/"
keys = ["ACME_API_KEY"]
default = "acme-1"

[acme.dialect]
max_tokens = "max_completion_tokens"
key_header = "api-key"

[acme.models.acme-1]
window = 90_000
price = { input = 0.1, output = 0.2 }
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(GOOD)
    return path


def factory_of(path: Path) -> LLMFactory:
    catalog, problems = with_own_rows(path, now=NOW)
    assert problems == []
    return LLMFactory(clock=ManualClock(NOW, auto=True), random=Random(0), catalog=catalog)


def test_a_models_own_price_and_window_hold_in_place_of_the_packages(models):
    """What the file says counts, what it leaves out is as it was, and the package's own rows are untouched."""
    before = load_catalog()["anthropic"].models["claude-sonnet-5-5"]
    info = factory_of(models).resolve(LLMConfig("anthropic", "claude"))
    assert (info.facts.window, info.facts.max_output) == (300_000, before.max_output)
    million = Usage(1_000_000, 1_000_000)
    assert price(info.price, million) == 8_750_000_000
    assert price(info.price, Usage(1_000_000, cache_read_tokens=1_000_000)) == 150_000_000
    assert info.price.search == 8_000_000
    assert load_catalog()["anthropic"].models["claude-sonnet-5-5"] == before
    assert LLMFactory(clock=ManualClock(NOW), random=Random(0)).resolve(LLMConfig("anthropic", "claude")) != info


def test_models_and_aliases_are_added_and_have_the_packages_prices(models):
    """A new model of a known vendor passes, an alias points where it says; without a price the table is asked."""
    factory = factory_of(models)
    assert factory.resolve(LLMConfig("anthropic", "claude-sonnet-6")).facts.window == 2_000_000
    mine = factory.resolve(LLMConfig("anthropic", "mine"))
    assert mine.name == "claude-haiku-5-5"
    assert mine.price == find_price("anthropic", "claude-haiku-5-5", now=NOW)
    with pytest.raises(UnknownNameError):
        factory.resolve(LLMConfig("anthropic", "claude-sonnet-7"))


def test_a_window_alone_takes_nothing_away(tmp_path):
    """A model of a server that takes any name still takes a temperature, a schema and stop sequences."""
    path = tmp_path / "models.toml"
    path.write_text("[ollama.models.qwen3]\nwindow = 32_768\n")
    plain = InvokeOptions(max_tokens=9, temperature=0.5, stop_sequences=("END",), response_schema={"type": "object"})

    async def go():
        async with FakeOpenAI(default="{}") as server:
            for factory in (factory_of(path), LLMFactory(clock=ManualClock(NOW, auto=True), random=Random(0))):
                await factory.create_client(LLMConfig("ollama", "qwen3", base_url=server.base_url)).invoke("Hi", plain)
                await factory.aclose()
            assert server.problems == []
            return server.requests

    with_row, without = asyncio.run(go())
    assert with_row.body == without.body


def test_what_a_model_can_is_said_by_its_user_in_its_vendors_words(tmp_path):
    """Pictures, tools and levels of reasoning are facts of the file; a level is sent as its provider's table says."""
    path = tmp_path / "models.toml"
    path.write_text(
        "[ollama.reasoning]\nnone = { think = false }\n"
        "[ollama.models.qwen3]\nvision = true\ntools = false\nreasoning = ['none', 'high']\n"
    )

    async def go():
        async with FakeOpenAI(strict=False) as server:
            factory = factory_of(path)
            client = factory.create_client(LLMConfig("ollama", "qwen3", base_url=server.base_url))
            for level in ("none", "high"):
                await client.invoke("Hi", InvokeOptions(max_tokens=9, reasoning=level))
            await factory.aclose()
            return client.info.facts, [seen.body for seen in server.requests]

    facts, (none, high) = asyncio.run(go())
    assert (facts.vision, facts.tools) == (True, False)
    assert (none["think"], "reasoning_effort" in none) == (False, False)
    assert (high["reasoning_effort"], "think" in high) == ("high", False)


def test_a_price_that_was_pinned_into_a_run_stays(models):
    """The run goes on at the price that it was started with, whatever the file says since."""
    pinned = find_price("anthropic", "claude-sonnet-5-5", now=NOW)
    prices = {"claude-sonnet-5-5": price_row(pinned)}
    assert factory_of(models).resolve(LLMConfig("anthropic", "claude"), prices=prices).price == pinned


def test_a_vendor_of_ones_own_is_asked_in_its_dialect_and_charged_its_price(models):
    """Address, key header, field names, default model and price are the file's; nothing else was written."""

    async def go():
        async with FakeOpenAI([Reply("Hello from Acme.")]) as server:
            models.write_text(GOOD.replace("https://llm.acme.example/v1/", server.base_url))
            factory = factory_of(models)
            key = resolve_credential("acme", {"ACME_API_KEY": "acme-key-0000"}, catalog=factory.catalog)
            client = factory.create_client(LLMConfig("acme", "", key.secret), ledger=MemoryCallLedger())
            answer = await client.invoke("Hi", InvokeOptions(max_tokens=9), key="a/1")
            with pytest.raises(CredentialMissingError, match="ACME_API_KEY"):
                factory.create_client(LLMConfig("acme", ""))
            await factory.aclose()
            assert server.problems == []
            return answer, server.requests[0], factory

    answer, seen, factory = asyncio.run(go())
    assert (answer.text, str(answer.provenance)) == ("Hello from Acme.", "real (acme/acme-1)")
    assert (seen.headers["api-key"], seen.body["max_completion_tokens"]) == ("acme-key-0000", 9)
    assert answer.cost == answer.usage.input_tokens * 100 + answer.usage.output_tokens * 200
    assert "acme" in [each.provider for each in factory.list_providers()]
    assert factory.catalog["acme"].dialect.structured == COMMON.structured


def test_tables_for_people_show_the_own_rows(models):
    """`providers` and `models` name them, with their window, price and key variable; a model's owner is found."""
    manager = LLMManager(factory_of(models), clock=ManualClock(NOW), keys={"ACME_API_KEY": Secret("acme-key-0000")})
    acme = next(each for each in manager.providers() if each.name == "acme")
    assert (acme.key_variables, acme.default_model, acme.models) == (("ACME_API_KEY",), "acme-1", 1)
    assert acme.base_url == "https://llm.acme.example/v1"
    shown = manager.models("acme")[0]
    assert (shown.window, shown.price.output) == (90_000, ((0, 200_000_000),))
    assert (manager.config("acme-1").provider, manager.config("acme/acme-1").model) == ("acme", "acme-1")
    assert manager.config("acme-1").credential.reveal() == "acme-key-0000"


def test_an_agents_prompt_fits_the_window_that_the_file_says(models):
    """The room for a prompt is shared out by the client's own facts, in a run as in its replay."""
    factory = factory_of(models)
    config = LLMConfig("acme", "", Secret("acme-key-0000"))
    live, replay = factory.create_client(config), factory.create_replay(config, MemoryCallLedger())
    assert room_of(live, 8_000) == room_of(replay, 8_000)
    assert room_of(live, 8_000).prompt < 90_000


def load(root: Path, **environ: str):
    return load_settings({}, environ, root, root / "home")


def test_the_file_is_found_beside_the_settings_or_where_they_say(tmp_path, models):
    """By default models.toml beside config.toml, named as such; else what ORCHESTRATOR_MODELS_FILE names."""
    assert load(tmp_path).settings.models_file is None
    assert load(tmp_path).catalog == load_catalog()
    beside = user_config_path({}, tmp_path / "home").with_name("models.toml")
    beside.parent.mkdir(parents=True)
    beside.write_text(GOOD)
    loaded = load(tmp_path, ACME_API_KEY="acme-key-0000")
    assert loaded.settings.models_file == beside
    assert "acme" in loaded.catalog
    assert loaded.keys["ACME_API_KEY"].reveal() == "acme-key-0000"
    assert ("ACME_API_KEY", "…0000", "environment") in rows(loaded)
    assert ("models_file", str(beside), "beside the config file") in rows(loaded)
    beside.unlink()
    (tmp_path / ".env").write_text("ACME_API_KEY=acme-key-1111\n")
    named = load(tmp_path, ORCHESTRATOR_MODELS_FILE="models.toml")
    assert named.settings.models_file == models
    assert (named.sources["ACME_API_KEY"], named.keys["ACME_API_KEY"].last_four) == (".env", "1111")


def test_a_key_of_an_unknown_vendor_is_not_picked_up(tmp_path):
    """Only the variables of providers that are known become keys."""
    assert load(tmp_path, ACME_API_KEY="acme-key-0000").keys == {}


WRONG = [
    ("[antropic.models.x]\nwindow = 1", "antropic: there is no provider of that name, the nearest is anthropic"),
    ("[anthropic.modles.x]\nwindow = 1", "anthropic.modles: there is no such field, the nearest is models"),
    ("[anthropic]\nwire = 'openai'", "anthropic.wire: there is no such field"),
    ("[anthropic.models.x]\nwidow = 1", "anthropic.models.x.widow: there is no such field, the nearest is window"),
    ("[anthropic.models.x]\nwindow = '1'", "anthropic.models.x.window: expected `int"),
    ("[anthropic.models.x]\nwindow = 0", "anthropic.models.x.window: expected `int` >= 1"),
    ("[anthropic.models.x]\nretires = '1.1.27'", "anthropic.models.x.retires: this is no date such as 2027-06-30"),
    ("[anthropic.models.x]\nretires = '2027-02-30'", "anthropic.models.x.retires: this is no date"),
    ("[anthropic.models.x]\nretires = 2027-01-01T00:00:00", "anthropic.models.x.retires: this is no date"),
    ("[anthropic.models.x]\nretires = 2027-01-01", "anthropic.models.x.successor: say which model is used instead"),
    (
        "[anthropic.models.x]\nretires = 2027-01-01\nsuccessor = 'claude-sonet-5-5'",
        "anthropic.models.x.successor: there is no model 'claude-sonet-5-5', the nearest is claude-sonnet-5-5",
    ),
    ("[openai]\ndefault = 'gpt-4'", "openai.default: the model 'gpt-4' is retired since 2026-10-23"),
    (
        "[openai.models.'gpt-6.1-terra']\nretires = 2026-11-01\nsuccessor = 'gpt-6-luna'",
        "openai.default: the model 'gpt-6.1-terra' is retired since 2026-11-01",
    ),
    ("[anthropic.models.x]\nwindow = 100_000_001", "anthropic.models.x.window: at most 100,000,000"),
    (
        "[anthropic.models.x]\nwindow = 10\nmax_output = 11",
        "anthropic.models.x.max_output: 11 is more than the window of 10",
    ),
    ("[anthropic.models.x]\nmax_output = 100_000_001", "anthropic.models.x.max_output: 100,000,001 is more than"),
    ("[anthropic.models.'']\nwindow = 1", "anthropic.models: name 1 is empty"),
    ("[anthropic.models.' ']\nwindow = 1", "anthropic.models: name 1 is empty"),
    ('[anthropic.models."a\\u001b[31m"]\nwindow = 1', "anthropic.models: name 1 is empty, too long, or holds"),
    ('[anthropic.models."a\\u202eb"]\nwindow = 1', "anthropic.models: name 1 is empty, too long, or holds"),
    ("[openai.models.x]\nnative_search = 'web'", "openai.models.x.native_search: only on the wires of anthropic and"),
    ("[anthropic.aliases]\na = 'b'\nb = 'c'", "anthropic.aliases.b: there is no model 'c'"),
    ("[anthropic.aliases]\na = 'b'\nb = 'a'", "anthropic.aliases.a: this alias leads back to itself"),
    ("[groq.aliases]\na = 'a'", "groq.aliases.a: this alias leads back to itself"),
    ("[openai.dialect]\nstructured = 'xml'", "openai.dialect.structured: one of json_schema, json_object, words"),
    ("[openai.dialect]\nmax_tokens = 'a b'", "openai.dialect.max_tokens: the name of a field of the request"),
    ("[openai.dialect]\nmax_tokens = 'stream'", "openai.dialect.max_tokens: the name of a field of the request"),
    (
        '[openai.dialect]\nkey_header = "a\\r\\nb"',
        "openai.dialect.key_header: the name of a header that can carry a key",
    ),
    ("[openai.dialect]\nkey_header = 'Host'", "openai.dialect.key_header: the name of a header that can carry a key"),
    (
        "[openai.models.x]\nreasoning = ['low', 'hihg']",
        "openai.models.x.reasoning: there is no level 'hihg', the nearest is high of none, minimal, low, medium, high",
    ),
    ("[google.models.x]\nreasoning = ['max']", "google.models.x.reasoning: there is no level 'max' of minimal, low,"),
    ("[openai.models.x]\nreasoning = 'low'", "openai.models.x.reasoning: expected `array`, got `str`"),
    ("[openai.models.x]\ntools_reasoning = 'low'", "openai.models.x.tools_reasoning: 'low' is not among the model's"),
    ("[openai.models.x]\nvision = 'yes'", "openai.models.x.vision: expected `bool | null`, got `str`"),
    ("[openai.reasoning.mid]\nx = 1", "openai.reasoning.mid: there is no such level of none, minimal, low, medium"),
    ("[openai.reasoning]\nlow = 'x'", "openai.reasoning"),
    ("[openai.reasoning.low]\nmodel = 'x'", "openai.reasoning.low.model: the request sets this itself"),
    (
        "[google.reasoning.low.generationConfig]\nmaxOutputTokens = 9",
        "google.reasoning.low.maxOutputTokens: the request sets this itself",
    ),
    ("[openai.dialect.extra]\nmodel = 'x'", "openai.dialect.extra.model: the request sets this itself"),
    ("[openai.dialect.extra]\nmessages = []", "openai.dialect.extra.messages: the request sets this itself"),
    ("[openai.dialect.extra]\nstream = false", "openai.dialect.extra.stream: the request sets this itself"),
    ("[openai.dialect.extra]\nmax_tokens = 9", "openai.dialect.extra.max_tokens: the request sets this itself"),
    ("[openai.dialect.extra]\nn = 100", "openai.dialect.extra.n: the request sets this itself"),
    ("[anthropic.models.x.price]\ninput = 1", "anthropic.models.x.price: object missing required field `output`"),
    ("[anthropic.models.x.price]\ninput = -1\noutput = 1", "anthropic.models.x.price.input: expected `float` >= 0"),
    ("[anthropic.models.x.price]\ninput = nan\noutput = 1", "anthropic.models.x.price.input: "),
    ("[anthropic.models.x.price]\ninput = inf\noutput = 1", "anthropic.models.x.price.input: "),
    ("[anthropic.models.x.price]\ninput = true\noutput = 1", "anthropic.models.x.price.input: expected `float"),
    ("[anthropic.models.x.price]\ninptu = 1\noutput = 1", "anthropic.models.x.price.inptu: there is no such field"),
    ("[anthropic.models]\nx = 1", "anthropic.models.x: this is no table"),
    ("[anthropic]\nmodels = 1", "anthropic.models: this is no table"),
    ("[anthropic]\naliases = {a = 'b'}", "anthropic.aliases.a: there is no model 'b'"),
    (
        "[anthropic]\ndefault = 'claude-sonet-5-5'",
        "anthropic.default: there is no model 'claude-sonet-5-5', the nearest",
    ),
    ("[anthropic]\nbase_url = 'http://example.com'", "A key would travel in the open"),
    ("anthropic = 1", "anthropic: this is no table"),
    ("[acme]\nbase_url = 'https://a.example'", "acme.keys: name the environment variable"),
    ("[acme]\nbase_url = 'https://a.example'\nkeys = ['acme key']", "acme.keys: entry 1 is no variable of acme"),
    (
        "[acme]\nbase_url = 'https://a.example'\nkeys = ['ORCHESTRATOR_MODE']",
        "acme.keys: entry 1 is no variable of acme",
    ),
    (
        "[acme]\nbase_url = 'https://a.example'\nkeyless = true\n[acme.dialect]\nsede = ''",
        "acme.dialect.sede: there is",
    ),
    ("['A cme']\nbase_url = 'https://a.example'\nkeyless = true", "A cme: a provider's name is of small letters"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_every_mistake_is_named_with_its_place(tmp_path, text, words):
    """File, path and what is wrong, with the nearest name; the provider stays as it was."""
    path = tmp_path / "models.toml"
    path.write_text(text)
    catalog, problems = with_own_rows(path, now=NOW)
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"{path}: ")
    assert words in problems[0]
    assert catalog == load_catalog()


def test_all_mistakes_of_a_file_are_told_at_once_and_nothing_is_started(tmp_path):
    """The settings refuse to load; the command that shows them still has the rest."""
    (tmp_path / "models.toml").write_text("[anthropic.models.x]\nwidow = 1\n[acme]\nkeys = 1\n[openai]\nfree = true\n")
    environ = {"ORCHESTRATOR_MODELS_FILE": "models.toml"}
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*widow.*acme"):
        load(tmp_path, **environ)
    loaded, problems = inspect_settings({}, environ, tmp_path, tmp_path / "home")
    assert (problems, len(loaded.model_problems)) == ([], 2)
    assert loaded.catalog["openai"].free


STRAYS = [
    *(
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "OPENAI_API_KEY",
        "OPENAI_ADMIN_KEY",
        "HF_TOKEN",
        "TAVILY_API_KEY",
    ),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN", "SSH_KEY"),
    *("PYPI_TOKEN", "DATABASE_KEY", "PGPASS_KEY", "ORCHESTRATOR_API_KEY", "HOME", "PATH", "ACME_SECRET", "SECRET_KEY"),
    *("STRIPE_API_KEY", "ACME_API_KEY\n", "acme_api_key", "_KEY"),
]


@pytest.mark.parametrize("variable", STRAYS)
def test_a_new_vendor_is_sent_no_key_but_its_own(tmp_path, variable):
    """Nothing that belongs to another provider, to code, clouds or databases may be named, and no name is repeated."""
    path = tmp_path / "models.toml"
    path.write_text(
        f"[acme]\nbase_url = 'https://evil.example'\nkeys = ['ACME_API_KEY', {variable!r}]\n".replace("'", '"')
    )
    catalog, problems = with_own_rows(path, now=NOW)
    assert catalog == load_catalog()
    assert "acme.keys: entry 2 is " in problems[0]
    assert variable not in problems[0].partition("acme.keys: ")[2].replace("_API_KEY, _KEY or _TOKEN", "")


def test_a_pasted_key_is_not_repeated(tmp_path):
    """Where the name of a variable should be, the key itself may stand; no word of the problem holds it."""
    path = tmp_path / "models.toml"
    path.write_text("[acme]\nbase_url = 'https://a.example'\nkeys = ['planted-canary-00']\n")
    assert "planted-canary" not in str(with_own_rows(path, now=NOW)[1])


def test_a_packaged_provider_that_is_moved_loses_its_keys(tmp_path):
    """Another origin has them only where the same table names them; another path of the same origin keeps them."""
    path = tmp_path / "models.toml"

    def row_of(text, name="anthropic"):
        path.write_text(text)
        catalog, problems = with_own_rows(path, now=NOW)
        return catalog[name], problems

    packaged = load_catalog()["anthropic"]
    moved, problems = row_of("[anthropic]\nbase_url = 'https://evil.example'\n")
    assert (moved, len(problems)) == (packaged, 1)
    assert "anthropic.keys: with another base_url, name the environment variable of its key" in problems[0]
    named, problems = row_of("[anthropic]\nbase_url = 'https://proxy.example'\nkeys = ['ANTHROPIC_API_KEY']\n")
    assert (named.keys, named.oauth_keys, problems) == (("ANTHROPIC_API_KEY",), (), [])
    bare, problems = row_of("[anthropic]\nbase_url = 'https://proxy.example'\nkeyless = true\n")
    assert (bare.keys, bare.oauth_keys, problems) == ((), (), [])
    same, problems = row_of("[anthropic]\nbase_url = 'https://api.anthropic.com/beta'\n")
    assert (same.keys, same.oauth_keys, problems) == (packaged.keys, packaged.oauth_keys, [])
    local, problems = row_of("[vllm]\nbase_url = 'https://gpu.example/v1'\n", "vllm")
    assert (local.keys, problems) == ((), [])
    azure, problems = row_of("[azure]\nbase_url = 'https://res.openai.azure.com/openai/v1'\n", "azure")
    assert (azure.keys, problems) == (load_catalog()["azure"].keys, [])
    _, problems = row_of("[anthropic]\nkeys = ['OPENAI_API_KEY']\n")
    assert "entry 1 is no variable of anthropic" in problems[0]


def test_the_dotenv_of_a_folder_names_no_models_file(tmp_path, models):
    """A cloned repository cannot say to which servers keys go: the file is not read, and the problem says where to."""
    (tmp_path / ".env").write_text("orchestrator_models_file=models.toml\n")
    loaded, problems = inspect_settings({}, {"ACME_API_KEY": "acme-key-0000"}, tmp_path, tmp_path / "home")
    assert (loaded.settings.models_file, loaded.catalog, loaded.keys) == (None, load_catalog(), {})
    assert problems == []
    assert "not taken from there" in loaded.model_problems[0]
    assert "config.toml" in loaded.model_problems[0]
    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_MODELS_FILE \(\.env\)"):
        load(tmp_path)
    environ = {"ORCHESTRATOR_MODELS_FILE": str(models)}
    loaded, _ = inspect_settings({}, environ, tmp_path, tmp_path / "home")
    assert loaded.settings.models_file == models


def test_a_date_of_toml_is_taken_and_an_alias_of_an_alias_leads_on(tmp_path):
    """A day needs no quotes; an alias, and the default, may name another alias."""
    path = tmp_path / "models.toml"
    path.write_text(
        "[anthropic]\ndefault = 'mine'\n[anthropic.aliases]\nmine = 'house'\nhouse = 'claude-haiku-5-5'\n"
        "[anthropic.models.x]\nretires = 2027-01-01\nsuccessor = 'claude-haiku-5-5'\n"
    )
    factory = factory_of(path)
    assert {factory.resolve(LLMConfig("anthropic", name)).name for name in ("", "mine", "house")} == {
        "claude-haiku-5-5"
    }
    assert factory.catalog["anthropic"].models["x"].retires == "2027-01-01"


def test_a_model_that_its_user_retired_is_refused_though_any_name_passes(tmp_path):
    """A server that takes any name still refuses what the file says is over."""
    path = tmp_path / "models.toml"
    path.write_text("[groq.models.old]\nretires = 2026-01-01\nsuccessor = 'openai/gpt-oss-120b'\n")
    with pytest.raises(ConfigError, match="Use 'openai/gpt-oss-120b'"):
        factory_of(path).resolve(LLMConfig("groq", "old"))


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    """Some editors write one before the text."""
    path = tmp_path / "models.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert with_own_rows(path, now=NOW)[1] == []


@pytest.mark.parametrize("kind", ["folder", "dangling link", "pipe", "device", "too large"])
def test_what_is_no_file_in_its_place_is_said(tmp_path, kind):
    """Beside the settings, too: it is neither passed over nor waited for."""
    beside = user_config_path({}, tmp_path / "home").with_name("models.toml")
    beside.parent.mkdir(parents=True)
    made = {
        "folder": beside.mkdir,
        "dangling link": lambda: beside.symlink_to("nowhere.toml"),
        "pipe": lambda: os.mkfifo(beside),
        "device": lambda: beside.symlink_to("/dev/zero"),
        "too large": lambda: beside.write_bytes(b"#" * ((1 << 20) + 1)),
    }
    made[kind]()
    with pytest.raises(ConfigError, match=r"models\.toml cannot be read: "):
        load(tmp_path)


@pytest.mark.parametrize("content", [None, b"[anthropic", b"\xff\xfe", b"a = " + b"[" * 5000])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    """One that was asked for and is not there, too: never skipped in silence."""
    path = tmp_path / "models.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"models\.toml cannot be read"):
        load(tmp_path, ORCHESTRATOR_MODELS_FILE=str(path))
