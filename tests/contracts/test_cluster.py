"""`make cluster`, small: all its processes, one worker killed, every project at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("temporalio")

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_cluster.py"


@pytest.mark.chaos
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_a_cluster_survives_the_death_of_a_worker() -> None:
    """Four projects, two workers, a SIGKILL in the middle: all complete, no task twice, and nothing is left running."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--projects", "4"], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL for worker" in done.stdout
    assert "4 of 4 projects completed" in done.stdout
    assert "done twice: 0" in done.stdout
