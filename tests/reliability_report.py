"""What the chaos tests saw, gathered into one page: `tell` takes the figures, `--reliability-report FILE` writes them.

What the figures have to be is asserted by the tests themselves; the page is `docs/reference/reliability.md`.
"""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KEY = "figures"
TABLE = ("| what | where | seen | | when | test |", "|---|---|---|---|---|---|")
OPTION = "--reliability-report"
# The chapters of the page, as the promises are numbered.
CHAPTERS = {
    "promises": "Promises: nothing lost, nothing twice, nothing overspent",
    "crash points": "Crash points: SIGKILL at each named place",
    "providers": "Providers: what they can do to us",
    "scale": "Scale and endurance",
}
HEAD = """\
# Reliability: what was broken on purpose, and what held

This page is written by `make chaos`; each row is a test, and the figures are what that test counted, not what it hoped
for. A row says "passed" only where the test's assertions held, one of which is that the fault did happen. What is
promised is in the README; the tests are in `tests/chaos/` and `tests/contracts/`.
"""

Tell = Callable[..., None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Call it before the assertions, so that a failed test shows what it saw.

    `tell(chapter, promise, where=…, **counted)`: a chapter of `CHAPTERS`, what was asked for in a few words, the
    database or driver; the figures' names are shown with spaces for underscores, in the order given.
    """

    def told(chapter: str, promise: str, /, *, where: str, **counted: float | str) -> None:
        assert chapter in CHAPTERS, chapter
        seen = {
            name.replace("_", " "): f"{value:,}" if isinstance(value, int) else str(value)
            for name, value in counted.items()
        }
        record_property(KEY, {"chapter": chapter, "promise": promise, "where": where, "seen": seen})

    return told


class Report:
    """Collects in the process that controls the session; reports of other workers bring their figures along."""

    def __init__(self, page: Path) -> None:
        self._page = page
        self.rows: list[tuple[str, str, dict[str, Any]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        told: list[Any] = [value for name, value in report.user_properties if name == KEY]
        self.rows += [(report.nodeid, report.outcome, each) for each in told]

    def pytest_sessionfinish(self) -> None:
        if self.rows:
            before = self._page.read_text("utf-8") if self._page.exists() else ""
            self._page.write_text(self.page(before), "utf-8")

    def page(self, before: str) -> str:
        """Rows of tests that did not run now stay as they were `before`, with the moment of their own run."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
        machine = f"{platform.system()} on {os.cpu_count()} cores, Python {platform.python_version()}, "
        lines = [HEAD, f"{machine}SQLite {sqlite3.sqlite_version}. Moments are in UTC.", ""]
        now_there = {_place(line) for chapter in CHAPTERS for line in self._of(chapter, now)}
        for chapter, title in CHAPTERS.items():
            under = [line for line in _under(title, before) if line.endswith("` |")]
            old = [line for line in under if _place(line) not in now_there]
            rows = sorted([*self._of(chapter, now), *old])
            if rows:
                lines += [f"## {title}", "", *TABLE, *rows, ""]
        return "\n".join(lines)

    def _of(self, chapter: str, now: str) -> Iterator[str]:
        for nodeid, outcome, told in self.rows:
            if told["chapter"] == chapter:
                seen = " · ".join(f"{name} {value}" for name, value in told["seen"].items())
                yield f"| {told['promise']} | {told['where']} | {seen} | {outcome} | {now} | `{_test(nodeid)}` |"


def _test(nodeid: str) -> str:
    return nodeid.partition("[")[0].rpartition("/")[2].replace("::", " ")


def _place(row: str) -> tuple[str, ...]:
    """What, where, and by which test."""
    cells = row.split(" | ")
    return cells[0], cells[1], cells[-1]


def _under(title: str, page: str) -> list[str]:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, metavar="FILE", default="", help="write what the chaos tests saw to this page")


def pytest_configure(config: pytest.Config) -> None:
    page = config.getoption(OPTION)
    if page and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Path(page)))
