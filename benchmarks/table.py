"""The figures as a table, and the machine that they were measured on.

What the limits are is `targets.py`.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from targets import TARGETS, Target, value_of, verdict

_HEAD = ("figure", "unit", "ours", "must", "should", "reached", "LangGraph")


def table(ours: dict[str, Any], peer: dict[str, Any]) -> str:
    """Aligned text, one line for each target."""
    rows = [_HEAD, *(_row(target, ours, peer) for target in TARGETS)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(target: Target, ours: dict[str, Any], peer: dict[str, Any]) -> tuple[str, ...]:
    value, other = value_of(target, ours), value_of(target, peer)
    limits = (_number(limit, target) if limit is not None else "" for limit in (target.must, target.should))
    shown = "-" if value is None else _number(value, target)
    beside = "" if other is None else _number(other, target)
    return (target.title, target.unit, shown, *limits, verdict(target, value), beside)


def _number(value: float, target: Target) -> str:
    return f"{value:,.{target.digits}f}"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        text.ljust(width) if column in (0, 1, 5) else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def machine() -> dict[str, str]:
    """What the figures depend on beside the code."""
    import sqlite3

    return {
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file system": _file_system(Path(tempfile.gettempdir()).resolve()),
    }


def _file_system(folder: Path) -> str:
    """The kind of the file system that the databases lie on; TMPDIR chooses another."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    kind = max((m for m in mounts if folder.is_relative_to(m[0])), key=lambda mount: len(mount[0]))[1]
    return kind + (" (in memory: FULL costs nothing here, choose a disk with TMPDIR)" if kind == "tmpfs" else "")
