"""How the states of runs and phases are marked and named, and what to do next in each: data.

Drawing with it is `live_view.py`, `plain_view.py` and `render.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Look(NamedTuple):
    """A mark, its twin where the terminal has no UTF-8, a Rich style, and the state in words."""

    mark: str
    ascii: str
    style: str
    words: str


PHASE: Mapping[str, Look] = MappingProxyType(
    {
        "pending": Look("○", ".", "bright_black", "to come"),
        "running": Look("●", ">", "cyan", "works"),
        "waiting_review": Look("◆", "?", "yellow", "waits for you"),
        "done": Look("✓", "+", "green", "done"),
        "skipped": Look("–", "-", "bright_black", "skipped"),
        "failed": Look("✗", "x", "red", "failed"),
    }
)

RUN: Mapping[str, Look] = MappingProxyType(
    {
        "running": Look("●", ">", "cyan", "running"),
        "paused": Look("‖", "=", "yellow", "paused"),
        "waiting_review": Look("◆", "?", "yellow", "waits for your review"),
        "waiting_provider": Look("◆", "?", "yellow", "waits for the provider"),
        "waiting_budget": Look("◆", "?", "yellow", "waits for more budget"),
        "needs_credential": Look("◆", "?", "yellow", "needs a valid key"),
        "needs_attention": Look("◆", "?", "yellow", "needs your attention"),
        "blocked": Look("◆", "?", "yellow", "blocked"),
        "completed": Look("✓", "+", "green", "completed"),
        "failed": Look("✗", "x", "red", "failed"),
        "cancelled": Look("–", "-", "bright_black", "cancelled"),
    }
)

# A run that is marked as running while its worker is dead: no status of the engine's, for the dead record nothing.
INTERRUPTED = "interrupted"
STATUSES: Mapping[str, Look] = MappingProxyType(
    {**RUN, INTERRUPTED: Look("◆", "?", "yellow", "interrupted: nobody drives it; nothing is lost")}
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
