"""What a run is called after a pause, a kill, a cancel or a replay: as it stands, with a next step that helps."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from cli_process import Cli, one_paragraph


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def _long_workflow(cli: Cli, phases: int = 1000) -> str:
    """A chain that takes many seconds, so that a command from outside comes in its midst."""
    lines = [
        f"  - {{id: p{n}, agent: architect, outputs: ['docs/p{n}.md'], needs: [{f'p{n - 1}' if n else ''}]}}"
        for n in range(phases)
    ]
    path = cli.folder / "long.yaml"
    path.write_text("\n".join(["name: long", "phases:", *lines]) + "\n")
    return str(path)


def _started(cli: Cli) -> tuple[subprocess.Popen[str], str]:
    """A long run of which the first phase is done."""
    process = subprocess.Popen(
        cli.command("run", "A todo list", "--workflow", _long_workflow(cli)),
        env=cli.environment,
        cwd=cli.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert any("done" in line for line in process.stdout)
    return process, re.findall(r"run_\w+", first)[0]


def _events(cli: Cli, run_id: str) -> list[str]:
    return [entry["event"]["type"] for entry in cli.json("show", run_id)["events"]]


def test_a_pause_from_another_terminal_pauses(cli: Cli) -> None:
    """The pausing command does not go on with the run it has paused; the run waits until it is resumed."""
    process, run_id = _started(cli)
    paused = cli("pause", run_id)
    said, _ = process.communicate(timeout=30)
    assert (paused.returncode, paused.stdout) == (0, f"{run_id} is paused.\n"), paused
    assert process.returncode == 2
    assert f"orchestrator resume {run_id}" in said
    assert cli.json("status", run_id)["status"] == "paused"
    assert _events(cli, run_id)[-1] == "RunParked"
    again = cli("pause", run_id)
    assert (again.returncode, one_paragraph(again.stderr)) == (3, True), again


def test_a_cancel_from_another_terminal_is_taken_once(cli: Cli) -> None:
    """The cancelling command says so and changes nothing after the driver has taken it."""
    process, run_id = _started(cli)
    done = cli("cancel", run_id)
    process.communicate(timeout=30)
    assert (done.returncode, done.stdout) == (0, f"{run_id} is cancelled.\n"), done
    assert process.returncode == 1
    assert _events(cli, run_id)[-1] == "RunCancelled"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_nobody_drives_is_called_interrupted(cli: Cli, number: int) -> None:
    """After a kill, `status`, `list` and `show` say so, and the step that is offered is `resume`."""
    process, run_id = _started(cli)
    assert cli.json("status", run_id)["status"] == "running"
    process.send_signal(number)
    process.communicate(timeout=40)
    status = cli("status", run_id).stdout
    assert status.startswith(f"{run_id}  interrupted")
    assert re.search(rf"next +orchestrator resume {run_id}", status)
    assert cli.json("status", run_id)["status"] == "interrupted"
    assert cli.json("status", run_id)["next"] == [f"orchestrator resume {run_id}"]
    assert [row["status"] for row in cli.json("list")] == ["interrupted"]
    assert cli.json("list", "--status", "running") == []
    assert [row["run_id"] for row in cli.json("list", "--status", "interrupted")] == [run_id]
    assert "interrupted" in cli("show", run_id).stdout


TWICE = """
from orchestrator_v2.cli.driving import Stopping
from orchestrator_v2.cli.watching import Watching
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.state_models import ProjectState

class Busy:
    def stop(self): pass

watching = Watching(SystemClock(), as_json=False)
begun = RunStarted("prj_1", "n", "00", Workflow("w", (Phase("a", "qa"),)), "simulated")
watching.seed(ProjectState("run_twice", begun))
stopping = Stopping(Busy(), watching)
stopping(2)
stopping(2)
"""


def test_ctrl_c_twice_says_how_to_go_on(cli: Cli) -> None:
    """Who leaves at once is told the run's id and the command. (Two real signals may arrive as one.)"""
    command = [cli.command()[0], "-c", TWICE]
    done = subprocess.run(command, env=cli.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done
    assert "orchestrator resume run_twice" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", [("approve",), ("reject", "--reason", "no")])
def test_a_review_of_a_cancelled_run_is_refused(cli: Cli, verb: tuple[str, ...]) -> None:
    """What waited when the run was cancelled waits no longer: bad input, as on a completed run."""
    cli("run", "A todo list", "--workflow", cli.reviewed_workflow(), "--human-review")
    run_id = cli.json("status")["run_id"]
    assert cli("cancel", run_id).returncode == 0
    refused = cli(verb[0], run_id, *verb[1:])
    assert (refused.returncode, one_paragraph(refused.stderr), refused.stdout) == (3, True, ""), refused
    assert cli.json("status")["waiting_for_review"] == []
    assert "waits for you" not in cli("status").stdout


def test_a_replay_of_a_run_that_waits_says_how_far_the_recording_goes(cli: Cli) -> None:
    """It is marked as a replay, has not failed, and cannot be worked on; the run itself still waits."""
    cli("run", "A todo list", "--workflow", cli.reviewed_workflow(), "--human-review")
    run_id = cli.json("status")["run_id"]
    done = cli("replay", run_id)
    assert done.returncode == 0, done
    assert "The recording ends here: 0 of 2 phases settled. The run itself is waiting_review." in done.stdout
    (replay,) = [row for row in cli.json("list") if row["run_id"] != run_id]
    assert (replay["mode"], replay["status"], replay["forked_from"]) == ("replay", "paused", run_id)
    assert f"replay of {run_id}" in cli("list").stdout
    assert f"replay of {run_id}" in re.sub(" +", " ", cli("show", replay["run_id"]).stdout)
    for words in (("resume",), ("retry", "intake"), ("rollback", "--to", "intake"), ("fork", "--from", "intake")):
        refused = cli(words[0], replay["run_id"], *words[1:])
        assert (refused.returncode, one_paragraph(refused.stderr)) == (3, True), refused
    assert cli("approve", replay["run_id"]).returncode == 3
    assert cli.json("status", run_id)["status"] == "waiting_review"


def test_a_replay_of_a_whole_run_is_marked_too(cli: Cli) -> None:
    """`list` does not show it under the original's name, and it is completed."""
    cli("run", "A todo list", "--workflow", cli.short_workflow())
    run_id = cli.json("status")["run_id"]
    assert json.loads(cli("replay", run_id, "--json").stdout)["unfinished"] == ""
    (replay,) = cli.json("list", "--limit", "1")
    assert (replay["mode"], replay["status"]) == ("replay", "completed")
    assert cli.json("list", "--status", "failed") == []


def test_a_hand_made_file_is_called_hand_made(cli: Cli) -> None:
    """RUN.md, the commit and `show` say of an edited file what `artifacts` says: a person made it."""
    cli("run", "A todo list", "--out", "first")
    edited = (cli.folder / "first/docs/requirements.md").read_text() + "\nEdited.\n"
    (cli.folder / "edited.md").write_text(edited)
    run_id = cli.json("status")["run_id"]
    words = ("--from", "planning", "--with", "docs/requirements.md=edited.md", "--out", "second")
    assert cli("fork", run_id, *words).returncode == 0
    assert "| planning | architect | done | by hand |" in (cli.folder / "second/RUN.md").read_text()
    log = subprocess.run(
        ["git", "-C", str(cli.folder / "second"), "log", "--format=%B", "--", "docs/requirements.md"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Made: by hand" in log
    assert "simulated" not in log
    assert "by hand" in cli("show", cli.json("status")["run_id"]).stdout


def test_a_copy_of_the_database_holds_every_run(cli: Cli, tmp_path: Path) -> None:
    """After a clean exit all is in the one file: the write-ahead log was folded in."""
    cli("run", "A todo list", "--workflow", cli.short_workflow())
    shutil.copy(tmp_path / "data" / "orchestrator.db", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_show_says_each_thing_once_and_in_words(cli: Cli) -> None:
    """No number twice, no status word of the machine's, no command without the run's id; text and data agree."""
    cli("run", "A todo list", "--out", "project")
    run_id = cli.json("status")["run_id"]
    said, evidence = cli("show", run_id).stdout, cli.json("status", run_id)["evidence"]
    assert "collected" not in said
    assert re.search(r" 1\.1 (?!s)", said) is None  # a round and an attempt; 1.1 s is a time
    assert f"{evidence['checks_passed']} checks passed" in cli("status", run_id).stdout
    cli("run", "A todo list", "--workflow", cli.reviewed_workflow(), "--human-review")
    waits = cli.json("status")["run_id"]
    shown = cli("show", waits).stdout
    assert "waiting_review:" not in shown
    assert f"orchestrator approve {waits}" in shown
    assert " RUN`" not in shown
    cli("approve", waits)
    assert "(signal)" not in cli("show", waits).stdout
