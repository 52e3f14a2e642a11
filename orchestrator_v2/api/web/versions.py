"""The versions of a run's files, read off its events: which round made what, and which still stands.

Comparing two of them is `diff.py`; a file's page is `file_view.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.history import made_by


class Version(msgspec.Struct, frozen=True):
    """One content that a path has had; `number` counts from 1, `at` is in epoch seconds."""

    number: int
    phase: str
    round: int
    seq: int
    at: float
    artifact: Artifact


def versions_of(events: Sequence[e.Recorded], path: str) -> list[Version]:
    """All contents of one path, oldest first; a round that made the same bytes again adds none."""
    return versions(events).get(path, [])


def versions(events: Sequence[e.Recorded]) -> dict[str, list[Version]]:
    """The contents of every path, oldest first."""
    found: dict[str, list[Version]] = {}
    rounds: dict[str, int] = {}
    for entry in events:
        event = entry.event
        phase = getattr(event, "phase", "")
        if isinstance(event, e.TaskCompleted):
            rounds[phase] = event.round
        for artifact in made_by(event):
            known = found.setdefault(artifact.path, [])
            if not known or known[-1].artifact.hash != artifact.hash:
                number = len(known) + 1
                known.append(Version(number, phase, rounds.get(phase, 1), entry.seq, entry.at, artifact))
    return found
