"""How the states of runs and phases are marked and named, and what to do next in each: data.

Drawing with it is `live_view.py`, `plain_view.py` and `render.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from orchestrator_v2.engine.telling import INTERRUPTED, PHASE_STANDS, QUEUED, STANDS


class Look(NamedTuple):
    """A mark, its twin where the terminal has no UTF-8, a Rich style, and the state in words."""

    mark: str
    ascii: str
    style: str
    words: str


_PHASE_MARKS = {
    "pending": ("○", ".", "bright_black"),
    "running": ("●", ">", "cyan"),
    "waiting_review": ("◆", "?", "yellow"),
    "done": ("✓", "+", "green"),
    "skipped": ("–", "-", "bright_black"),
    "failed": ("✗", "x", "red"),
}
_WAITS = ("◆", "?", "yellow")
_RUN_MARKS = {
    "running": ("●", ">", "cyan"),
    "paused": ("‖", "=", "yellow"),
    "completed": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "cancelled": ("–", "-", "bright_black"),
}

PHASE: Mapping[str, Look] = MappingProxyType(
    {status: Look(*_PHASE_MARKS[status], words) for status, words in PHASE_STANDS.items()}
)
STATUSES: Mapping[str, Look] = MappingProxyType(
    {status: Look(*_RUN_MARKS.get(status, _WAITS), words) for status, words in STANDS.items()}
)
RUN: Mapping[str, Look] = MappingProxyType(
    {status: look for status, look in STATUSES.items() if status not in (INTERRUPTED, QUEUED)}
)

# What a user can type next, by the run's status; {run} is its id.
NEXT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "running": ("orchestrator status {run}", "orchestrator pause {run}"),
        "paused": ("orchestrator resume {run}",),
        "waiting_review": (
            "orchestrator show {run}",
            "orchestrator approve {run}",
            'orchestrator reject {run} --reason "…"',
        ),
        "waiting_provider": ("orchestrator resume {run} --wait",),
        "waiting_budget": ("orchestrator cost {run}", "orchestrator resume {run} --budget USD"),
        "needs_credential": ("orchestrator resume {run}",),
        "needs_attention": ("orchestrator show {run}", "orchestrator resume {run}"),
        "blocked": ("orchestrator resume {run}",),
        "completed": ("orchestrator show {run}",),
        "failed": ("orchestrator show {run}", "orchestrator resume {run}"),
        "cancelled": ("orchestrator show {run}",),
    }
)
