"""Which phases may start now, told in two ways that must agree: from the state, and step by step.

`ready` reads a whole state (start, resume, another driver); `Frontier` keeps in-degree counters so that a
finished phase costs its out-degree. Who runs them, and how many at once, is the driver's (`durable/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import SETTLED, PhaseStatus, ProjectState


def ready(graph: PhaseGraph, state: ProjectState) -> list[str]:
    """Pending phases whose needs are all settled, in the graph's order."""
    return [
        phase_id
        for phase_id in graph.order
        if state.phase(phase_id).status is PhaseStatus.PENDING
        and all(state.phase(need).status in SETTLED for need in graph.phases[phase_id].needs)
    ]


class Frontier:
    """In-degree counters over a state: `settle` says what a settled phase sets free."""

    def __init__(self, graph: PhaseGraph, state: ProjectState) -> None:
        self._graph = graph
        self._waits = dict(graph.in_degree)
        for phase_id, phase in state.phases.items():
            if phase.status in SETTLED:
                self.settle(phase_id)

    def settle(self, phase_id: str) -> list[str]:
        """The phases that waited for this one alone, in the file's order. Once for each settled phase."""
        freed = []
        for successor in self._graph.successors[phase_id]:
            self._waits[successor] -= 1
            if self._waits[successor] == 0:
                freed.append(successor)
        return freed


def upstream_artifacts(graph: PhaseGraph, state: ProjectState, phase_id: str) -> tuple[Artifact, ...]:
    """What the phases below `phase_id` made, in the graph's order; narrowed by the phase's `inputs` patterns."""
    from orchestrator_v2.engine.patterns import matches

    patterns = graph.phases[phase_id].inputs
    return tuple(
        artifact
        for below in graph.upstream(phase_id)
        for artifact in state.phase(below).artifacts
        if not patterns or matches(artifact.path, patterns)
    )


def whole_tree(graph: PhaseGraph, state: ProjectState) -> dict[str, Artifact]:
    """Path to artifact over all phases, as they stand; a path belongs to one phase."""
    return {artifact.path: artifact for phase_id in graph.order for artifact in state.phase(phase_id).artifacts}


def owners_besides(state: ProjectState, phase_id: str) -> dict[str, str]:
    """Path to the phase that made it, over all phases but `phase_id`."""
    return {a.path: name for name, entry in state.phases.items() if name != phase_id for a in entry.artifacts}


def owner_of(graph: PhaseGraph, state: ProjectState, path: str) -> str | None:
    """The phase that made the artifact at `path`."""
    for phase_id in graph.order:
        if any(artifact.path == path for artifact in state.phase(phase_id).artifacts):
            return phase_id
    return None


_FACTS: Mapping[str, Callable[[ProjectState], str]] = {"mode": lambda state: state.begun.mode}


def skip_reason(graph: PhaseGraph, state: ProjectState, phase_id: str) -> str:
    """Why the phase's `when` leaves it out, empty when it does not."""
    for fact, wanted in graph.phases[phase_id].when.items():
        value = _FACTS[fact](state)
        if value != wanted:
            return f"only when {fact} is {wanted}; it is {value}"
    return ""
