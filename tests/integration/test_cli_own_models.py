"""A user's models file as the commands see it: each in its own process, with nothing of the package touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli_process import Cli, one_paragraph

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


def test_the_table_shows_where_a_key_goes(tmp_path):
    """A provider that is reached elsewhere than the package says has its address beside its key; a password never."""
    path = tmp_path / "mine.toml"
    path.write_text("[openai]\nbase_url = 'https://proxy.example/v1'\nkeys = ['OPENAI_API_KEY']\n")
    own = {"ORCHESTRATOR_MODELS_FILE": str(path), "ORCHESTRATOR_BASE_URL": "https://me:hunter@claude.example"}
    shown = Cli(tmp_path, **own)("providers").stdout
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert lines["openai"].endswith("https://proxy.example/v1")
    assert lines["anthropic"].endswith("https://claude.example")
    assert "hunter" not in shown
    assert "http" not in lines["groq"]
    assert "ADDRESS" not in Cli(tmp_path)("providers").stdout


def test_a_folders_dotenv_sends_no_key_away(tmp_path):
    """Neither a models file nor a base_url of a cloned repository has the keys of the environment."""

    async def go():
        async with FakeOpenAI(["Thanks."]) as server:
            (tmp_path / "models.toml").write_text(
                f"[openai]\nbase_url = '{server.base_url}'\nkeys = ['OPENAI_API_KEY']\n"
            )
            said = []
            for line in ("ORCHESTRATOR_MODELS_FILE=models.toml", f"ORCHESTRATOR_BASE_URL={server.base_url}"):
                (tmp_path / ".env").write_text(f"{line}\nORCHESTRATOR_PROVIDER=openai\n")
                cli = Cli(tmp_path, OPENAI_API_KEY="sk-planted-canary-value")
                said.append(await asyncio.to_thread(cli, "llm", "ask", "Hello"))
            return said, server.requests

    said, requests = asyncio.run(go())
    assert requests == []
    for each in said:
        assert each.returncode == 3
        assert one_paragraph(each.stderr)
        assert "(.env): " in each.stderr


def test_a_broken_file_stops_no_command_that_asks_no_model(tmp_path):
    """What was recorded is shown, and a run is cancelled, while the models cannot be read; `config show` says what is
    wrong after all that is right."""
    good = Cli(tmp_path)
    good("run", "A todo list", "--workflow", good.reviewed_workflow())
    (run,) = good.json("list")
    cli = Cli(tmp_path, ORCHESTRATOR_MODELS_FILE=str(tmp_path / "gone.toml"))
    for words in (("status",), ("list",), ("show",), ("cost",), ("artifacts",), ("cancel",)):
        said = cli(*words, *([run["run_id"]] if words[0] not in ("list",) else []))
        assert (said.returncode, said.stderr) == (0, ""), words
    assert cli("models").returncode == 3
    shown = cli("config", "show")
    assert shown.returncode == 3
    assert "parallelism" in shown.stdout
    assert "gone.toml cannot be read: No such file or directory" in shown.stderr


def test_a_mistake_in_the_file_stops_the_command_and_names_the_place(tmp_path):
    """File, path and nearest name, on standard error, with the exit code of bad input."""
    said = cli_with(tmp_path, FILE.replace("window", "widow"))("models")
    assert said.returncode == 3
    assert "mine.toml: acme.models.acme-1.widow: there is no such field, the nearest is window" in said.stderr
