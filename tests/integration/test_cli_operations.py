"""`orchestrator op` as a process: asked, listed, shown, and told what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import Cli, one_paragraph

DATA = json.dumps(
    {
        "pillars": [
            {"name": "Tense silence", "description": "The player hears danger before it is seen, in every level."},
            {"name": "Two hands", "description": "Every action can be done with one button and one stick."},
        ]
    }
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_an_operation_is_asked_from_the_command_line(cli: Cli) -> None:
    """Results alone on standard output, how they came to be on standard error; the issue's command, just so."""
    done = cli("op", "pillars.validate", "--data", DATA)
    assert done.returncode == 0, done.stderr
    assert {it["name"] for it in json.loads(done.stdout)["pillars"]} == {"Tense silence", "Two hands"}
    assert "simulated, 0 calls, $0.00" in done.stderr


def test_data_comes_from_a_file_or_standard_input_too(cli: Cli) -> None:
    """`@file` and `-` give the same answer as the words themselves, from the cache."""
    (cli.folder / "data.json").write_text(DATA)
    by_words = cli("op", "run", "pillars.validate", "--data", DATA).stdout
    by_file = cli("op", "pillars.validate", "--data", "@data.json")
    by_stdin = cli("op", "pillars.validate", "--data", "-", stdin=DATA.encode())
    assert by_words == by_file.stdout == by_stdin.stdout
    assert "an earlier answer" in by_file.stderr


def test_an_agentic_answer_is_shown_whole_in_json_and_again_by_its_run(cli: Cli) -> None:
    """`--json` prints the whole response; `result` and `runs` find it again, `list` of projects' runs does not."""
    whole = cli.json("op", "pillars.improve", "--data", DATA, "--agentic")
    assert whole["success"] and len(whole["metadata"]["agents_used"]) >= 3
    run_id = whole["metadata"]["run_id"]
    assert cli.json("op", "result", run_id)["results"] == whole["results"]
    assert run_id in cli("op", "runs").stdout
    assert run_id not in cli("list").stdout


def test_operations_are_listed_and_shown(cli: Cli) -> None:
    """What there is, and the schema of one: enough to write a request by."""
    assert "pillars.evaluate_contradictions" in cli("op", "list").stdout
    shown = json.loads(cli("op", "show", "pillars.validate").stdout)
    assert "pillars" in shown["data"]["properties"] and shown["modes"] == ["monolithic", "agentic"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("op", "pillars.validate", "--data", "{"), "--data is not JSON"),
        (("op", "pillars.validate", "--data", "[1]"), "not a JSON object"),
        (("op", "pillars.validate", "--data", "@nowhere.json"), "cannot be read"),
        (("op", "pillars.validate", "--data", '{"pillars": []}'), "pillars"),
        (("op", "pillars.validat", "--data", DATA), "Did you mean 'validate'?"),
        (("op", "pilars.validate", "--data", DATA), "Did you mean 'pillars'?"),
        (("op", "run", "validate", "--data", DATA), "names no operation"),
        (("op", "pillars.validate", "--data", DATA, "--prefer", "moon"), "model_preference"),
        (("op", "pillars.validate", "--data", DATA, "--timeout", "0"), "timeout_ms"),
        (("op", "pillars.validate", "--data", DATA, "--real-llm"), "needs a key"),
        (("op", "pillars.validate", "--data", DATA, "--model", "claude-haiku"), "needs a key"),
        (("op", "result", "op_nothing"), "no operation's run"),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_code_3(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """What, why, what to do; nothing is asked of anybody."""
    done = cli(*words)
    assert done.returncode == 3, done.stderr
    assert one_paragraph(done.stderr) and said in done.stderr, done.stderr
