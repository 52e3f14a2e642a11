"""The form for a new project: workflows with their pictures, what auto comes to, models, what was typed so far.

What a request comes to when it is sent is settled behind the service; here it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchestrator_v2.agents.estimating import PhaseEstimate, total
from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.api.web.frame import Problem
from orchestrator_v2.api.web.graph_svg import Pictured, picture
from orchestrator_v2.api.web.text import price_range, slug
from orchestrator_v2.core.accounts import Credential
from orchestrator_v2.core.text import one_line
from orchestrator_v2.engine.phase_graph import PhaseGraph

# Of an agent's own model in a form: `agent.architect`.
AGENT = "agent."
_LARGEST_FORM = 1 << 20


class Filled(msgspec.Struct, frozen=True):
    """What a person has typed, as it came: a form that was refused gives it back. `models` maps agents to models."""

    name: str = ""
    brief: str = ""
    workflow: str = "default"
    mode: str = "auto"
    budget: str = ""
    review: str = "agent"
    model: str = ""
    models: Mapping[str, str] = {}


class WorkflowChoice(msgspec.Struct, frozen=True):
    name: str
    anchor: str
    description: str
    picture: Pictured
    is_chosen: bool


class AgentChoice(msgspec.Struct, frozen=True):
    name: str
    title: str
    charge: str
    chosen: str


class EstimateLine(msgspec.Struct, frozen=True):
    phase: str
    agent: str
    calls: str
    input_tokens: str
    output_tokens: str
    cost: str
    basis: str


class Estimate(msgspec.Struct, frozen=True):
    """A price range, phase by phase. `is_free`: the run would be simulated, and the range is what it would cost."""

    model: str
    cost: str
    lines: tuple[EstimateLine, ...]
    is_free: bool


class NewForm(msgspec.Struct, frozen=True):
    """`auto` says what mode auto comes to for this user, `key` guards against a form that is sent twice."""

    filled: Filled
    workflows: tuple[WorkflowChoice, ...]
    agents: tuple[AgentChoice, ...]
    models: tuple[tuple[str, str], ...]
    auto: str
    has_key: bool
    key: str
    estimate: Estimate | None = None
    problem: Problem | None = None


def new_form(
    workflows: Mapping[str, PhaseGraph],
    keys: Sequence[Credential],
    models: Iterable[str],
    *,
    key: str,
    filled: Filled | None = None,
    estimate: Estimate | None = None,
    problem: Problem | None = None,
) -> NewForm:
    """The form. `models` are names as `provider/model`; `key` is a fresh idempotency key."""
    filled = filled or Filled()
    usable = [each for each in keys if each.state == "ok"]
    return NewForm(
        filled=filled,
        workflows=tuple(
            WorkflowChoice(
                name=name,
                anchor=slug(name),
                description=one_line(graph.workflow.description, 300),
                picture=picture(graph, None, 0.0),
                is_chosen=name == filled.workflow,
            )
            for name, graph in workflows.items()
        ),
        agents=agent_choices(filled.models),
        models=tuple((name, one_line(name, 100)) for name in models),
        auto=auto_words(usable),
        has_key=bool(usable),
        key=key,
        estimate=estimate,
        problem=problem,
    )


def agent_choices(chosen: Mapping[str, str]) -> tuple[AgentChoice, ...]:
    """The eight agents, each with the model that is chosen for it (empty: the run's)."""
    return tuple(AgentChoice(role.name, role.title, role.charge, chosen.get(role.name, "")) for role in ROLES.values())


def auto_words(usable: Sequence[Credential]) -> str:
    """What mode auto comes to for the owner of these keys."""
    if not usable:
        return "For you it comes to simulated: you have stored no key."
    names = " or ".join(dict.fromkeys(one_line(key.provider, 40) for key in usable))
    return f"For you it comes to real: you have a key for {names}."


def filled_from(fields: Mapping[str, str]) -> Filled:
    """What a form sent, as it came; fields that are not there take their defaults."""
    names = ("name", "brief", "workflow", "mode", "budget", "review", "model")
    given = {name: fields[name][:_LARGEST_FORM] for name in names if name in fields}
    models = {
        name.removeprefix(AGENT): value[:200] for name, value in fields.items() if name.startswith(AGENT) and value
    }
    return Filled(**given, models=models)


def estimate_view(model: str, lines: Sequence[PhaseEstimate], *, is_free: bool) -> Estimate:
    """What a run may cost with `model`, phase by phase."""
    low, high = total(lines)
    return Estimate(
        model=one_line(model, 100),
        cost=price_range(low.cost, high.cost),
        lines=tuple(
            EstimateLine(
                phase=one_line(line.phase, 60),
                agent=one_line(line.agent, 40),
                calls=_between(line.low.calls, line.high.calls),
                input_tokens=_between(line.low.input_tokens, line.high.input_tokens),
                output_tokens=_between(line.low.output_tokens, line.high.output_tokens),
                cost=price_range(line.low.cost, line.high.cost),
                basis=one_line(line.basis, 60),
            )
            for line in lines
        ),
        is_free=is_free,
    )


def _between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
