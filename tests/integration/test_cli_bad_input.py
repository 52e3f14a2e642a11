"""What a user can get wrong on the command line: each is one paragraph on standard error and exit code 3."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from cli_process import Cli, one_paragraph

from orchestrator_v2.cli.main import run_cli

SAYS = {
    "no brief": (("run",), "There is no brief"),
    "an empty brief": (("run", "  "), "There is no brief"),
    "a directory": (("run", "--brief", "folder"), "is a directory"),
    "a missing file": (("run", "--brief", "nowhere.md"), "is not there"),
    "a binary file": (("run", "--brief", "binary"), "is binary"),
    "not UTF-8": (("run", "--brief", "latin"), "not UTF-8"),
    "a blank file": (("run", "--brief", "blank"), "empty"),
    "a file in words": (("run", "blank"), "--brief blank"),
    "two briefs": (("run", "todo", "--brief", "blank"), "two briefs"),
    "an unknown workflow": (("run", "todo", "--workflow", "defualt"), "Did you mean 'default'?"),
    "a workflow with a cycle": (("run", "todo", "--workflow", "cycle.yaml"), "cycle"),
    "a workflow with an unknown agent": (("workflows", "validate", "agent.yaml"), "Did you mean 'architect'?"),
    "an unknown mode": (("run", "todo", "--mode", "reel"), "'reel' is no mode"),
    "two modes": (("run", "todo", "--mode", "simulated", "--real-llm"), "contradict"),
    "no key": (("run", "todo", "--real-llm"), "ANTHROPIC_API_KEY"),
    "a provider that is nearly right": (("run", "todo", "--real-llm", "--provider", "antropic"), "mean 'anthropic'?"),
    "a provider that is not there": (("run", "todo", "--real-llm", "--provider", "foo"), "no provider named 'foo'"),
    "a budget that pays for nothing": (("run", "todo", "--budget", "0.0000001"), "pays for nothing"),
    "a workflow with two mistakes": (("workflows", "validate", "two.yaml"), "line 5: "),
    "a brief in another encoding": (("run", "K\udcf6che"), "not UTF-8 text"),
    "a negative budget": (("run", "todo", "--budget", "-1"), "not possible"),
    "an absurd budget": (("run", "todo", "--budget", "1e30"), "not possible"),
    "a budget that is no number": (("run", "todo", "--budget", "much"), "no amount"),
    "an infinite budget": (("run", "todo", "--budget", "inf"), "no amount"),
    "no parallelism": (("run", "todo", "--parallelism", "0"), "1 to 256"),
    "an --out with files in it": (("run", "todo", "--out", "folder"), "not empty"),
    "an --out that is a file": (("run", "todo", "--out", "blank"), "cannot hold the project"),
    "an --out that cannot be written": (("run", "todo", "--out", "/proc/project"), "cannot hold the project"),
    "an empty --out": (("run", "todo", "--out", ""), "--out is empty"),
    "an unknown run": (("status", "run_nope"), "no run named 'run_nope'"),
    "an unknown run to resume": (("resume", "run_nope"), "no run named"),
    "no run yet": (("status",), "no run yet"),
    "a malformed replacement": (("fork", "run_1", "--from", "qa", "--with", "a.md"), "PATH=FILE"),
    "a replacement that is not there": (("rollback", "run_1", "--to", "qa", "--with", "a=nowhere"), "cannot be read"),
    "an empty reason": (("reject", "run_1", "--reason", " "), "The reason is empty"),
    "an unknown status": (("list", "--status", "complete"), "Did you mean 'completed'?"),
    "an impossible limit": (("list", "--limit", "0"), "not possible"),
    "an unknown command": (("rnu",), "Did you mean 'run'?"),
    "an unknown option": (("run", "todo", "--buget", "1"), "--buget"),
    "a missing argument": (("approve",), "RUN"),
    "a limit that is no number": (("list", "--limit", "many"), "--limit"),
    "questions with the brief on standard input": (("run", "--brief", "-", "--interactive"), "--interactive"),
}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("bad-input")
    (folder / "folder").mkdir()
    (folder / "folder" / "mine.txt").write_text("precious")
    (folder / "binary").write_bytes(b"\x7fELF\x00\x00")
    (folder / "latin").write_bytes("Zeitplan für Köche".encode("latin-1"))
    (folder / "blank").write_text(" \n")
    (folder / "cycle.yaml").write_text(
        "name: c\nphases:\n  - {id: a, agent: qa, needs: [b]}\n  - {id: b, agent: qa, needs: [a]}\n"
    )
    (folder / "two.yaml").write_text("name: c\nphases:\n  - id: a\n    agent: architct\n    gate: {evidence: [tset]}\n")
    (folder / "agent.yaml").write_text("name: c\nphases:\n  - {id: a, agent: architct}\n")
    return Cli(folder)


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """This process in the CLI's folder and environment: a table of fifty cases needs no fifty processes."""
    for name in [name for name in os.environ if name.startswith("ORCHESTRATOR_")]:
        monkeypatch.delenv(name)
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(cli.folder)
    return cli


@pytest.mark.parametrize("case", SAYS)
def test_bad_input_is_refused_in_one_paragraph(here: Cli, capfd: pytest.CaptureFixture[str], case: str) -> None:
    """Exit code 3, a paragraph that names the mistake, and nothing on standard output."""
    words, says = SAYS[case]
    assert run_cli(words) == 3
    said = capfd.readouterr()
    assert one_paragraph(said.err), said.err
    assert says in said.err
    assert said.out == ""


def test_refused_input_starts_nothing_and_touches_nothing(cli: Cli) -> None:
    """After a refusal, in a process of its own, there is no run in the journal and no file is changed."""
    for case in ("an --out with files in it", "no key", "a workflow with a cycle"):
        done = cli(*SAYS[case][0])
        assert (done.returncode, one_paragraph(done.stderr), done.stdout) == (3, True, ""), done
    assert cli.json("list") == []
    assert (cli.folder / "folder" / "mine.txt").read_text() == "precious"


def test_a_brief_on_standard_input_is_held_to_the_same_rules(cli: Cli) -> None:
    """A binary piped in is refused like a binary file."""
    done = cli("run", "--brief", "-", stdin=b"a\x00b")
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True)
    assert "binary" in done.stderr


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A damaged journal ends in exit code 1 and one paragraph; its bytes stay as they are."""
    cli = Cli(tmp_path)
    path = tmp_path / "data" / "orchestrator.db"
    path.parent.mkdir()
    path.write_bytes(b"this was a database once" * 100)
    done = cli("run", "todo")
    assert done.returncode == 1
    assert one_paragraph(done.stderr), done.stderr
    assert "orchestrator.db" in done.stderr
    assert path.read_bytes() == b"this was a database once" * 100


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    """A journal that a later release has migrated is not touched; exit code 1 says to update."""
    cli = Cli(tmp_path)
    assert cli.json("list") == []
    with sqlite3.connect(tmp_path / "data" / "orchestrator.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    done = cli("list")
    assert done.returncode == 1, done
    assert one_paragraph(done.stderr), done.stderr
    assert "newer" in done.stderr


def test_a_wrong_setting_is_refused_with_its_place(cli: Cli) -> None:
    """A bad value in the environment is named with its variable's place, not with a traceback."""
    done = cli("list", ORCHESTRATOR_PARALLELISM="lots")
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done.stderr
    assert "ORCHESTRATOR_PARALLELISM (environment)" in done.stderr


def test_config_show_works_where_the_configuration_does_not(cli: Cli) -> None:
    """The command that an error sends people to lists all settings, marks what is wrong, and then says what it is."""
    done = cli("config", "show", ORCHESTRATOR_PARALLELISM="lots", ORCHESTRATOR_FOO="1")
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done
    assert "2 problems" in done.stderr
    assert "ORCHESTRATOR_FOO (environment): there is no such setting;" in done.stderr
    assert "environment (wrong, not used)" in done.stdout
    assert "data_dir" in done.stdout


def test_an_unknown_run_among_many_names_a_few(tmp_path: Path) -> None:
    """The nearest, or the newest: never every run there is."""
    cli = Cli(tmp_path)
    for _ in range(5):
        cli("run", "todo", "--workflow", cli.short_workflow())
    assert cli("status", "run_nope").stderr.count("run_") <= 4
    run_id = cli.json("status")["run_id"]
    assert f"Did you mean '{run_id}'?" in cli("status", f"{run_id[:-1]}_").stderr


def test_a_key_behind_an_open_quote_in_dotenv_is_told(tmp_path: Path) -> None:
    """The run does not silently go on without the key, and the key is not printed."""
    cli = Cli(tmp_path)
    (tmp_path / ".env").write_text('ANTHROPIC_API_KEY="sk-ant-api03-unclosed0123456789\n')
    done = cli("run", "todo", "--mode", "auto")
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done
    assert ".env, line 1:" in done.stderr
    assert "sk-ant" not in done.stderr


def test_an_error_on_a_terminal_with_colours_is_still_one_paragraph(cli: Cli) -> None:
    """Standard error in a pipe never carries colour codes."""
    assert "\x1b" not in cli("status", "run_nope", FORCE_COLOR="1", CLICOLOR_FORCE="1").stderr
