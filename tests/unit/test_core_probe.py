"""`CRASH_AT` kills the process with SIGKILL at the n-th passage of the named point, and nowhere else."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.probe import CRASH_POINTS, no_probe, probe_from

CODE = """
import os, sys
from orchestrator_v2.core.probe import probe_from
probe = probe_from(os.environ)
for number in range(1, 4):
    probe("claimed"); print("claimed", number, flush=True)
    probe("cancel"); print("cancel", number, flush=True)
"""


def passages(crash_at: str) -> tuple[int, list[str]]:
    """Exit code and lines of a process that passes two points three times each."""
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env={"CRASH_AT": crash_at}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(("crash_at", "lines"), [("claimed", 0), ("cancel", 1), ("claimed:2", 2), ("cancel:3", 5)])
def test_the_process_is_killed_at_the_named_passage(crash_at: str, lines: int) -> None:
    """SIGKILL, without clean-up, exactly where it was asked for."""
    code, printed = passages(crash_at)
    assert code == -signal.SIGKILL
    assert len(printed) == lines


@pytest.mark.parametrize("crash_at", ["", "recovery", "claimed:4"])
def test_a_process_that_does_not_pass_the_point_lives(crash_at: str) -> None:
    """Without the variable, at another point or before the n-th passage nothing happens."""
    code, printed = passages(crash_at)
    assert code == 0
    assert len(printed) == 6


def test_a_point_that_does_not_exist_is_refused() -> None:
    """A crash test cannot wait for a name that was mistyped or is gone."""
    with pytest.raises(ConfigError, match="claimd"):
        probe_from({"CRASH_AT": "claimd"})


def test_ordinary_use_has_no_probe() -> None:
    """Without `CRASH_AT` a probe is the function that does nothing, and names are distinct."""
    assert probe_from({}) is no_probe
    assert len(set(CRASH_POINTS)) == len(CRASH_POINTS)
