"""A range of cost for each phase before a run: typical sizes first, what was recorded as soon as there is enough."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.agents.estimating import ENOUGH_RUNS, TYPICAL, estimate, total
from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.bootstrap import load_workflow_named
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.prices import PriceRow

ROW = PriceRow(input=((0, 2_000_000_000),), output=((0, 10_000_000_000),))


@pytest.fixture(scope="module")
def graph():
    return load_workflow_named("default")


def test_each_phase_that_an_agent_works_in_has_a_line_in_the_order_of_the_walk(graph):
    """Eleven phases ask a model, the last one asks nobody; every line has a least and a most."""
    lines = estimate(graph, brief_tokens=50, row=ROW, history={})
    assert [line.phase for line in lines] == [name for name in graph.order if graph.phases[name].agent != "engine"]
    assert all(0 < line.low.cost <= line.high.cost for line in lines)
    assert {line.basis for line in lines} == {"typical sizes"}
    low, high = total(lines)
    assert (low.cost, high.cost) == (sum(line.low.cost for line in lines), sum(line.high.cost for line in lines))


@settings(max_examples=30)
@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_longer_brief_never_costs_less(one, other):
    """Every prompt holds the brief, so the estimate grows with it."""
    graph = load_workflow_named("default")
    shorter, longer = sorted((one, other))
    small, large = (total(estimate(graph, brief_tokens=size, row=ROW, history={})) for size in (shorter, longer))
    assert small[0].cost <= large[0].cost
    assert small[1].cost <= large[1].cost


def test_what_was_recorded_replaces_the_typical_sizes_once_there_is_enough(graph):
    """Three runs of a phase give its range, at today's price; two are not enough."""
    past = [Usage(1_000 * n, 100 * n, calls=n) for n in (1, 2, 3)]
    lines = {
        line.phase: line
        for line in estimate(graph, brief_tokens=50, row=ROW, history={"qa": past, "data": past[: ENOUGH_RUNS - 1]})
    }
    assert lines["qa"].basis == "3 runs"
    assert (lines["qa"].low.calls, lines["qa"].high.calls) == (1, 3)
    assert lines["qa"].high.cost == 3_000 * 2_000 + 300 * 10_000
    assert lines["data"].basis == "typical sizes"


def test_an_unknown_price_leaves_the_cost_unknown(graph):
    """Tokens are estimated all the same; the money is None, never 0."""
    low, high = total(estimate(graph, brief_tokens=50, row=None, history={}))
    assert (low.cost, high.cost) == (None, None)
    assert high.input_tokens > low.input_tokens > 0


def test_every_role_has_typical_sizes():
    """The eight agents are all in the table, and nothing else is."""
    assert set(TYPICAL) == set(ROLES)
