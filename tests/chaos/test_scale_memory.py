"""A server that works through run after run: what it holds in the second half of the time is what it held in the first.

ENDURANCE_SECONDS is how long it works in `make chaos`; an hour is 3600.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from pathlib import Path

import pytest
from reliability_report import Tell
from server_process import Client, Server

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "300"))
DIAMOND = """
name: diamond
phases:
  - {id: intake, agent: architect, outputs: ["docs/intake.md"], gate: {evidence: [not-empty]}}
  - {id: planning, agent: architect, needs: [intake], outputs: ["docs/requirements.md"], gate: {evidence: [not-empty]}}
  - {id: notes, agent: documentarian, needs: [intake], outputs: ["docs/notes.md"]}
  - {id: end, agent: documentarian, needs: [planning, notes], outputs: ["docs/end.md"]}
"""
# So many are under way at once, twice what the server drives.
UNDER_WAY = 8
# What a first run of each kind brings along is no growth.
WARM = 20
MOST_GROWTH = 1.05
# A few dozen runs grow by no such share, whatever they leave behind; so each of them is bounded as well.
MOST_KIB_A_RUN = 100


class Work:
    """Runs of one user, some at once; `held` is the server's memory in MiB after each one that ended."""

    def __init__(self, server: Server, user: Client) -> None:
        self._user = user
        self._status = Path(f"/proc/{server.process.pid}/status")
        self._open: deque[str] = deque()
        self.held: list[float] = []
        self.ended: list[str] = []

    def one(self) -> None:
        while len(self._open) < UNDER_WAY:
            self._open.append(self._user.short(workflow_yaml=DIAMOND))
        self.ended.append(self._user.ended(self._open.popleft()))
        self.held.append(int(self._status.read_text().partition("VmRSS:")[2].split()[0]) / 1024)


@pytest.mark.parametrize("seconds", [1.5, pytest.param(SECONDS, marks=pytest.mark.chaos, id="long")])
@pytest.mark.timeout(120 + 2 * SECONDS)
def test_memory_does_not_grow_with_the_runs(tmp_path: Path, seconds: float, tell: Tell) -> None:
    """The last quarter's median is no more than a few percent above that of the second quarter; all runs end well."""
    with Server(tmp_path) as server:
        work = Work(server, server.user("busy"))
        for _ in range(WARM):
            work.one()
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(work.held) < 3 * WARM:
            work.one()
    held = work.held[WARM:]
    quarter = len(held) // 4
    early, late = statistics.median(held[quarter : 2 * quarter]), statistics.median(held[-quarter:])
    each = (late - early) * 1024 / (len(held) - 2.5 * quarter)
    tell(
        "scale",
        "memory of a server that works through runs",
        where="SQLite, the server's process",
        runs=len(work.ended),
        seconds=f"{seconds:.0f}",
        second_quarter_MiB=f"{early:.1f}",
        last_quarter_MiB=f"{late:.1f}",
        growth=f"{(late / early - 1) * 100:+.1f} %",
        growth_KiB_a_run=f"{each:+.1f}",
        most_MiB=f"{max(held):.1f}",
    )
    assert set(work.ended) == {"completed"}
    assert late < MOST_GROWTH * early
    assert each < MOST_KIB_A_RUN
