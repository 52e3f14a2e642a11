"""Scheduling: what is ready, told from a whole state and step by step, over many graphs and seeds."""

from __future__ import annotations

import random

import immutables
import pytest

from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.scheduler import Frontier, ready
from orchestrator_v2.engine.state_models import PhaseState, PhaseStatus, ProjectState


def random_graph(source: random.Random, size: int) -> PhaseGraph:
    phases = [Phase(f"p{i}", "a", needs=tuple(f"p{j}" for j in range(i) if source.random() < 0.3)) for i in range(size)]
    return PhaseGraph(Workflow("w", tuple(phases)))


def state_with(graph: PhaseGraph, done: set[str]) -> ProjectState:
    phases = immutables.Map({name: PhaseState(status=PhaseStatus.DONE) for name in done})
    return ProjectState("run", RunStarted("p", "n", "b", graph.workflow, "simulated"), phases=phases)


@pytest.mark.parametrize("block", range(20))
def test_the_frontier_frees_what_the_state_shows_ready(block: int) -> None:
    """Over 2,000 seeds: settling step by step frees each phase once, just when the whole state shows it ready."""
    for seed in range(block * 100, block * 100 + 100):
        source = random.Random(seed)
        graph = random_graph(source, source.randint(1, 14))
        done: set[str] = set()
        frontier = Frontier(graph, state_with(graph, done))
        free = set(ready(graph, state_with(graph, done)))
        while free:
            chosen = source.choice(sorted(free))
            free.remove(chosen)
            done.add(chosen)
            freed = frontier.settle(chosen)
            assert not set(freed) & free
            free.update(freed)
            assert free == set(ready(graph, state_with(graph, done))), f"seed {seed}"
        assert done == set(graph.phases)


def test_a_frontier_of_a_half_done_state_goes_on_from_there() -> None:
    """Counters built from a resumed state agree with those that walked there."""
    source = random.Random(7)
    graph = random_graph(source, 12)
    done = set(graph.order[:5])
    frontier = Frontier(graph, state_with(graph, done))
    for name in [name for name in graph.order if name not in done]:
        frontier.settle(name)
        done.add(name)
    assert done == set(graph.phases)
