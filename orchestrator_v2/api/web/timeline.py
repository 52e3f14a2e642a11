"""A run's events as lines in plain words: when, about which phase, what happened, how it was made.

The sentences are `engine/telling.py`; what a state is called is `words.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from orchestrator_v2.api.web.words import RUN, Look, look_of_run
from orchestrator_v2.core import events as e
from orchestrator_v2.core.text import one_line, with_id
from orchestrator_v2.engine.telling import sentence

# A page holds this many of the newest lines; the count of the others stands above them.
SHOWN = 400
_LONGEST = 1_200


class Line(msgspec.Struct, frozen=True):
    """One event. `about` is a phase or `run`, `round` 0 where it has none, `made` how its work came to be."""

    seq: int
    at: float
    about: str
    look: Look
    text: str
    round: int = 0
    made: str = ""


class Timeline(msgspec.Struct, frozen=True):
    """The newest lines, newest first; `earlier` counts those that are left out."""

    lines: tuple[Line, ...]
    earlier: int = 0


def timeline(events: Sequence[e.Recorded], run_id: str) -> Timeline:
    """The events as lines."""
    newest = events[-SHOWN:]
    return Timeline(tuple(line(entry, run_id) for entry in reversed(newest)), len(events) - len(newest))


def line(entry: e.Recorded, run_id: str = "") -> Line:
    """One event as a line."""
    event = entry.event
    about, text = told(event, run_id)
    rounds = getattr(event, "round", 0)
    made = str(event.provenance) if isinstance(event, e.TaskCompleted) else ""
    if isinstance(event, e.ArtifactReplaced):
        made = str(event.artifact.provenance)
    return Line(entry.seq, entry.at, about, _look(event), text, rounds, one_line(made))


def told(event: e.Event, run_id: str = "") -> tuple[str, str]:
    """(the phase it is about, or `run`; what happened), commands in it with the run's id."""
    return getattr(event, "phase", "run"), one_line(with_id(sentence(event), run_id), _LONGEST)


_BEGUN, _AGAIN, _WAITS = Look("●", "busy", "begun"), Look("↻", "waits", "again"), Look("◆", "waits", "waits")
_GOOD, _BAD, _LEFT = Look("✓", "good", "done"), Look("✗", "bad", "failed"), Look("–", "quiet", "left out")
_COMPLETED = {"passed": _GOOD, "failed": _BAD, "waiting": _WAITS}
_LOOKS: Mapping[type, Callable[[Any], Look]] = MappingProxyType(
    {
        e.TaskCompleted: lambda event: _COMPLETED[event.gate],
        e.TaskFailed: lambda event: _WAITS if event.parks_as else _BAD,
        e.PhaseReopened: lambda event: _AGAIN,
        e.PhaseSkipped: lambda event: _LEFT,
        e.ReviewDecided: lambda event: _GOOD if event.approved else _BAD,
        e.ArtifactReplaced: lambda event: Look("✎", "waits", "edited"),
        e.RunParked: lambda event: look_of_run(event.status),
        e.RunRolledBack: lambda event: _AGAIN,
        e.RunCompleted: lambda event: RUN["completed"],
        e.RunFailed: lambda event: RUN["failed"],
        e.RunCancelled: lambda event: RUN["cancelled"],
    }
)


def _look(event: e.Event) -> Look:
    chosen = _LOOKS.get(type(event))
    return chosen(event) if chosen else _BEGUN
