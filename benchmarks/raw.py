"""The physical limit beside every figure: raw `sqlite3` commits of the same payload, right before and right after.

Only the standard library is used, so that each subject measures its own limit in its own process and environment.
What is measured against it is `workloads.py`.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# What a task gives back, and what a raw commit writes.
PAYLOAD = "x" * 2_000


class Cost(NamedTuple):
    """Seconds: CPU of this process with all its threads, and wall."""

    cpu: float
    wall: float


class Stopwatch:
    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> Cost:
        return Cost(time.process_time() - self._cpu, time.perf_counter() - self._wall)


class Paired(NamedTuple):
    """One workload beside raw commits, medians over the passes: milliseconds a task, and ratios of CPU time."""

    cpu_ms: float
    wall_ms: float
    raw_normal_ms: float
    raw_full_ms: float
    times_normal: float
    times_full: float


def raw_commits(path: Path, synchronous: str, count: int) -> Cost:
    """`count` inserts of the payload, each its own commit, in WAL mode; opening the file is not counted."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE results (id INTEGER PRIMARY KEY, result TEXT NOT NULL)")
    watch = Stopwatch()
    for number in range(count):
        connection.execute("INSERT INTO results VALUES (?, ?)", (number, PAYLOAD))
    cost = watch.read()
    connection.close()
    return cost


def paired(work: Callable[[Path], Cost], tasks: int, passes: int) -> Paired:
    """`work` in a fresh folder, `passes` times; it gives the cost of all its tasks."""
    rows = [_one_pass(work, tasks) for _ in range(passes)]
    return Paired(*(statistics.median(column) for column in zip(*rows, strict=True)))


def _one_pass(work: Callable[[Path], Cost], tasks: int) -> Paired:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        before = [raw_commits(folder / f"before-{mode}.db", mode, tasks).cpu for mode in ("NORMAL", "FULL")]
        cost = work(folder)
        after = [raw_commits(folder / f"after-{mode}.db", mode, tasks).cpu for mode in ("NORMAL", "FULL")]
    normal, full = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    each = 1_000 / tasks
    return Paired(cost.cpu * each, cost.wall * each, normal * each, full * each, cost.cpu / normal, cost.cpu / full)
