"""The phase graph: who waits for whom, in which order, and the refusal of a graph that cannot be walked.

Reading one from YAML, with line numbers, is `workflow_file.py`; which phase may start now is `scheduler.py`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from orchestrator_v2.core.errors import WorkflowError
from orchestrator_v2.core.workflow import Phase, Workflow

ENGINE_AGENT = "engine"
_PHASE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,63}")
_REVIEWS = ("", "agent", "human")
_SHOWN = 10
_FACTS = {"mode": ("simulated", "real", "replay")}


def refuse(name: str, faults: Sequence[WorkflowError]) -> None:
    """Raises the mistakes of a workflow as one error, each with its line; nothing where there is none."""
    if not faults:
        return
    if len(faults) == 1:
        raise faults[0]
    told = []
    for fault in faults[:_SHOWN]:
        place = f"line {fault.line}: " if fault.line else ""
        told.append(" ".join(part for part in (place + fault.what.partition(": ")[2], fault.why, fault.do) if part))
    more = f" And {len(faults) - _SHOWN} more." if len(faults) > _SHOWN else ""
    why = " ".join(f"({number}) {text}" for number, text in enumerate(told, 1)) + more
    raise WorkflowError(f"Workflow '{name}' has {len(faults)} mistakes.", why, line=faults[0].line)


def _field(kind: str) -> str:
    """`gate.evidence` of "check under `gate.evidence`"."""
    return kind.split("`")[1] if "`" in kind else kind


class PhaseGraph:
    """A workflow that was checked: every need exists, no cycle, no duplicate.

    `order` is a topological order that keeps the file's order where it can. `agents` and `checks` are the valid
    names (None: not checked). From a file, `lines` tells where a word stands, by (phase id, field, word), and where a
    phase begins, by (phase id, "", ""); `found` are mistakes that its reader saw. Raises `WorkflowError`.
    """

    def __init__(
        self,
        workflow: Workflow,
        *,
        agents: Collection[str] | None = None,
        checks: Collection[str] | None = None,
        lines: Mapping[tuple[str, str, str], int] | None = None,
        found: Sequence[WorkflowError] = (),
    ) -> None:
        self.workflow = workflow
        self._lines = lines or {}
        refuse(workflow.name, [*found, *self._bad_ids()])
        self.phases = {phase.id: phase for phase in workflow.phases}
        bad_words = [fault for phase in workflow.phases for fault in self._bad_words(phase, agents, checks)]
        refuse(workflow.name, bad_words)
        self._needs = {phase.id: phase.needs for phase in workflow.phases}
        self.successors: dict[str, list[str]] = {phase_id: [] for phase_id in self.phases}
        for phase in workflow.phases:
            for need in dict.fromkeys(phase.needs):
                self.successors[need].append(phase.id)
        self.order = self._topological_order()
        self._refuse_bad_loops()

    def _error(
        self, phase_id: str, what: str, why: str = "", do: str = "", *, at: tuple[str, str] = ("", "")
    ) -> WorkflowError:
        """`at` is the field and the word in it that the mistake lies in."""
        line = self._lines.get((phase_id, *at)) or self._lines.get((phase_id, "", ""))
        place = f"Workflow '{self.workflow.name}'" + (f", line {line}" if line else "")
        return WorkflowError(f"{place}: {what}", why, do, line=line)

    def _bad_ids(self) -> Iterator[WorkflowError]:
        if not self.workflow.phases:
            yield self._error("", "it has no phases.", do="Give it at least one phase with `id` and `agent`.")
        seen: set[str] = set()
        for phase in self.workflow.phases:
            if not _PHASE_ID.fullmatch(phase.id):
                yield self._error(
                    phase.id, f"'{phase.id}' is no phase id.", do="Use a letter, then letters, digits, - and _."
                )
            if phase.id in seen:
                yield self._error(phase.id, f"the phase id '{phase.id}' is there twice.", do="Rename one of the two.")
            seen.add(phase.id)

    def _bad_words(
        self, phase: Phase, agents: Collection[str] | None, checks: Collection[str] | None
    ) -> Iterator[WorkflowError]:
        words: list[tuple[str, str, Collection[str] | None]] = [
            (phase.agent, "agent", None if agents is None else {*agents, ENGINE_AGENT}),
            *((need, "phase under `needs`", self.phases) for need in phase.needs),
            *((check, "check under `gate.evidence`", checks) for check in phase.gate.evidence),
            (phase.gate.review, "reviewer under `gate.review`", _REVIEWS),
            (phase.on_fail or phase.id, "phase under `on_fail`", self.phases),
            *((fact, "fact under `when`", _FACTS) for fact in phase.when),
            *((value, f"value of `when.{fact}`", _FACTS.get(fact, ())) for fact, value in phase.when.items()),
        ]
        for word, kind, valid in words:
            if valid is not None and word not in valid:
                near = get_close_matches(word, list(valid), n=1)
                guess = f"Did you mean '{near[0]}'?" if near else f"Use one of {', '.join(sorted(valid)) or 'none'}."
                what = f"phase '{phase.id}' names an unknown {kind} '{word}'."
                yield self._error(phase.id, what, do=guess, at=(_field(kind), word))
        if phase.max_rounds < 1:
            what = f"phase '{phase.id}' has max_rounds {phase.max_rounds}."
            yield self._error(phase.id, what, do="Use 1 or more.", at=("max_rounds", ""))

    def _topological_order(self) -> tuple[str, ...]:
        """Kahn's algorithm over in-degree counters; what is left over lies on or behind a cycle."""
        waits = {phase_id: len(set(phase.needs)) for phase_id, phase in self.phases.items()}
        queue = deque(phase_id for phase_id, count in waits.items() if count == 0)
        order: list[str] = []
        while queue:
            phase_id = queue.popleft()
            order.append(phase_id)
            for successor in self.successors[phase_id]:
                waits[successor] -= 1
                if waits[successor] == 0:
                    queue.append(successor)
        if len(order) < len(self.phases):
            self._refuse_cycle()
        return tuple(order)

    def _refuse_bad_loops(self) -> None:
        for phase in self.workflow.phases:
            # Looking upstream costs the size of the graph, so only those that name another phase are looked at.
            if phase.on_fail not in ("", phase.id) and phase.on_fail not in self.upstream(phase.id):
                raise self._error(
                    phase.id,
                    f"phase '{phase.id}' has on_fail '{phase.on_fail}', which it does not stand on.",
                    "Doing that again would not do this one again.",
                    "Name the phase itself or one upstream of it.",
                    at=("on_fail", phase.on_fail),
                )

    def _refuse_cycle(self) -> None:
        import networkx

        edges = [edge[0] for edge in networkx.find_cycle(self.digraph)]
        path = " -> ".join([*edges, edges[0]])
        raise self._error(
            edges[0], f"it has a cycle: {path}.", do=f"Take one of these out of the other's `needs`: {path}."
        )

    @cached_property
    def digraph(self) -> Any:
        """The `networkx.DiGraph` with an edge from each need to the phase that needs it."""
        import networkx

        graph: Any = networkx.DiGraph()
        graph.add_nodes_from(self.phases)
        graph.add_edges_from((need, phase.id) for phase in self.workflow.phases for need in phase.needs)
        return graph

    @cached_property
    def in_degree(self) -> dict[str, int]:
        return {phase_id: len(set(phase.needs)) for phase_id, phase in self.phases.items()}

    def upstream(self, phase_id: str) -> tuple[str, ...]:
        """All that the phase stands on, in `order`."""
        return self._reach(phase_id, self._needs)

    def downstream(self, phase_id: str) -> tuple[str, ...]:
        """All that stands on the phase, in `order`."""
        return self._reach(phase_id, self.successors)

    def _reach(self, start: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        found: set[str] = set()
        todo = [start]
        while todo:
            for other in edges[todo.pop()]:
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return tuple(phase_id for phase_id in self.order if phase_id in found)

    def layers(self) -> list[list[str]]:
        """Phases by their longest distance from a start: what may run side by side stands in one list."""
        depth: dict[str, int] = {}
        for phase_id in self.order:
            depth[phase_id] = 1 + max((depth[need] for need in self.phases[phase_id].needs), default=-1)
        rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
        for phase_id in self.order:
            rows[depth[phase_id]].append(phase_id)
        return rows
