"""The live view and the signals, through a real pseudo-terminal and real signals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pyte
import pytest
from cli_process import Cli

COLOUR = re.compile(rb"\x1b\[(?:[0-9]+;)*(?:3[0-8]|9[0-7]|48)(?:;[0-9]+)*m")
MOVES = re.compile(rb"\x1b\[\d*[A-HJKf]")


class Seen:
    """What a terminal showed: every frame as text, the last screen, the raw bytes, the exit code."""

    def __init__(self, cli: Cli, *words: str, columns: int = 80, lines: int = 40, **environment: str) -> None:
        self.raw = b""
        self.frames: list[str] = []
        screen = pyte.Screen(columns, lines)
        stream = pyte.ByteStream(screen)
        child, terminal = pty.fork()
        if child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.chdir(cli.folder)
            command = cli.command(*words)
            os.execve(command[0], command, {**cli.environment, **environment})
        while chunk := _read(terminal):
            self.raw += chunk
            stream.feed(chunk)
            frame = "\n".join(line.rstrip() for line in screen.display)
            if not self.frames or frame != self.frames[-1]:
                self.frames.append(frame)
        os.close(terminal)
        self.screen = self.frames[-1]
        self.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _read(terminal: int) -> bytes:
    if not select.select([terminal], [], [], 60)[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_a_terminal_shows_the_phase_graph_while_it_is_walked(cli: Cli, columns: int) -> None:
    """Waiting, running and done phases are marked side by side; the frame stays; mode, cost and time are shown."""
    seen = Seen(cli, "run", "A todo list", columns=columns)
    assert seen.code == 0, seen.screen
    during = [frame for frame in seen.frames if "at work" in frame]
    assert any("✓ Intake" in frame and "○ Report" in frame for frame in during)
    assert any(re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] Tests", frame) for frame in during)
    for part in ("✓ Report", "╭ ✓ Architecture", "╰ ✓ Data model", "simulated: no model is asked", "$0.00", "12/12"):
        assert part in seen.screen, seen.screen
    assert "✓ completed" in seen.screen
    assert max(len(line) for line in seen.screen.splitlines()) <= columns
    assert seen.raw.endswith(b"\n")
    assert seen.raw.count(b"\x1b[?25l") == seen.raw.count(b"\x1b[?25h"), "the cursor is not given back"


def test_a_low_terminal_folds_what_has_no_room(cli: Cli) -> None:
    """On 14 lines the view keeps what goes on and counts the rest; it never scrolls itself away."""
    seen = Seen(cli, "run", "A todo list", lines=14)
    assert any("to come" in frame and "A todo list" in frame and "0 tokens" in frame for frame in seen.frames)


@pytest.mark.parametrize("lines", [8, 10, 12, 14, 20])
def test_a_view_is_never_cut(cli: Cli, lines: int) -> None:
    """However low the terminal, the progress bar stands in the frame and no frame ends in an ellipsis."""
    seen = Seen(cli, "run", "A todo list", lines=lines)
    during = [frame for frame in seen.frames if "at work" in frame]
    assert during
    # A frame may be read while it is drawn, so not each has its end; one that is cut never has it.
    assert any(re.search(r"\d+/12", frame) for frame in during)
    assert not any(line.strip() == "..." for frame in during for line in frame.splitlines())


def test_nothing_is_said_twice_below_the_phases(cli: Cli) -> None:
    """That a phase works, or is done, stands in its row alone."""
    seen = Seen(cli, "run", "A todo list")
    assert not any("qa: qa works" in frame or "run: completed" in frame for frame in seen.frames)


def test_a_narrow_terminal_breaks_no_id(cli: Cli) -> None:
    """On 40 columns the next command may take two lines, but the run's id is whole."""
    seen = Seen(cli, "run", "A todo list", columns=40)
    run_id = cli.json("status")["run_id"]
    said = seen.screen[seen.screen.index("✓ completed") :]
    assert said.count(run_id) >= 2, said
    assert max(map(len, said.splitlines())) <= 40


def test_ctrl_c_at_a_question_says_what_it_did(cli: Cli) -> None:
    """The questions come before the run, so nothing was started; that is said."""
    process = subprocess.Popen(
        cli.command("run", "A todo list", "--interactive"),
        env=cli.environment, cwd=cli.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = b""
    while b"1/" not in said:
        said += process.stderr.read1()
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert b"No run was started." in said
    assert b"Traceback" not in said


def test_no_color_takes_the_colours_and_leaves_the_view(cli: Cli) -> None:
    """With NO_COLOR set no colour is sent, and the phases are still drawn in place; without it there is colour."""
    plain = Seen(cli, "run", "A todo list", "--workflow", cli.short_workflow(), NO_COLOR="1")
    assert not COLOUR.search(plain.raw)
    assert MOVES.search(plain.raw)
    assert "✓ planning" in plain.screen
    assert COLOUR.search(Seen(cli, "status").raw + Seen(cli, "list").raw)


def test_a_dumb_terminal_gets_plain_lines(cli: Cli) -> None:
    """TERM=dumb is never sent an escape sequence."""
    seen = Seen(cli, "run", "A todo list", "--workflow", cli.short_workflow(), TERM="dumb")
    assert seen.code == 0
    assert b"\x1b" not in seen.raw
    assert "completed" in seen.screen


def test_a_terminal_without_unicode_gets_marks_it_can_show(cli: Cli) -> None:
    """In an ASCII locale the marks are ASCII, and nothing ends in an encoding error."""
    ascii_only = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    seen = Seen(cli, "run", "Zeitplan für Köche 料理", "--workflow", cli.short_workflow(), **ascii_only)
    assert seen.code == 0, seen.screen
    assert "+ planning" in seen.screen
    assert "Traceback" not in seen.screen
    assert cli.json("status")["name"] == "Zeitplan für Köche 料理"


def test_a_brief_cannot_steer_the_terminal(cli: Cli) -> None:
    """Escape sequences and reversing characters in a brief are shown as blanks, never obeyed."""
    seen = Seen(cli, "run", "Evil \x1b]0;owned\x07 \x1b[2J \u202e list", "--workflow", cli.short_workflow())
    assert b"\x1b]0;" not in seen.raw
    assert "\u202e".encode() not in seen.raw


def test_what_waits_for_a_person_is_marked_on_the_terminal(cli: Cli) -> None:
    """The phase says that it waits for you, and the next commands are shown with the run's id."""
    seen = Seen(cli, "run", "A todo list", "--human-review", "--workflow", cli.reviewed_workflow(), columns=100)
    assert seen.code == 2
    assert "◆ intake" in seen.screen
    assert "waits for you" in seen.screen
    assert "orchestrator approve run_" in seen.screen


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_the_run_and_it_can_be_resumed(cli: Cli, number: int, code: int) -> None:
    """What is under way ends and is kept, nothing more starts; the command to go on is said, and it works."""
    process, run_id = _started(cli)
    process.send_signal(number)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == code, said
    assert f"orchestrator resume {run_id}" in said
    assert "nothing is lost" in said
    kept = cli.json("show", run_id)
    done = [phase["id"] for phase in kept["phases"] if phase["status"] == "done"]
    assert kept["status"] == "interrupted"
    assert len(done) < 12
    resumed = cli("resume", run_id)
    assert resumed.returncode == 0, resumed
    for phase in done:
        assert f"{phase:<14}  done" not in resumed.stdout


def _started(cli: Cli) -> tuple[subprocess.Popen[str], str]:
    """A run that has finished its first phase."""
    process = subprocess.Popen(
        cli.command("run", "A todo list"), env=cli.environment, cwd=cli.folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert any("done" in line for line in process.stdout)
    return process, re.findall(r"run_\w+", first)[0]


def test_a_second_signal_leaves_at_once_and_loses_nothing(cli: Cli) -> None:
    """Ctrl-C twice does not wait for the tasks under way; the run is still there and goes on."""
    process, run_id = _started(cli)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert cli("resume", run_id).returncode == 0


def test_a_reader_that_goes_away_ends_the_command_quietly(cli: Cli) -> None:
    """`run | head -1` says nothing on standard error, and the run can be resumed."""
    first = _piped(cli, "run", "'A todo list'")
    assert (first.returncode, first.stderr) == (0, "")
    run_id = re.findall(r"run_\w+", first.stdout)[0]
    assert cli("resume", run_id).returncode == 0
    shown = _piped(cli, "show", run_id)
    assert (shown.returncode, shown.stderr) == (0, "")


def _piped(cli: Cli, *words: str) -> subprocess.CompletedProcess[str]:
    """`orchestrator … | head -1`"""
    line = " ".join([*cli.command(*words), "| head -1"])
    return subprocess.run(
        line, shell=True, env=cli.environment, cwd=cli.folder, capture_output=True, text=True, check=False
    )


def test_another_run_that_has_not_ended_is_mentioned_and_left_alone(cli: Cli) -> None:
    """`run` names an interrupted run and how to go on with it; it does not run it."""
    process, run_id = _started(cli)
    process.kill()
    process.communicate()
    done = cli("run", "A second list", "--workflow", cli.short_workflow())
    assert done.returncode == 0
    assert run_id in done.stderr
    assert "orchestrator resume" in done.stderr
    assert cli.json("status", run_id)["status"] == "interrupted"
