"""Runs the default workflow on a sample brief and prints a verdict for each phase; the exit code is the CLI's.

    python scripts/run_workflow_test.py [--real-llm]

What the workflow does is `orchestrator_v2/workflows/default.yaml`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BRIEF = """# Pomodoro timer

A timer for focused work in the terminal.

- Start a session of 25 minutes with a task name
- List finished sessions, newest first
- Show statistics for each day: sessions and minutes
- Export all sessions as CSV
"""


def main() -> int:
    """Runs the CLI as a user would, in a temporary folder, and says how each phase came out."""
    parser = argparse.ArgumentParser(description="Runs the default workflow on a sample brief, in a temporary folder.")
    parser.add_argument("--real-llm", action="store_true", help="with a model; needs a key")
    real = parser.parse_args().real_llm
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        command = [sys.executable, "-m", "orchestrator_v2", "--data-dir", f"{folder}/data"]
        command += ["run", "--brief", "-", "--out", f"{folder}/project", "--json"]
        command += ["--real-llm"] if real else ["--mode", "simulated"]
        search = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        done = subprocess.run(  # noqa: S603 - our own command line
            command,
            input=BRIEF,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": search},
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if lines and lines[-1].get("type") == "Result":
            say_verdicts(lines[-1], Path(folder) / "project")
    return done.returncode


def say_verdicts(result: dict[str, Any], project: Path) -> None:
    phases, evidence = result["phases"], result["evidence"]
    for phase, status in phases.items():
        print(f"{'ok  ' if status in {'done', 'skipped'} else 'NOT '} {phase:<16} {status}")
    files = sum(1 for path in project.rglob("*") if path.is_file() and ".git" not in path.parts)
    print(
        f"{result['status']}: {result['mode']}, {files} files, {evidence['tests_passed']} tests passed, "
        f"{evidence['tests_failed']} failed, {evidence['checks_failed']} checks not passed"
    )
    if result["stopped"]:
        print(result["stopped"], result["advice"])


if __name__ == "__main__":
    sys.exit(main())
