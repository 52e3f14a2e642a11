"""Going back in a run: what a fork or a rollback keeps, what it does again, which files are put in place.

Both are plans over a state; `engine.py` records them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from orchestrator_v2.core import events as e
from orchestrator_v2.core.errors import InputError, UnknownNameError
from orchestrator_v2.core.records import Artifact, Provenance, content_hash, tree_hash
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.scheduler import owner_of, upstream_artifacts, whole_tree
from orchestrator_v2.engine.state_models import SETTLED, PhaseStatus, ProjectState

HUMAN = Provenance("human")


class Branch(msgspec.Struct, frozen=True):
    """`again` are the phases that will be done anew, `replaced` the artifacts that a person put in place."""

    again: frozenset[str]
    replaced: tuple[e.ArtifactReplaced, ...]
    blobs: dict[str, bytes]


def known_phase(graph: PhaseGraph, phase: str) -> None:
    if phase not in graph.phases:
        raise UnknownNameError("phase", phase, graph.phases)


def plan(
    graph: PhaseGraph, state: ProjectState, phase: str, replacements: Mapping[str, bytes], *, in_place: bool = False
) -> Branch:
    """What going back to `phase` means. Raises `InputError` where a replaced file would be made again.

    A replaced artifact of `phase` itself stands for that phase's work: then only what stands on it is done again.
    Where that waits for its review, it does so on, `in_place`: for a review of what was put there.
    """
    known_phase(graph, phase)
    owners = {path: owner_of(graph, state, path) for path in replacements}
    for path, owner in owners.items():
        if owner is None:
            raise UnknownNameError(
                "artifact", path, whole_tree(graph, state), "`orchestrator artifacts RUN` lists them."
            )
    below = frozenset(graph.downstream(phase))
    stands = {*SETTLED, PhaseStatus.WAITING_REVIEW} if in_place else SETTLED
    again = below if phase in owners.values() and state.phase(phase).status in stands else below | {phase}
    for path, owner in owners.items():
        if owner in again:
            raise InputError(
                f"'{path}' cannot be replaced when going back to '{phase}'.",
                f"Phase '{owner}' will be done again and makes it anew.",
                f"Use `--from {owner}`.",
            )
    made = {path: Artifact(path, content_hash(content), len(content), HUMAN) for path, content in replacements.items()}
    replaced = tuple(
        e.ArtifactReplaced(owner, artifact, _up_for_review(graph, state, owner, made))
        for path, artifact in made.items()
        if (owner := owners[path])
    )
    blobs = {content_hash(content): content for content in replacements.values()}
    return Branch(again, replaced, blobs)


def _up_for_review(graph: PhaseGraph, state: ProjectState, owner: str, made: Mapping[str, Artifact]) -> str:
    """The hash of what a reviewer of `owner` looks at once `made` is in place; empty where none is waited for."""
    entry = state.phase(owner)
    if entry.status is not PhaseStatus.WAITING_REVIEW:
        return ""
    seen = (*upstream_artifacts(graph, state, owner), *entry.artifacts)
    return tree_hash([(a.path, made.get(a.path, a).hash) for a in seen])


def kept_events(graph: PhaseGraph, state: ProjectState, branch: Branch, *, forked_from: str) -> list[e.Event]:
    """The first events of a fork: the start, then each kept phase as it stands, free of charge."""
    events: list[e.Event] = [replace(state.begun, forked_from=forked_from)]
    for name in graph.order:
        entry = state.phase(name)
        if name in branch.again or entry.status not in SETTLED:
            continue
        if entry.status is PhaseStatus.SKIPPED:
            events.append(e.PhaseSkipped(name, "; ".join(entry.reasons)))
            continue
        events.append(
            e.TaskCompleted(
                phase=name,
                round=entry.round,
                attempt=entry.attempt,
                result=entry.result,
                artifacts=entry.artifacts,
                receipts=entry.receipts,
                provenance=entry.provenance,
                notes=(*entry.notes, "kept from an earlier run"),
            )
        )
    return [*events, *branch.replaced]


def reopeners(graph: PhaseGraph, failed: Iterable[str]) -> list[str]:
    """The phases that failed ones would have reopened: resuming tries those again too, with all between."""
    again: list[str] = []
    for name in failed:
        target = graph.phases[name].on_fail
        if target:
            again += [target, *graph.downstream(target)]
    return again
