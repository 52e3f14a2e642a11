"""The picture of a phase graph: nothing overlaps, edges go where they should, states are told in words too."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.api.web import graph_svg
from orchestrator_v2.api.web.graph_layout import Measures, place
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from tests.unit import web_cases as cases

SIZES = (graph_svg.LYING, graph_svg.UPRIGHT)


@st.composite
def graphs(draw: st.DrawFn) -> PhaseGraph:
    """Graphs of up to fourteen phases that need any of those before them."""
    count = draw(st.integers(1, 14))
    phases: list[Phase] = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set()
        back = draw(st.sampled_from(["", *(f"p{need}" for need in sorted(needs))]))
        phases.append(Phase(f"p{number}", "qa", needs=tuple(f"p{need}" for need in sorted(needs)), on_fail=back))
    return PhaseGraph(Workflow("w", tuple(phases)))


@pytest.mark.parametrize("sizes", SIZES)
@given(graph=graphs())
def test_boxes_do_not_overlap_and_stay_inside(graph: PhaseGraph, sizes: Measures) -> None:
    """Every phase has its own place within the picture, in both directions."""
    placed = place(graph, sizes)
    assert set(placed.boxes) == set(graph.order)
    for x, y in placed.boxes.values():
        assert -0.01 <= x <= placed.width - sizes.width + 0.01
        assert -0.01 <= y <= placed.height - sizes.height + 0.01
    for (ax, ay), (bx, by) in combinations(placed.boxes.values(), 2):
        assert abs(ax - bx) >= sizes.width or abs(ay - by) >= sizes.height


@pytest.mark.parametrize("sizes", SIZES)
@given(graph=graphs())
def test_every_need_is_a_way_that_goes_forward(graph: PhaseGraph, sizes: Measures) -> None:
    """An edge begins at the end of its need, ends at the beginning of its phase and never turns back."""
    placed = place(graph, sizes)
    wanted = {(need, name) for name in graph.order for need in graph.phases[name].needs}
    assert set(placed.ways) == wanted
    along = 1 if sizes.upright else 0
    for (need, name), points in placed.ways.items():
        steps = [point[along] for point in points]
        assert steps == sorted(steps)
        assert steps[0] == placed.boxes[need][along] + sizes.deep
        assert steps[-1] == placed.boxes[name][along]
        assert len(points) % 2 == 0


def test_ways_back_are_drawn_from_the_judge_to_what_it_reopens() -> None:
    """Each `on_fail` is a loop, and one that was taken is marked."""
    graph = PhaseGraph(cases.workflow())
    seen = graph_svg.picture(graph, cases.facts("x").standing.state, cases.NOW)
    assert [(loop.told, loop.tone) for loop in seen.lying.loops] == [("look may send back to build", "taken")]


def test_a_phase_is_told_with_who_how_long_and_what_last() -> None:
    """The words behind a box hold its agent, state, time and last sign of life."""
    facts = cases.facts("x", events=cases.history("x")[:4])
    seen = graph_svg.picture(
        facts.graph, facts.standing.state, cases.NOW, doing={"build": graph_svg.Doing("m answered", cases.NOW)}
    )
    box = next(box for box in seen.lying.boxes if box.name == "build")
    assert box.told == "build (developer): works, for 1:36, m answered"
    assert "build works" in seen.summary


@pytest.mark.parametrize(
    ("later", "interrupted", "words"),
    [(10.0, False, "works"), (graph_svg.QUIET + 200, False, "stalled"), (10.0, True, "stalled")],
)
def test_a_phase_without_a_sign_of_life_is_stalled(later: float, interrupted: bool, words: str) -> None:
    """A phase under way is called stalled when nobody drives it or nothing was heard for long."""
    facts = cases.facts("x", events=cases.history("x")[:4])
    seen = graph_svg.picture(facts.graph, facts.standing.state, cases.NOW + later, interrupted=interrupted)
    assert next(row.look.words for row in seen.rows if row.name == "build") == words


def test_a_workflow_is_drawn_before_there_is_a_run() -> None:
    """The picture of a choice has the phases and says nothing of states."""
    seen = graph_svg.picture(PhaseGraph(cases.workflow("Plan it")), None, 0.0)
    assert seen.summary == "3 phases: Plan it, build, look"
    assert all(box.look.words == "to come" for box in seen.upright.boxes)


def test_a_graph_of_many_phases_is_laid_out_in_time() -> None:
    """400 phases, each needing two before it, are placed within seconds."""
    import time

    phases = [Phase(f"p{n}", "qa", needs=tuple(f"p{m}" for m in {n - 1, n // 2} if 0 <= m < n)) for n in range(400)]
    began = time.monotonic()
    place(PhaseGraph(Workflow("w", tuple(phases))), graph_svg.LYING)
    assert time.monotonic() - began < 10
