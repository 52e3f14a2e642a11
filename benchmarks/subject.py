"""What a measured system has to be able to do, and the shapes of the runs that it is given.

The subjects are `ours.py` and `langgraph_peer.py`; what is asked of them is `workloads.py` and `child.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from raw import PAYLOAD, Cost

# What a task does: given its name, it gives its result.
Step = Callable[[str], Awaitable[str]]


class Task(NamedTuple):
    name: str
    needs: tuple[str, ...]


Shape = tuple[Task, ...]


def chain(size: int) -> Shape:
    """Each task needs the one before it."""
    return tuple(Task(f"t{n}", (f"t{n - 1}",) if n else ()) for n in range(size))


def fan_out(size: int) -> Shape:
    """All tasks but the first need the first, and nothing else."""
    return tuple(Task(f"t{n}", ("t0",) if n else ()) for n in range(size))


async def no_op(name: str) -> str:
    return PAYLOAD


class Subject(Protocol):
    """A durable runner over one SQLite file in a folder; results are stored before they are acknowledged."""

    imports: str
    """The statement that imports what a program needs to start a run."""

    async def walk(self, folder: Path, shapes: Sequence[Shape], step: Step) -> Cost:
        """Walks one run for each shape, all at once; opening and closing the database is not counted."""
        ...

    async def finished(self, folder: Path, shape: Shape) -> list[str]:
        """Names of the tasks whose results lie in the database, in the one run that is there."""
        ...

    async def resume(self, folder: Path, shape: Shape, step: Step) -> Cost:
        """Takes up the one run that is there and walks it to its end; opening the database is counted."""
        ...
