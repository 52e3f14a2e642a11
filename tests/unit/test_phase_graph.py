"""The phase graph: order, reach, and the refusal of graphs that cannot be walked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import WorkflowError
from orchestrator_v2.core.workflow import Gate, Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.workflow_file import load_workflow

GOOD = """\
name: small
phases:
  - id: plan
    agent: architect
  - id: build
    agent: developer
    needs: [plan]
    gate: {evidence: [parses]}
"""


def load(text: str) -> PhaseGraph:
    return load_workflow(text, source="small.yaml", agents={"architect", "developer"}, checks={"parses", "tests"})


def graph(**needs: tuple[str, ...]) -> PhaseGraph:
    return PhaseGraph(Workflow("w", tuple(Phase(name, "a", needs=need) for name, need in needs.items())))


@st.composite
def acyclic(draw: st.DrawFn) -> PhaseGraph:
    size = draw(st.integers(1, 12))
    phases = [
        Phase(
            f"p{i}", "a", needs=tuple(sorted(draw(st.sets(st.sampled_from([f"p{j}" for j in range(i)])))) if i else ())
        )
        for i in range(size)
    ]
    return PhaseGraph(Workflow("w", tuple(draw(st.permutations(phases)))))


@given(acyclic())
def test_every_phase_stands_after_what_it_needs(graph: PhaseGraph) -> None:
    """The order is a topological one, whatever the order in the file."""
    place = {name: index for index, name in enumerate(graph.order)}
    assert len(place) == len(graph.phases)
    assert all(place[need] < place[name] for name, phase in graph.phases.items() for need in phase.needs)


@given(acyclic())
def test_reach_agrees_with_networkx(graph: PhaseGraph) -> None:
    """Upstream and downstream are what networkx calls ancestors and descendants."""
    import networkx

    for name in graph.phases:
        assert set(graph.upstream(name)) == networkx.ancestors(graph.digraph, name)
        assert set(graph.downstream(name)) == networkx.descendants(graph.digraph, name)


def test_a_cycle_is_named_with_its_path() -> None:
    """A cycle is refused, and the message walks it."""
    with pytest.raises(WorkflowError, match=r"cycle: .*(a -> b -> a|b -> a -> b)"):
        graph(a=("b",), b=("a",), c=())


def test_a_workflow_file_is_read() -> None:
    """A good file gives its phases in order."""
    assert load(GOOD).order == ("plan", "build")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("agent: developer", "agent: develper", 6, "Did you mean 'developer'"),
        ("needs: [plan]", "needs: [plna]", 7, "Did you mean 'plan'"),
        ("id: build", "id: plan", 5, "there twice"),
        ("needs: [plan]", "need: [plan]", 7, "Did you mean 'needs'"),
        ("evidence: [parses]", "evidence: [parse]", 8, "Did you mean 'parses'"),
        ("evidence: [parses]", "proof: [parses]", 8, "unknown word 'proof'"),
        ("needs: [plan]", "needs: plan", 7, "it must be a list, but it is text"),
        ("    agent: developer\n", "", 5, "no `id` or no `agent`"),
        ("needs: [plan]", "needs: [plan]\n    max_rounds: 0", 8, "max_rounds 0"),
        ("needs: [plan]", "needs: [plan]\n    when: {mood: real}", 8, "unknown fact"),
        ("phases:", "phasen:", 2, "Did you mean 'phases'"),
        ("name: small", "name: [", 3, "is not YAML"),
        ("id: build", "id: ../etc", 5, "is no phase id"),
    ],
)
def test_a_mistake_is_shown_with_its_line_and_the_right_word(old: str, new: str, line: int, words: str) -> None:
    """Each kind of mistake in a file names its line and what would be right."""
    with pytest.raises(WorkflowError) as caught:
        load(GOOD.replace(old, new))
    assert words in str(caught.value)
    assert caught.value.line == line


def test_every_mistake_of_a_file_is_named_with_its_own_line() -> None:
    """One look is enough: unknown words and unknown names, each where it stands."""
    text = GOOD.replace("agent: developer", "agent: develper").replace(
        "needs: [plan]", "needs:\n      - plan\n      - plna"
    )
    with pytest.raises(WorkflowError, match="has 3 mistakes") as caught:
        load(text.replace("[parses]", "[parses, test]"))
    assert all(words in caught.value.why for words in ("line 6: ", "line 9: ", "line 10: ", "Did you mean 'tests'?"))
    with pytest.raises(WorkflowError, match="has 2 mistakes"):
        load(GOOD.replace("agent: developer", "agent: []").replace("needs: [plan]", "need: [plan]"))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("agent: developer", "agent: [developer]", 6, "`agent` has the wrong type: it must be text, but it is a list"),
        ("evidence: [parses]", "evidence: {parses: 1}", 8, "must be a list, but it is a mapping"),
        ("evidence: [parses]", "evidence: [3]", 8, "must be text, but it is a whole number"),
        ("name: small", "name: [small]", 1, "`name` has the wrong type"),
    ],
)
def test_a_wrong_type_is_told_in_plain_words(old: str, new: str, line: int, words: str) -> None:
    """No message of a library comes through: field, what it must be, what it is."""
    with pytest.raises(WorkflowError) as caught:
        load(GOOD.replace(old, new))
    assert words in str(caught.value)
    assert caught.value.line == line
    assert "$" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b", "name: x\nphases: {}", "name: x", "phases:\n  - 3"])
def test_something_that_is_no_workflow_is_refused(text: str) -> None:
    """Other YAML is refused as a workflow, never read as an empty one."""
    with pytest.raises(WorkflowError):
        load(text)


def test_layers_hold_what_may_run_side_by_side() -> None:
    """Phases without a path between them stand in one layer."""
    assert graph(a=(), b=("a",), c=("a",), d=("b", "c")).layers() == [["a"], ["b", "c"], ["d"]]


def test_a_python_built_graph_names_no_line() -> None:
    """A graph built in Python is refused by the same rules, without a line."""
    with pytest.raises(WorkflowError) as caught:
        PhaseGraph(Workflow("w", (Phase("a", "x", gate=Gate(review="nobody")),)))
    assert caught.value.line is None
