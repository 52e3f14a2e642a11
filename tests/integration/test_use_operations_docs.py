"""The page on operations: its commands and its Python run as they stand, and its tables leave nothing out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import ROOT, Cli

from orchestrator_v2.core import operation_errors
from orchestrator_v2.core.operation_errors import OperationError
from orchestrator_v2.operations.types import LLMRequest

PAGE = (ROOT / "docs/how-to/use-operations.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ orchestrator")]


def test_the_commands_work_one_after_the_other(tmp_path: Path) -> None:
    """Each line of the page's shell, as it stands, ends well and prints something."""
    cli = Cli(tmp_path)
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        done = cli(*shlex.split(command)[1:])
        assert done.returncode == 0 and done.stdout, (command, done.stderr)
    assert "pillars.improve" in cli("op", "runs").stdout


@pytest.mark.parametrize("number", range(2))
def test_the_python_works(number: int, tmp_path: Path) -> None:
    """Each block of Python runs as a program of its own, without a key, and prints results."""
    cli = Cli(tmp_path)
    program = blocks("python")[number]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=cli.environment,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pillars" in done.stdout


def test_every_field_of_a_request_has_its_row() -> None:
    """The table of a request names each field of `LLMRequest`, and none that is gone."""
    table = PAGE.partition("## What a request says")[2].partition("## What comes back")[0]
    named = {
        name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(LLMRequest.model_fields)


def test_every_error_has_its_row_with_its_status() -> None:
    """The table of errors is the tree's, each with its HTTP status."""
    rows = re.findall(r"^\| (\d{3}) \| ([^|]*) \|", PAGE, re.MULTILINE)
    told = {name: int(status) for status, names in rows for name in re.findall(r"`(\w+)`", names)}
    real = {
        name: kind.http_status
        for name, kind in vars(operation_errors).items()
        if isinstance(kind, type) and issubclass(kind, OperationError) and kind is not OperationError
    }
    assert told == real and len(real) == 14
