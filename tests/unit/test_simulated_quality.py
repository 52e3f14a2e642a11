"""Generated projects held to the tools that a person would run on them: ruff, its formatter, and mypy in strict mode.

Whether their tests pass is in `test_simulated_projects.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_simulated_projects import EVERYTHING, NASTY, POMODORO, build, write

BRIEFS = {
    "pomodoro": POMODORO,
    "everything": EVERYTHING,
    "quotes": NASTY["quotes"],
    "blog": "A blog with posts, comments, search, invoices",
    "budget": "Budget with CSV export, import, tags and reminders",
    "shop": "Build an online shop with products, a cart and orders, plus a REST API.",
}
TOOLS = (
    ("ruff", "check", "--no-cache", "."),
    ("ruff", "check", "--no-cache", "--select", "RUF100,PLR0124,I,UP,B", "."),
    ("ruff", "format", "--no-cache", "--check", "."),
    ("mypy", "--strict", "src", "tests"),
)


@pytest.fixture(scope="session")
def known_types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy found out about the standard library, which is the same for each project and takes it longest."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
@pytest.mark.parametrize("brief", BRIEFS.values(), ids=BRIEFS.keys())
def test_generated_code_is_clean(brief: str, tmp_path: Path, known_types: Path) -> None:
    """No finding, no file to reformat, no type error."""
    folder = write(build(brief), tmp_path)
    environment = {**os.environ, "MYPY_CACHE_DIR": str(known_types)}
    for tool in TOOLS:
        command = [sys.executable, "-m", *tool]
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
