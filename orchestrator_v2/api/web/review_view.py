"""What waits for a person: the work, the verdict of the agent that judged it, and the forms of a decision.

A decision carries the hash of what was seen; whether that still stands is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.file_view import Body, Edit, body_of, edit_of
from orchestrator_v2.api.web.text import size, slug, visible
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.core.text import count, one_line
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.replay import REPLAY
from orchestrator_v2.engine.scheduler import upstream_artifacts
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState
from orchestrator_v2.parts import Standing

# Files of a phase whose content is shown in the box; the others are linked.
_SHOWN = 12


class ReviewFile(msgspec.Struct, frozen=True):
    """`body` and `edit` are None where the content is not shown here."""

    path: str
    link: str
    size: str
    anchor: str
    body: Body | None = None
    edit: Edit | None = None


class Review(msgspec.Struct, frozen=True):
    """`content` is the hash of all that is judged; `below` is what the work stands on."""

    phase: str
    title: str
    agent: str
    anchor: str
    round: int
    content: str
    result: str
    feedback: str
    files: tuple[ReviewFile, ...]
    below: tuple[ReviewFile, ...]
    reopens: str


class Reviews(msgspec.Struct, frozen=True):
    run_id: str
    may_write: bool
    waiting: tuple[Review, ...]
    summary: str


def reviews_view(
    graph: PhaseGraph, standing: Standing, contents: Mapping[str, bytes], *, may_write: bool = True
) -> Reviews:
    """All reviews that wait; `contents` by path has at least the files named by `review_paths`."""
    state = standing.state
    names = [] if standing.row.mode == REPLAY else for_review(graph, state)
    waiting = tuple(_review(graph, state, name, contents) for name in names)
    return Reviews(state.run_id, may_write, waiting, f"{count(len(waiting), 'review')} waiting" if waiting else "")


def for_review(graph: PhaseGraph, state: ProjectState) -> list[str]:
    """The phases that wait for a person's word; none once the run has ended."""
    if state.status in TERMINAL:
        return []
    return [name for name in graph.order if state.phase(name).status is PhaseStatus.WAITING_REVIEW]


def review_paths(graph: PhaseGraph, state: ProjectState) -> dict[str, Artifact]:
    """The files whose content the review box shows."""
    return {
        artifact.path: artifact
        for name in for_review(graph, state)
        for artifact in state.phase(name).artifacts[:_SHOWN]
    }


def _review(graph: PhaseGraph, state: ProjectState, name: str, contents: Mapping[str, bytes]) -> Review:
    phase, entry = graph.phases[name], state.phase(name)
    own = {artifact.path for artifact in entry.artifacts}
    below = [artifact for artifact in upstream_artifacts(graph, state, name) if artifact.path not in own]
    target = phase.on_fail or name
    return Review(
        phase=name,
        title=one_line(phase.title or name, 60),
        agent=one_line(phase.agent, 40),
        anchor=f"review-{slug(name)}",
        round=entry.round,
        content=entry.reviewed,
        result=visible(entry.result)[:8_000],
        feedback=visible(entry.feedback)[:4_000],
        files=tuple(_file(state.run_id, name, artifact, contents) for artifact in entry.artifacts),
        below=tuple(_file(state.run_id, name, artifact, {}) for artifact in below),
        reopens=one_line(graph.phases[target].title or target, 60),
    )


def _file(run_id: str, phase: str, artifact: Artifact, contents: Mapping[str, bytes]) -> ReviewFile:
    content = contents.get(artifact.path)
    shown = content is not None
    return ReviewFile(
        path=artifact.path,
        link=links.file(run_id, artifact.path),
        size=size(artifact.size),
        anchor=f"review-{slug(phase)}-{slug(artifact.path)}-{artifact.hash[:8]}",
        body=body_of(content, artifact.path, run_id=run_id) if shown and content is not None else None,
        edit=edit_of(content, artifact.path, artifact.hash) if shown and content is not None else None,
    )
