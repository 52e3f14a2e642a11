"""The workloads inside one process: chain, fan-out, fleet, waiting runs, growth; each paired with raw commits.

What happens to whole processes (kill, cold start, memory) is `processes.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raw import PAYLOAD, Cost, paired
from subject import Shape, Step, Subject, chain, fan_out, no_op

# Seconds that each of the waiting tasks waits, and how many of them follow each other.
WAIT, WAITS = 0.05, 5
# The tasks of a long chain that are compared: past the first ones, and the last ones.
EARLY, LATE = (30, 1_030), (2_000, 3_000)
SHORT_EARLY, SHORT_LATE = (30, 180), (450, 600)


def measure(subject: Subject, quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """All figures, by name; `log` is told what is being done."""
    passes = 3 if quick else 9
    figures: dict[str, Any] = {}
    for name, shapes in _PAIRED.items():
        log(name)
        figures[name] = _walked(subject, shapes, no_op, passes)._asdict()
    log("waiting runs")
    figures["waiting"] = _waiting(subject, 50 if quick else 200, 1 if quick else 3)
    log("growth")
    figures["growth"] = _growth(subject, *((SHORT_EARLY, SHORT_LATE) if quick else (EARLY, LATE)))
    return figures


_PAIRED: dict[str, list[Shape]] = {
    "chain": [chain(300)],
    "fan_out": [fan_out(300)],
    "fleet": [chain(10)] * 50,
}


def _walked(subject: Subject, shapes: list[Shape], step: Step, passes: int) -> Any:
    tasks = sum(len(shape) for shape in shapes)
    return paired(lambda folder: asyncio.run(subject.walk(folder, shapes, step)), tasks, passes)


def _waiting(subject: Subject, runs: int, passes: int) -> dict[str, float]:
    async def wait(name: str) -> str:
        await asyncio.sleep(WAIT)
        return PAYLOAD

    cost = _walked(subject, [chain(WAITS)] * runs, wait, passes)
    return {**cost._asdict(), "times_ideal": cost.wall_ms * runs * WAITS / 1_000 / (WAIT * WAITS)}


def _growth(subject: Subject, early: tuple[int, int], late: tuple[int, int]) -> dict[str, float]:
    """CPU of a task late in a long chain to one early in it, and the bytes that the disk was given for each."""
    marks: list[float] = []

    async def mark(name: str) -> str:
        marks.append(time.process_time())
        return PAYLOAD

    written = 0

    def walk(folder: Path) -> Cost:
        nonlocal written
        before = _bytes_written()
        cost = asyncio.run(subject.walk(folder, [chain(late[1] + 1)], mark))
        written = _bytes_written() - before
        return cost

    whole = paired(walk, late[1] + 1, 1)
    each = [(marks[last] - marks[first]) / (last - first) for first, last in (early, late)]
    return {**whole._asdict(), "late_to_early": each[1] / each[0], "kb_a_task": written / (late[1] + 1) / 1_000}


def _bytes_written() -> int:
    """What this process made the kernel send to the disk so far, in whole pages."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
