"""A user's models file as the commands see it: each in its own process, with nothing of the package touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli_process import Cli

from orchestrator_v2.testing.fake_openai import FakeOpenAI

FILE = """
[acme]
base_url = "BASE"
keys = ["ACME_API_KEY"]
default = "acme-1"

[acme.models.acme-1]
window = 90_000
price = { input = 1000, output = 2000 }
"""


def cli_with(tmp_path: Path, text: str) -> Cli:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return Cli(tmp_path, ORCHESTRATOR_MODELS_FILE=str(path), ACME_API_KEY="acme-planted-canary")


def test_the_tables_and_the_estimate_know_the_own_vendor(tmp_path):
    """`providers`, `models`, `estimate` and `config show` take its row and its price; the key is shown nowhere."""
    cli = cli_with(tmp_path, FILE.replace("BASE", "https://llm.acme.example/v1"))
    acme = next(each for each in cli.json("providers") if each["name"] == "acme")
    assert (acme["ready"], acme["key_source"]) == (True, "environment ACME_API_KEY")
    shown = cli("models", "--provider", "acme").stdout
    assert "90,000" in shown
    assert "$1,000.00" in shown
    dear = cli.json("estimate", "A reading list with tags", "--provider", "acme")
    usual = cli.json("estimate", "A reading list with tags", "--model", "claude-opus-5-5")
    assert dear["model"] == "acme/acme-1"
    assert dear["low"]["cost"] > 10 * usual["high"]["cost"]
    settings = cli("config", "show").stdout
    assert "mine.toml" in settings
    assert "ACME_API_KEY" in settings
    assert "planted" not in settings


def test_the_own_vendor_answers_a_question(tmp_path):
    """One table of data and a key, and `llm ask` has a further provider."""

    async def go():
        async with FakeOpenAI(["Because of scattering."]) as server:
            cli = cli_with(tmp_path, FILE.replace("BASE", server.base_url))
            said = await asyncio.to_thread(cli, "llm", "ask", "Why is the sky blue?", "--model", "acme/acme-1")
            return said, server.requests

    said, (seen,) = asyncio.run(go())
    assert (said.returncode, said.stdout) == (0, "Because of scattering.\n")
    assert seen.key == "acme-planted-canary"


def test_a_mistake_in_the_file_stops_the_command_and_names_the_place(tmp_path):
    """File, path and nearest name, on standard error, with the exit code of bad input."""
    said = cli_with(tmp_path, FILE.replace("window", "widow"))("models")
    assert said.returncode == 3
    assert "mine.toml: acme.models.acme-1.widow: there is no such field, the nearest is window" in said.stderr
