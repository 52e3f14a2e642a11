"""A run told as a row of commits, one for each phase, in the graph's order.

Laying them out as a git repository is `workspace/git.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator_v2.core.events import ArtifactReplaced, Event, TaskCompleted
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import PhaseState, PhaseStatus, ProjectState


class PhaseCommit(msgspec.Struct, frozen=True):
    """A commit to be: its message, and the artifacts that the phase owns."""

    message: str
    artifacts: tuple[Artifact, ...]


def phase_commits(graph: PhaseGraph, state: ProjectState) -> list[PhaseCommit]:
    """A commit for each phase that has files, finished or waiting; the same state gives the same commits."""
    return [
        PhaseCommit(_message(graph, name, state.phase(name)), state.phase(name).artifacts)
        for name in graph.order
        if state.phase(name).artifacts
    ]


def _message(graph: PhaseGraph, name: str, entry: PhaseState) -> str:
    phase = graph.phases[name]
    lines = [f"{name}: {phase.title or phase.agent}", "", f"Agent: {phase.agent}", f"Made: {made_how(entry)}"]
    if entry.status is not PhaseStatus.DONE:
        lines.append(f"State: {entry.status}")
    lines += [f"Evidence: {r.check} {'passed' if r.passed else 'failed'}" for r in entry.receipts]
    lines += [f"Note: {note}" for note in entry.notes]
    return "\n".join(lines) + "\n"


def made_by(event: Event) -> tuple[Artifact, ...]:
    """The files that an event brought into the project, by an agent or by hand."""
    if isinstance(event, TaskCompleted):
        return event.artifacts
    return (event.artifact,) if isinstance(event, ArtifactReplaced) else ()


def made_how(entry: PhaseState) -> str:
    """How the phase's work came to be; what a person put in its place is named. Empty before there is any."""
    if not (entry.artifacts or entry.result):
        return ""
    by_hand = [artifact.path for artifact in entry.artifacts if artifact.provenance.kind == "human"]
    if not by_hand:
        return str(entry.provenance)
    if len(by_hand) == len(entry.artifacts):
        return "by hand"
    return f"{entry.provenance}; by hand: {', '.join(by_hand)}"


def files_of(commit: PhaseCommit, blobs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path to content of a commit's artifacts."""
    return {artifact.path: blobs[artifact.hash] for artifact in commit.artifacts}
