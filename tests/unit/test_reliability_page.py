"""The page of what was broken on purpose is that of these tests: no row without its test, no test without its row."""

from __future__ import annotations

import re
from pathlib import Path

from reliability_report import CHAPTERS, Report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/reliability.md"
_TELLS = re.compile(r"def (test_\w+)\([^)]*\btell: Tell\b")


def test_each_test_that_tells_figures_has_its_row_and_each_row_its_test() -> None:
    """Names of files and tests; what they found is theirs to say."""
    told = {
        f"{path.name} {name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in _TELLS.findall(path.read_text("utf-8"))
    }
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.endswith("` |")]
    assert {row.split("`")[-2] for row in rows} == told
    assert len(told) >= 15


def test_no_row_says_anything_but_passed() -> None:
    """A failure is mended and its test run again before the page is kept."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.endswith("` |")]
    assert {row.split(" | ")[3] for row in rows} == {"passed"}


def test_a_page_keeps_what_did_not_run_now() -> None:
    """A row is replaced by that of the same promise, place and test; others stay, in their chapter and in order."""
    first, second = Report(Path("unused")), Report(Path("unused"))
    first.rows = [_row("b", "SQLite", "failed"), _row("a", "SQLite", "passed"), _row("b", "PostgreSQL", "passed")]
    second.rows = [_row("b", "SQLite", "passed")]
    page = second.page(first.page(""))
    assert re.findall(r"^\| (\w) \| (\w+) \| \S+ \S+ \| (\w+)", page, re.MULTILINE) == [
        ("a", "SQLite", "passed"),
        ("b", "PostgreSQL", "passed"),
        ("b", "SQLite", "passed"),
    ]


def _row(promise: str, where: str, outcome: str) -> tuple[str, str, dict[str, object]]:
    told = {"chapter": next(iter(CHAPTERS)), "promise": promise, "where": where, "seen": {"kills": "3"}}
    return "tests/chaos/test_x.py::test_y[z]", outcome, told
