"""`providers`, `models`, `estimate` and `llm ask`, as commands of their own process against a local server."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from cli_process import Cli

from orchestrator_v2.llm.catalog import load_catalog
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply

KEY = "sk-ant-api03-planted-canary-value"


def with_server(tmp_path: Path, replies: list[object], *words: str) -> tuple[subprocess.CompletedProcess[str], list]:
    """One command whose Anthropic is a local server; what it said, and the requests that came."""

    async def go() -> tuple[subprocess.CompletedProcess[str], list]:
        async with FakeAnthropic(replies) as server:
            cli = Cli(tmp_path, ANTHROPIC_API_KEY=KEY, ORCHESTRATOR_BASE_URL=server.base_url)
            return await asyncio.to_thread(cli, *words), server.requests

    return asyncio.run(go())


def test_every_provider_is_listed_with_what_it_lacks(tmp_path):
    """Keyed ones name their variable, keyless ones are ready, and a key that is there is named but not shown."""
    cli = Cli(tmp_path, GROQ_API_KEY="gsk_planted_canary_value")
    listed = {each["name"]: each for each in cli.json("providers", "list")}
    assert set(listed) == {name for name, row in load_catalog().items() if row.wire and row.wire != "scripted"}
    assert (listed["groq"]["ready"], listed["groq"]["key_source"]) == (True, "environment GROQ_API_KEY")
    assert not listed["openai"]["ready"]
    assert listed["ollama"]["ready"]
    shown = cli("providers")
    assert "OPENAI_API_KEY" in shown.stdout
    assert "planted_canary" not in shown.stdout + str(listed)
    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("anthropic ")]
    model = next(each for each in cli.json("models", "--provider", "anthropic") if each["is_default"])
    assert f"${model['price']['input'][0][1] / 1e9:.2f}, ${model['price']['output'][0][1] / 1e9:.2f}" in row
    assert "a million tokens" in shown.stderr


def test_a_provider_is_tried_with_one_tiny_call(tmp_path):
    """It answers with 0 and the cost; a refused key ends with 1 and what to do, and the key is in no word of it."""
    good, sent = with_server(tmp_path, ["ready"], "providers", "test", "anthropic")
    assert (good.returncode, len(sent)) == (0, 1)
    assert "anthropic works" in good.stdout
    refusal = Reply(status=401, body=b'{"error": {"message": "invalid x-api-key ' + KEY.encode() + b'"}}')
    bad, sent = with_server(tmp_path, [refusal], "providers", "test", "anthropic")
    assert (bad.returncode, len(sent)) == (1, 1)
    assert "refused the key" in bad.stdout
    assert KEY not in bad.stdout + bad.stderr


def test_models_are_listed_with_their_lifecycle_and_price(tmp_path):
    """A retired model names its successor; a provider that is not there is told with those that are."""
    cli = Cli(tmp_path)
    models = {each["name"]: each for each in cli.json("models", "--provider", "anthropic")}
    assert models["claude-sonnet-5-5"]["is_default"]
    assert models["claude-3-opus-20240229"]["state"] == "retired"
    assert models["claude-3-opus-20240229"]["successor"] == "claude-opus-5-5"
    for words in (("models", "--provider", "antropic"), ("providers", "test", "antropic")):
        wrong = cli(*words)
        assert wrong.returncode == 3
        assert "Did you mean 'anthropic'?" in wrong.stderr


def test_what_a_price_means_is_told_beside_the_table(tmp_path):
    """A slash has its threshold in words, on standard error; a rate keeps what it has below a cent."""
    cli = Cli(tmp_path)
    tiered = cli("models", "--provider", "google")
    assert " / $" in tiered.stdout
    assert "after a slash, those of a longer prompt (over 200,000 tokens)" in tiered.stderr
    assert cli("models", "--provider", "groq").stderr == ""
    models = tmp_path / "models.toml"
    models.write_text("[openai.models.tiny]\nprice = { input = 0.0375, output = 0.5 }\n")
    shown = cli("models", "--provider", "openai", ORCHESTRATOR_MODELS_FILE=str(models)).stdout
    tiny = next(line for line in shown.splitlines() if " tiny " in line)
    assert tiny.split()[-2:] == ["$0.0375", "$0.50"]


@pytest.mark.parametrize("prompt", ["", "  \n", "-"])
def test_an_empty_question_is_refused_here(tmp_path, prompt):
    """Nothing is sent, whether it was typed or piped."""
    said, sent = with_server(tmp_path, ["Because."], "llm", "ask", prompt)
    assert (said.returncode, sent) == (3, [])
    assert "The question is empty." in said.stderr


def test_a_prompt_over_the_window_is_bad_input(tmp_path):
    """The numbers can be read, nothing is sent, and the exit code says whose fault it is."""
    cli = Cli(tmp_path, ANTHROPIC_API_KEY=KEY, ORCHESTRATOR_BASE_URL="http://127.0.0.1:9")
    said = cli("llm", "ask", "-", stdin=b"word " * 1_000_000)
    assert said.returncode == 3
    assert re.search(r"take about \d,\d{3},\d{3} tokens", said.stderr)


@pytest.mark.parametrize("more", [(), ("--stream",)], ids=["whole", "stream"])
def test_a_question_is_answered_on_standard_output(tmp_path, more):
    """The answer, and nothing but the answer, is on standard output; what it cost is on standard error."""
    said, sent = with_server(tmp_path, ["Because of scattering."], "llm", "ask", "Why is the sky blue?", *more)
    assert (said.returncode, said.stdout) == (0, "Because of scattering.\n")
    assert "$" in said.stderr
    assert "Why is the sky blue?" in sent[0].prompt


def test_a_question_to_nobody_is_marked_as_simulated(tmp_path):
    """The provider that asks no model says so, costs nothing and needs no key."""
    answer = Cli(tmp_path).json("llm", "ask", "Hello", "--provider", "simulated")
    assert (answer["made_how"], answer["cost_nano_usd"]) == ("simulated", 0)


def test_a_question_without_a_key_names_the_variable(tmp_path):
    """Nothing is sent, the exit code is not 0, and the error is one sentence that says what to set."""
    said = Cli(tmp_path)("llm", "ask", "Hello", "--provider", "openai")
    assert said.returncode != 0
    assert "OPENAI_API_KEY" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_estimate_needs_no_key_and_starts_nothing(tmp_path):
    """A range for each phase and in all, for the model that is named; no run is there afterwards."""
    cli = Cli(tmp_path)
    found = cli.json("estimate", "A reading list with tags", "--model", "claude-opus-5-5")
    assert found["model"] == "anthropic/claude-opus-5-5"
    assert 0 < found["low"]["cost"] < found["high"]["cost"]
    assert {line["phase"] for line in found["phases"]} >= {"planning", "development", "qa"}
    assert cli.json("list") == []


def test_a_simulated_provider_is_no_real_mode(tmp_path):
    """Real mode with the provider that asks nobody is refused before anything is started."""
    said = Cli(tmp_path)("run", "A todo list", "--real-llm", "--provider", "simulated")
    assert said.returncode == 3
    assert "--mode simulated" in said.stderr
