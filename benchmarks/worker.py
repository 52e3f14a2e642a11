"""One of several workers on one PostgreSQL: `python worker.py ours|raw RUNS LENGTH ROUNDS URL NUMBER`.

It says "ready", begins at a line on its standard input, and prints its CPU seconds; who starts it is `workers.py`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psycopg
from ours import Ours
from raw import PAYLOAD
from subject import chain, no_op

# Numbers of rows of all workers lie apart by so much.
APART = 100


class Load(NamedTuple):
    """What each worker is given: so many runs at once, each a chain of `length` tasks; all of it `rounds` times."""

    runs: int
    length: int
    rounds: int

    @property
    def tasks(self) -> int:
        return self.runs * self.length * self.rounds


def _ours(load: Load, url: str, number: int) -> float:
    async def work() -> float:
        subject = Ours(url)
        print("ready", flush=True)
        sys.stdin.readline()
        shapes = [chain(load.length)] * load.runs
        return sum([(await subject.walk(Path(), shapes, no_op)).cpu for _ in range(load.rounds)])

    return asyncio.run(work())


def _raw(load: Load, url: str, number: int) -> float:
    """Each result is one insert and one commit, as a program without a journal would keep it."""
    payload = PAYLOAD.encode()
    with psycopg.connect(url) as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.process_time()
        first = time.time_ns() // 1_000 * APART
        for task in range(load.tasks):
            connection.execute("INSERT INTO results VALUES (%s, %s)", (first + task * APART + number, payload))
            connection.commit()
        return time.process_time() - started


def main() -> None:
    subject, *numbers, url, number = sys.argv[1:]
    print({"ours": _ours, "raw": _raw}[subject](Load(*map(int, numbers)), url, int(number)), flush=True)


if __name__ == "__main__":
    main()
