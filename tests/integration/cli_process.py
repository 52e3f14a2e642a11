"""The real command line as a process of its own on a data directory of its own; what the CLI tests run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REVIEWED = """
name: reviewed
phases:
  - {id: intake, agent: architect, outputs: ["docs/intake.md"], gate: {evidence: [not-empty], review: human}}
  - {id: planning, agent: architect, needs: [intake], outputs: ["docs/requirements.md"], gate: {evidence: [not-empty]}}
"""


class Cli:
    """Runs commands below `folder`; `environment` is added to a bare one without any key."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "ORCHESTRATOR_DATA_DIR": str(folder / "data"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **environment,
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator_v2", *words]

    def __call__(self, *words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env={**self.environment, **environment},
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def json(self, *words: str) -> Any:
        """The one JSON document that a reading command answers with."""
        return json.loads(self(*words, "--json").stdout)

    def reviewed_workflow(self) -> str:
        """A small workflow whose first phase waits for a person; returns its path."""
        path = self.folder / "reviewed.yaml"
        path.write_text(REVIEWED)
        return str(path)

    def short_workflow(self) -> str:
        """The same without the review: done in a moment; returns its path."""
        path = self.folder / "short.yaml"
        path.write_text(REVIEWED.replace("reviewed", "short").replace(", review: human", ""))
        return str(path)


def one_paragraph(text: str) -> bool:
    """Whether an error is what the house promises: one line in a pipe, no traceback, a word on what to do."""
    return text.startswith("error: ") and text.count("\n") == 1 and "Traceback" not in text
