"""Processes that are killed for real, and what has to hold of the database and the project after each."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from pathlib import Path

import msgspec

BRIEF = "A tally counter: count named things from the command line and keep the counts in a JSON file."
KEY = "sk-ant-chaos-0123456789"
HERE = Path(__file__).parent
# A claim's lease holds for 30 s; whoever waits for it to run out is over this.
TAKEN_OVER_WITHIN = 25.0


class Job(msgspec.Struct, frozen=True):
    """What a worker is to do in `home`; `workflow` is `diamond` or a built-in one.

    With `insist` it also resumes runs that were set aside, as a person would. With `batch` all calls go by batch, and
    the run is resumed until it waits no more. Without a `database` it is SQLite in `home`. Its runs are numbered from
    `first`; each `laid`-th is laid out. With `count` it says at its end which crash points it passed how often. It
    stops itself with SIGSTOP at `stop_at`, a crash point with its passage. Its clock is `ahead` by so many
    seconds; a seed in `jumps` lets it leap by hours, and it says at its end how often.
    The `task` is to drive runs, or the `rotation` of the master key. If it is not `alone`, others lay their runs out.
    """

    home: str
    mode: str = "simulated"
    base_url: str = ""
    workflow: str = "diamond"
    runs: int = 1
    cancel: bool = False
    insist: bool = False
    brief: str = BRIEF
    batch: bool = False
    database: str = ""
    first: int = 0
    laid: int = 1
    count: bool = False
    stop_at: str = ""
    ahead: float = 0.0
    jumps: int = 0
    cancel_after: float = 0.3
    key: str = KEY
    task: str = "runs"
    alone: bool = True


class Ask(msgspec.Struct, frozen=True):
    """To a zygote: a worker of that number for `job`, whose words go to the file `said`; or `signal` to that worker."""

    number: int
    job: Job = Job("")
    crash_at: str = ""
    said: str = ""
    signal: int = 0


class Said(msgspec.Struct, frozen=True):
    """From a zygote: that worker has begun, or has ended with `code`."""

    number: int
    pid: int
    code: int | None = None


class Ended(msgspec.Struct, frozen=True):
    code: int
    said: str
    errors: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{home / 'data/orchestrator.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def assert_sound(home: Path) -> None:
    """The file is whole, its references hold, events have no gap, and every call has one answer at most."""
    assert rows(home, "PRAGMA integrity_check") == [("ok",)]
    assert rows(home, "PRAGMA foreign_key_check") == []
    places = "SELECT id >> 32 AS run_no, id & 4294967295 AS seq FROM events"
    gaps = f"SELECT run_no FROM ({places}) GROUP BY run_no HAVING min(seq) != 1 OR max(seq) != count(*)"
    assert rows(home, gaps) == []
    twice = "SELECT run_no, key FROM model_calls WHERE outcome = 'done' GROUP BY 1, 2 HAVING count(*) > 1"
    assert rows(home, twice) == []


def assert_no_task_twice(home: Path) -> int:
    """No phase was completed twice in one round; gives how many were completed."""
    each = rows(
        home,
        "SELECT id >> 32, json_extract(payload, '$.phase'), coalesce(json_extract(payload, '$.round'), 1), count(*)"
        " FROM events WHERE type = 'TaskCompleted' GROUP BY 1, 2, 3",
    )
    assert [row for row in each if row[3] != 1] == []
    return len(each)


def statuses(home: Path) -> list[str]:
    return [str(row[0]) for row in rows(home, "SELECT status FROM runs ORDER BY run_no")]


def git(out: Path, *arguments: str) -> str:
    command = ["git", "-C", str(out), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    return (done.stdout + done.stderr).strip()


def assert_laid_out(out: Path, head: str = "") -> None:
    """The repository is sound and clean, and at the commit `head` where one is given: that of an undisturbed run."""
    assert git(out, "fsck", "--strict", "--no-dangling") == ""
    assert git(out, "status", "--porcelain") == ""
    assert head in {"", git(out, "rev-parse", "HEAD")}
