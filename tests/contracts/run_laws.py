"""The laws of one run's events, held event by event, and random graphs to hold them on.

Who makes the events are the simulation (`unit/test_engine_simulation.py`) and the state machine (`run_machine.py`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from orchestrator_v2.core import events as e
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import (
    SETTLED,
    TERMINAL,
    PhaseStatus,
    ProjectState,
    RunStatus,
)
from orchestrator_v2.engine.transitions import apply

# What alone may go on with a run that has ended.
_REOPENING = (e.RunResumed, e.RunRolledBack)


def random_phases(source: random.Random, *, reviewed: bool = True) -> list[Phase]:
    """Two to nine phases, each standing on some before it; in some graphs a person reviews a quarter of them."""
    phases: dict[str, Phase] = {}
    above: dict[str, set[str]] = {}
    reviews = ("", "", "", "human") if reviewed else ("",)
    for number in range(source.randint(2, 9)):
        name = f"p{number}"
        needs = source.sample(list(phases), min(number, source.choice((0, 1, 1, 2, 3))))
        above[name] = set(needs).union(*(above[need] for need in needs))
        phases[name] = Phase(
            name,
            "developer",
            needs=(*needs, *needs[: source.random() < 0.1]),
            gate=Gate(review=source.choice(reviews)),
            optional=source.random() < 0.2,
            max_rounds=source.randint(1, 4),
            on_fail=source.choice(["", "", *sorted(above[name])]),
            when={"mode": "real"} if source.random() < 0.1 else {},
        )
    return list(phases.values())


class Queue:
    """Who is free to start, and since when: nobody is overtaken by one that was set free after it.

    `young` is since when a phase has been free without a break, `old` since when it may have stood in the queue.
    A walk takes the reviews that waited for it before it looks round, so after one this says nothing until the next.
    """

    def __init__(self, graph: PhaseGraph) -> None:
        self._graph = graph
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._says = True
        self.overtakings_looked_for = 0

    def before(self, recorded: e.Recorded) -> None:
        event = recorded.event
        if isinstance(event, e.TaskStarted) and self._says:
            place = self._old.get(event.phase, 0)
            starved = [name for name, since in self._young.items() if since < place and name != event.phase]
            assert not starved, f"{starved} were free before {event.phase}: {recorded.seq}"
            self.overtakings_looked_for += len(self._young) > 1

    def after(self, state: ProjectState, recorded: e.Recorded) -> None:
        event = recorded.event
        if isinstance(event, e.ReviewDecided):
            self._says = False
        if isinstance(event, _REOPENING):
            self._says = True
            self._young, self._old = {}, {}
        if isinstance(event, e.TaskStarted):
            self._old.pop(event.phase, None)
        failed = event.phase if isinstance(event, e.TaskFailed) else ""
        free = {name for name in self._graph.order if name != failed and self._is_free(state, name)}
        self._young = {name: self._young.get(name, recorded.seq) for name in free}
        for name in free:
            self._old.setdefault(name, recorded.seq)

    def _is_free(self, state: ProjectState, name: str) -> bool:
        phase = self._graph.phases[name]
        entry = state.phase(name)
        return (
            entry.status is PhaseStatus.PENDING
            and not phase.when
            and all(state.phase(need).status in SETTLED for need in phase.needs)
        )


class Laws:
    """Fed a run's events in their order; `state` is what they make. Raises AssertionError at the first that breaks one.

    `results` counts the results of each (phase, round) since a rollback took rounds back, if ever.
    """

    def __init__(self, graph: PhaseGraph, run_id: str) -> None:
        self.graph = graph
        self.state = ProjectState(run_id)
        self.queue = Queue(graph)
        self.results = Counter[tuple[str, int]]()
        self.events: list[e.Recorded] = []

    def hold(self, events: Iterable[e.Recorded]) -> ProjectState:
        for recorded in events:
            event, where = recorded.event, f"event {recorded.seq}: {recorded.event}"
            assert recorded.seq == self.state.seq + 1, where
            assert self.state.status not in TERMINAL or isinstance(event, (*_REOPENING, e.ArtifactReplaced)), where
            check = _CHECKS.get(type(event))
            if check is not None:
                check(self, event, where)
            self.queue.before(recorded)
            self.state = state = apply(self.state, recorded)
            self.queue.after(state, recorded)
            assert state.settled == sum(phase.status in SETTLED for phase in state.phases.values()), where
            self.events.append(recorded)
        return self.state

    def _started(self, event: e.TaskStarted, where: str) -> None:
        before = self.state.phase(event.phase)
        assert self.state.status is RunStatus.RUNNING, where
        assert before.status is PhaseStatus.PENDING, where
        assert all(self.state.phase(need).status in SETTLED for need in self.graph.phases[event.phase].needs), where
        assert (event.round, event.attempt) == (before.round, before.attempt + 1), where
        assert not self.results[event.phase, event.round], f"a committed step is done again, {where}"

    def _completed(self, event: e.TaskCompleted, where: str) -> None:
        self.results[event.phase, event.round] += 1
        assert self.results[event.phase, event.round] == 1, where
        before = self.state.phase(event.phase)
        assert before.status is PhaseStatus.RUNNING, where
        assert (event.round, event.attempt) == (before.round, before.attempt), where

    def _run_completed(self, event: e.RunCompleted, where: str) -> None:
        assert all(self.state.phase(name).status in SETTLED for name in self.graph.phases), where


_CHECKS = {
    e.TaskStarted: Laws._started,
    e.TaskCompleted: Laws._completed,
    e.RunCompleted: Laws._run_completed,
}
