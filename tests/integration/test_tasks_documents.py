"""The how-to about tasks is true: each example prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from orchestrator_v2.tasks.command_answer import CommandFault
from orchestrator_v2.tasks.task_executor import MENDABLE

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-tasks.md"
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_the_page_says(number: int) -> None:
    """Each is a program of its own that runs offline."""
    source, printed = EXAMPLES[number]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(source, "run-tasks.md", "exec"), {"__name__": "__main__"})
    assert said.getvalue() == printed


def test_every_example_is_among_them() -> None:
    """None is left without its output."""
    assert len(EXAMPLES) == PAGE.read_text("utf-8").count("```python") > 4


def test_the_words_for_faults_are_all_told() -> None:
    """The page and the docstring name the same, and as many errors are mended as the table says."""
    words = set(re.findall(r"`(\w+)`", (CommandFault.__doc__ or "")))
    listed = re.search(r"has the word for it: (.*?)\.\n- ", PAGE.read_text("utf-8"), re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == words
    assert len(MENDABLE) == 6
