"""The commands as a user types them, against the real product in simulated mode."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cli_process import ROOT, Cli, one_paragraph

BRIEF = "A pomodoro timer with statistics and CSV export"


class Walked:
    """A run that is done: the CLI that knows it, its id, and what the command said."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.done = cli("run", BRIEF, "--out", "project")
        self.run_id = cli.json("list")[0]["run_id"]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    return Walked(Cli(tmp_path_factory.mktemp("walked")))


def test_a_run_says_plainly_what_happened_and_where_the_project_lies(walked: Walked) -> None:
    """Piped, it is one line for each event, the mode first, then status, evidence, cost and the next step."""
    done = walked.done
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.splitlines()[0]
    assert walked.run_id in first
    assert "simulated: no model is asked, $0.00" in first
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    result = done.stdout[done.stdout.index("✓ completed") :]
    for said in ("./project", "tests passed", "$0.00", "less RUN.md", f"orchestrator show {walked.run_id}"):
        assert said in result
    log = subprocess.run(
        ["git", "-C", str(walked.cli.folder / "project"), "log", "--oneline"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(log.stdout.splitlines()) == 12


def test_json_lines_of_a_run_are_its_events_and_a_result(tmp_path: Path) -> None:
    """Each line is an object; seq has no gap; the last says exit code, mode, evidence and cost for machines."""
    done = Cli(tmp_path)("run", "--brief", "-", "--json", stdin=b"A todo list")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines[:-1]] == list(range(1, len(lines)))
    assert lines[0]["event"]["type"] == "RunStarted"
    result = lines[-1]
    assert result["type"] == "Result"
    assert result["exit_code"] == done.returncode == 0
    assert (result["status"], result["mode"], result["usage"]["cost_nano_usd"]) == ("completed", "simulated", 0)
    assert result["evidence"]["tests_passed"] > 0
    assert set(result["phases"].values()) == {"done"}


def test_status_and_list_know_the_newest_run(walked: Walked) -> None:
    """`status` without an id is the newest run's; a beginning of the id will do; `list` can be narrowed."""
    cli = walked.cli
    assert walked.run_id in cli("status").stdout
    assert cli.json("status", walked.run_id[:9])["run_id"] == walked.run_id
    assert [row["run_id"] for row in cli.json("list", "--status", "completed")] == [walked.run_id]
    assert cli.json("list", "--status", "failed") == []
    assert walked.run_id in cli("list").stdout


def test_show_tells_everything_that_is_not_in_the_tree(walked: Walked) -> None:
    """Ids, times, durations, evidence and the whole history stand in `show`, as words and as data."""
    said = walked.cli("show", walked.run_id).stdout
    for part in ("prj_", "Phases", "Evidence, measured by the engine", "History", "exit code 0", "tests passed"):
        assert part in said
    data = walked.cli.json("show", walked.run_id)
    assert [event["seq"] for event in data["events"]] == list(range(1, len(data["events"]) + 1))
    qa = next(phase for phase in data["phases"] if phase["id"] == "qa")
    tests = next(receipt for receipt in qa["receipts"] if receipt["check"] == "tests")
    assert tests["exit_code"] == 0
    assert qa["ended_at"] >= qa["started_at"]


def test_artifacts_are_listed_and_printed_byte_for_byte(walked: Walked) -> None:
    """What `artifacts RUN PATH` prints is the file in the project."""
    listed = {entry["path"] for entry in walked.cli.json("artifacts", walked.run_id)}
    assert {"RUN.md", "docs/requirements.md"} <= listed
    project = walked.cli.folder / "project"
    assert walked.cli("artifacts", walked.run_id, "RUN.md").stdout == (project / "RUN.md").read_text()
    wrong = walked.cli("artifacts", walked.run_id, "RUM.md")
    assert wrong.returncode == 3
    assert "Did you mean 'RUN.md'?" in wrong.stderr


def test_cost_of_a_simulated_run_is_nothing(walked: Walked) -> None:
    """The ledger has no call, and says 0 as data and in words."""
    assert walked.cli.json("cost", walked.run_id)["total"]["cost_nano_usd"] == 0
    assert "$0.00, 0 tokens, 0 calls" in walked.cli("cost", walked.run_id).stdout


def test_export_lays_the_project_out_again(walked: Walked) -> None:
    """A run without --out, or a second place, gets its repository from the journal."""
    done = walked.cli("export", walked.run_id, "--out", "again")
    assert done.returncode == 0, done.stderr
    first, second = (walked.cli.folder / name / "RUN.md" for name in ("project", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_replay_of_a_run_is_the_same(walked: Walked) -> None:
    """Every file comes out byte for byte the same, and the exit code says so."""
    done = walked.cli("replay", walked.run_id, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["different"]) == (0, [])
    assert len(found["same"]) > 20


def test_fork_works_on_from_a_changed_artifact(walked: Walked) -> None:
    """A new run keeps what is upstream of the phase and carries the replaced file."""
    cli = walked.cli
    text = cli("artifacts", walked.run_id, "docs/architecture.md").stdout + "\nUse one file.\n"
    (cli.folder / "mine.md").write_text(text)
    done = cli("fork", walked.run_id, "--from", "design_review", "--with", "docs/architecture.md=mine.md", "--json")
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["forked_from"]) == (0, walked.run_id), done.stderr
    assert cli("artifacts", result["run_id"], "docs/architecture.md").stdout == text
    wrong = cli("fork", walked.run_id, "--from", "development_")
    assert (wrong.returncode, one_paragraph(wrong.stderr)) == (3, True), wrong
    assert "Did you mean 'development'?" in wrong.stderr


def test_what_waits_for_a_person_is_rejected_with_a_reason_and_then_approved(tmp_path: Path) -> None:
    """Exit code 2 until approved; the reason goes into the phase that is done again, and stands in the history."""
    cli = Cli(tmp_path)
    begun = cli("run", "A todo list", "--workflow", cli.reviewed_workflow(), "--human-review", "--out", "project")
    assert begun.returncode == 2, begun
    run_id = cli.json("status")["run_id"]
    assert "intake waits for you: docs/intake.md" in begun.stdout
    assert f"orchestrator approve {run_id}" in begun.stdout
    rejected = cli("reject", run_id, "--reason", "Say who it is for.")
    assert rejected.returncode == 2, rejected
    assert "round 2" in rejected.stdout
    wrong = cli("approve", run_id, "--phase", "planing")
    assert wrong.returncode == 3, wrong
    approved = cli("approve", run_id, "--phase", "intake")
    assert approved.returncode == 0, approved
    data = cli.json("show", run_id)
    decided = [entry["event"] for entry in data["events"] if entry["event"]["type"] == "ReviewDecided"]
    assert [event.get("approved") for event in decided] == [False, True]
    assert data["phases"][0]["feedback"] == "Say who it is for."
    again = cli("approve", run_id)
    assert (again.returncode, one_paragraph(again.stderr)) == (3, True), again


def test_a_waiting_run_is_cancelled(tmp_path: Path) -> None:
    """`cancel` does what it says with exit code 0; what is cancelled cannot be paused or resumed."""
    cli = Cli(tmp_path)
    cli("run", "A todo list", "--workflow", cli.reviewed_workflow(), "--human-review")
    run_id = cli.json("status")["run_id"]
    done = cli("cancel", run_id)
    assert (done.returncode, done.stdout) == (0, f"{run_id} is cancelled.\n"), done
    assert cli.json("status")["status"] == "cancelled"
    assert cli("resume", run_id).returncode == 3
    assert cli("pause", run_id).returncode == 3


def test_rollback_and_retry_do_a_phase_again_in_place(tmp_path: Path) -> None:
    """The run keeps its id, comes to its end again, and its history holds both attempts."""
    cli = Cli(tmp_path)
    assert cli("run", "A todo list", "--workflow", cli.short_workflow()).returncode == 0
    run_id = cli.json("status")["run_id"]
    assert cli("rollback", run_id, "--to", "planning").returncode == 0
    assert cli("retry", run_id, "planning").returncode == 0
    events = [entry["event"] for entry in cli.json("show", run_id)["events"]]
    assert [event["type"] for event in events].count("RunRolledBack") == 1
    assert [event.get("phase") for event in events if event["type"] == "TaskCompleted"].count("planning") == 3


def test_interactive_asks_first_and_pins_the_answers(tmp_path: Path) -> None:
    """The intake's questions come on standard error; what is answered is in the run, what is not stays open."""
    cli = Cli(tmp_path)
    done = cli("run", "A todo list", "--interactive", "--workflow", cli.reviewed_workflow(), stdin=b"For me alone\n\n")
    assert "1/" in done.stderr
    answers = cli.json("show", cli.json("status")["run_id"])["answers"]
    assert list(answers.values()) == ["For me alone"]


def test_agents_workflows_and_config_need_no_database(tmp_path: Path) -> None:
    """They answer from the package and the environment, and make no file; a key is shown by four characters."""
    cli = Cli(tmp_path, ANTHROPIC_API_KEY="sk-ant-api03-0123456789abcdefghijWXYZ")
    assert len(cli.json("agents")) == 8
    assert cli.json("workflows", "show", "default")["name"] == "default"
    assert "default" in cli("workflows").stdout
    assert "9" in cli("workflows", "show", "default").stdout
    assert cli("workflows", "validate", cli.reviewed_workflow()).returncode == 0
    shown = {row["name"]: row for row in cli.json("config", "show")}
    assert shown["data_dir"]["source"] == "environment"
    assert shown["ANTHROPIC_API_KEY"]["value"] == "…WXYZ"
    assert cli("--version").stdout.startswith("orchestrator ")
    assert not (tmp_path / "data").exists()


def test_agents_work_where_the_default_workflow_names_them(tmp_path: Path) -> None:
    """`agents` says every phase that an agent works in, not only its first."""
    agents = {agent["name"]: agent["works_in"] for agent in Cli(tmp_path).json("agents")}
    assert agents["architect"] == ["intake", "planning", "architecture"]
    assert agents["consensus"] == ["design_review", "release_review"]


def test_a_model_that_is_not_asked_is_told(tmp_path: Path) -> None:
    """--model in a simulated run is not silently dropped."""
    cli = Cli(tmp_path)
    done = cli("run", "A todo", "--model", "foo", "--workflow", cli.short_workflow())
    assert done.returncode == 0
    assert "--model foo: not used" in done.stderr


def test_an_empty_list_says_how_to_start(tmp_path: Path) -> None:
    """No run at all is told otherwise than no run of a kind."""
    cli = Cli(tmp_path)
    assert cli("list").stdout == 'There is no run yet. Start one: orchestrator run "…".\n'
    cli("run", "A todo", "--workflow", cli.short_workflow())
    assert cli("list", "--status", "failed").stdout == "No run is failed.\n"


def test_a_pipe_with_columns_gets_no_longer_lines(tmp_path: Path) -> None:
    """COLUMNS is obeyed in a pipe; without it nothing is cut or wrapped. Heads are the same everywhere."""
    cli = Cli(tmp_path)
    cli("run", "A todo list with rather many words in its name", "--workflow", cli.short_workflow())
    assert max(map(len, cli("list", COLUMNS="40").stdout.splitlines())) <= 40
    assert cli("list").stdout.startswith("RUN ")
    assert len(cli("list").stdout.splitlines()) == 2


def test_a_flag_is_shown_without_a_type(tmp_path: Path) -> None:
    """Help shows `--debug`, not `--debug <bool>`."""
    cli = Cli(tmp_path)
    for words in ((), ("run",), ("workflows",), ("config", "show")):
        assert "bool" not in cli(*words, "--help").stdout


def test_every_command_explains_itself_fast(tmp_path: Path) -> None:
    """Help names every command, and loads nothing that only a run needs."""
    cli = Cli(tmp_path)
    said = cli("--help").stdout
    words = "run resume retry replay fork rollback status list show approve reject cancel pause artifacts export cost"
    for word in [*words.split(), "agents", "workflows", "config", "--data-dir", "--database-url", "--version"]:
        assert word in said
    code = (
        "import sys; from orchestrator_v2.cli.main import run_cli; run_cli(['--help']);"
        "print([name for name in ('pydantic', 'sqlalchemy', 'networkx', 'orchestrator_v2.bootstrap',"
        " 'orchestrator_v2.engine.engine', 'rich.live', 'anthropic') if name in sys.modules])"
    )
    done = subprocess.run(
        [cli.command()[0], "-c", code], capture_output=True, text=True, env=cli.environment, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_fault_of_ours_is_a_paragraph_with_the_log(tmp_path: Path) -> None:
    """An exception that nobody meant is named in one paragraph; the traceback is in the log, or shown by --debug."""
    cli = Cli(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "from orchestrator_v2.config import display\n"
        "def rows(loaded):\n    raise ZeroDivisionError('sk-ant-api03-0123456789abcdefghij')\n"
        "display.rows = rows\n"
    )
    broken = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = cli("config", "show", **broken)
    assert (done.returncode, one_paragraph(done.stderr)) == (1, True), done
    assert "ZeroDivisionError" in done.stderr
    log = tmp_path / "data" / "logs" / "orchestrator.log"
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()
    shown = cli("--debug", "config", "show", **broken)
    assert "Traceback" in shown.stderr
    assert "sk-ant-api03" not in done.stderr + shown.stderr + log.read_text()


def test_the_workflow_script_gives_a_verdict_for_each_phase(tmp_path: Path) -> None:
    """`scripts/run_workflow_test.py` runs the default workflow and ends with the CLI's exit code."""
    cli = Cli(tmp_path)
    command = [cli.command()[0], str(ROOT / "scripts" / "run_workflow_test.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=cli.environment, cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 0, done
    assert done.stdout.count("ok   ") == 12
    assert "0 failed" in done.stdout
    refused = subprocess.run(
        [*command, "--real-llm"], capture_output=True, text=True, env=cli.environment, cwd=tmp_path, check=False
    )
    assert refused.returncode == 3
