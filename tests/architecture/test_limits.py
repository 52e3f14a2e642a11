"""The limits of `scripts/check_sizes.py` hold for the project, and each is able to catch its fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_sizes.py"
DOC = '"""What lives here."""\n'
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 50
PLANTED = {
    "a long file": ("orchestrator_v2/a.py", DOC + "x = 1\n" * 400, "a.py:401: the file has 401 lines (limit 400)"),
    "a long function": ("orchestrator_v2/a.py", DOC + LONG_FUNCTION, "a.py:2: f() has 51 lines (limit 50)"),
    "a long method": (
        "orchestrator_v2/a.py",
        DOC + "class A:\n    async def g(self):\n" + "        x = 1\n" * 50,
        "a.py:3: g() has 51 lines (limit 50)",
    ),
    "no docstring": ("orchestrator_v2/a.py", "x = 1\n", "a.py:1: the module does not open with a docstring"),
    "an empty module": ("orchestrator_v2/b/__init__.py", "", "__init__.py:1: the module does not open"),
    "a drawer": ("orchestrator_v2/utils.py", DOC, "utils.py:1: a module called utils"),
    "a drawer as a folder": ("orchestrator_v2/helpers/a.py", DOC, "a.py:1: a module called helpers"),
    "type checking": (
        "orchestrator_v2/a.py",
        DOC + "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\n",
        "a.py:3: TYPE_CHECKING",
    ),
    "type checking by attribute": ("orchestrator_v2/a.py", DOC + "import typing as t\nt.TYPE_CHECKING\n", "a.py:3:"),
    "unfinished": ("orchestrator_v2/a.py", DOC + "raise NotImplementedError\n", "a.py:2: NotImplementedError"),
    "a mock": ("tests/test_a.py", "from unittest.mock import Mock\n", "test_a.py:1: a mock"),
    "a mock by module": ("tests/test_a.py", "from unittest import mock\n", "test_a.py:1: a mock"),
    "a mock by import": ("tests/test_a.py", "import unittest.mock as m\n", "test_a.py:1: a mock"),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_project_is_within_the_limits() -> None:
    """No product file, function or module name breaks a limit, and no test uses a mock."""
    result = run()
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    """Each limit, when broken, is reported with file, line and limit, and ends in exit code 1."""
    where, source, expected = PLANTED[name]
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(source)
    result = run(str(tmp_path))
    assert result.returncode == 1
    assert expected in result.stdout


def test_a_tree_at_the_limits_passes(tmp_path: Path) -> None:
    """A file of 400 lines with a function of 50 is still allowed: the limits are not off by one."""
    path = tmp_path / "orchestrator_v2" / "a.py"
    path.parent.mkdir()
    function = "def f():\n" + "    x = 1\n" * 49
    path.write_text(DOC + function + "x = 1\n" * (399 - 50))
    result = run(str(tmp_path))
    assert result.returncode == 0, result.stdout
