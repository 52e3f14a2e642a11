"""What a run may use before it is started: a range of calls and tokens for each phase, from history or typical sizes.

What tokens cost is `llm/prices.py`; the ceiling that holds while a run goes on is its budget, not this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.phase_graph import ENGINE_AGENT, PhaseGraph
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.prices import PriceRow, price

# From so many recorded runs of a phase on, what they used says more than a role's typical sizes.
ENOUGH_RUNS = 3
# Tokens around the brief and the upstream work: system prompt, task, the answer's schema (templates of this release).
_FRAME = 1_200
# A second round repeats the phase with the failing output in its prompt; one is what a real walk often needs.
_ROUNDS = (1, 2)

Range = tuple[int, int]
# An earlier run: its workflow's name, and its recorded calls.
Past = tuple[str, Sequence[CallRow]]


class Typical(msgspec.Struct, frozen=True):
    """Steps of a plan, and tokens that a step's answer has. Planning figures of this project, not measurements."""

    steps: Range
    answer: Range


_PLAN_ANSWER: Range = (150, 700)
TYPICAL: Mapping[str, Typical] = {
    "architect": Typical((1, 2), (800, 3_000)),
    "data": Typical((1, 2), (600, 2_000)),
    "developer": Typical((2, 6), (1_500, 6_000)),
    "qa": Typical((1, 4), (1_200, 5_000)),
    "documentarian": Typical((1, 2), (800, 2_500)),
    "reviewer": Typical((1, 1), (500, 2_000)),
    "steward": Typical((1, 1), (400, 1_500)),
    "consensus": Typical((1, 1), (300, 1_200)),
}
_ANY_ROLE = Typical((1, 3), (500, 3_000))


class PhaseEstimate(msgspec.Struct, frozen=True):
    """The least and the most that a phase may use; costs in nano-dollars, None for an unknown price.

    `basis` says what it stands on, such as `4 runs` or `typical sizes`.
    """

    phase: str
    agent: str
    low: Usage
    high: Usage
    basis: str


def estimate(
    graph: PhaseGraph,
    *,
    brief_tokens: int,
    row: PriceRow | None,
    history: Mapping[str, Sequence[Usage]],
    own: Mapping[str, PriceRow | None] | None = None,
) -> list[PhaseEstimate]:
    """One line a phase, in the order of the walk. `history` has the usage of a phase in earlier runs of the graph;
    `own` the prices of agents (by role) that have a model of their own."""
    made: dict[str, Range] = {}
    lines = []
    for name in graph.order:
        phase = graph.phases[name]
        if phase.agent == ENGINE_AGENT:
            continue
        upstream = [made[each] for each in graph.upstream(name) if each in made]
        known = brief_tokens + _FRAME
        read = (known + sum(low for low, _ in upstream), known + sum(high for _, high in upstream))
        low, high, written = _typical(phase, read)
        made[name] = written
        past = history.get(name, ())
        if len(past) >= ENOUGH_RUNS:
            low, high = _least(past), _most(past)
            basis = f"{len(past)} runs"
        else:
            basis = "typical sizes"
        paid = (own or {}).get(resolve_role(phase.agent).name, row)
        lines.append(PhaseEstimate(name, phase.agent, _priced(low, paid), _priced(high, paid), basis))
    return lines


def history_of(workflow: str, past: Sequence[Past]) -> dict[str, list[Usage]]:
    """What each phase used in the earlier runs of that workflow."""
    history: dict[str, list[Usage]] = {}
    for name, calls in past:
        if name == workflow:
            for phase, used in usage_by_phase(calls).items():
                history.setdefault(phase, []).append(used)
    return history


def usage_by_phase(calls: Sequence[CallRow]) -> dict[str, Usage]:
    """What each phase of one run used, all its rounds together, as the ledger has it."""
    sums: dict[str, Usage] = {}
    for call in calls:
        phase = call.key.partition("/")[0].partition(".")[0]
        used = call.completion.usage if call.completion is not None else Usage()
        sums[phase] = sums.get(phase, Usage()) + msgspec.structs.replace(used, calls=1)
    return sums


def total(lines: Sequence[PhaseEstimate]) -> tuple[Usage, Usage]:
    """The sums of the least and of the most; a cost is None as soon as one is unknown."""
    low, high = Usage(), Usage()
    for line in lines:
        low, high = low + line.low, high + line.high
    return low, high


def _typical(phase: Phase, read: Range) -> tuple[Usage, Usage, Range]:
    sizes = TYPICAL.get(resolve_role(phase.agent).name, _ANY_ROLE)
    repeated = _ROUNDS if phase.on_fail or "tests" in phase.gate.evidence else (1, 1)
    usages = [
        Usage(
            input_tokens=rounds * (1 + sizes.steps[end]) * read[end],
            output_tokens=rounds * (_PLAN_ANSWER[end] + sizes.steps[end] * sizes.answer[end]),
            calls=rounds * (1 + sizes.steps[end]),
        )
        for end, rounds in enumerate(repeated)
    ]
    written = (sizes.steps[0] * sizes.answer[0], sizes.steps[1] * sizes.answer[1])
    return usages[0], usages[1], written


def _least(past: Sequence[Usage]) -> Usage:
    return Usage(*(min(getattr(each, name) for each in past) for name in _COUNTED))


def _most(past: Sequence[Usage]) -> Usage:
    return Usage(*(max(getattr(each, name) for each in past) for name in _COUNTED))


_COUNTED = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "calls")


def _priced(usage: Usage, row: PriceRow | None) -> Usage:
    return msgspec.structs.replace(usage, cost=price(row, usage))
