"""The ledger of a run's model calls as tables and as data: by phase, by model, by call.

How calls get into the ledger is the model layer's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator_v2.cli import render
from orchestrator_v2.cli.summary import usage_of
from orchestrator_v2.cli.text import moment
from orchestrator_v2.core.text import count, money, tokens
from orchestrator_v2.core.usage import NO_USAGE, Usage, usd
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.telling import mode_of
from orchestrator_v2.llm.ledger import CallRow


def phase_of(call: CallRow) -> str:
    """`development` for a call named `development.r2/act/3`."""
    return call.key.partition("/")[0].partition(".")[0]


def usage(call: CallRow) -> Usage:
    """What the call used; its cost is what was charged for it, None where that is not known."""
    base = call.completion.usage if call.completion is not None else NO_USAGE
    return Usage(
        base.input_tokens, base.output_tokens, base.cache_read_tokens, base.cache_write_tokens, 1, call.charged
    )


def grouped(calls: Sequence[CallRow], key: Callable[[CallRow], str]) -> dict[str, Usage]:
    """Usage by key; a group with one unknown cost is unknown."""
    sums: dict[str, Usage] = {}
    for call in calls:
        sums[key(call)] = sums.get(key(call), NO_USAGE) + usage(call)
    return sums


def _agent_in(state: ProjectState) -> Callable[[CallRow], str]:
    agents = {phase.id: phase.agent for phase in state.begun.workflow.phases}
    return lambda call: agents.get(phase_of(call), "unknown")


def _model(call: CallRow) -> str:
    return f"{call.provider}/{call.model}"


def say(state: ProjectState, calls: Sequence[CallRow]) -> None:
    """Prints the ledger; a run that asked no model says so."""
    total = sum((usage(call) for call in calls), NO_USAGE)
    known = sum(call.charged or 0 for call in calls)
    amount = money(total.cost, state.budget)
    if total.cost is None:
        amount += f" (known part: {usd(known)})"
    render.say(f"{state.run_id}  {mode_of(state.begun)}")
    render.facts([("total", f"{amount}, {tokens(total)}, {count(len(calls), 'call')}")])
    if not calls:
        return
    for title, key in (("By phase", phase_of), ("By agent", _agent_in(state)), ("By model", _model)):
        render.heading(title)
        render.table(
            (title.split()[1], "calls", "in", "out", "from cache", "cost"),
            [(name, *_numbers(used)) for name, used in grouped(calls, key).items()],
        )
    render.heading("By call")
    render.table(
        ("call", "attempt", "model", "outcome", "in", "out", "cost", "at"),
        [
            (
                call.key,
                str(call.attempt),
                call.model,
                call.outcome,
                f"{usage(call).input_tokens:,}",
                f"{usage(call).output_tokens:,}",
                _cost(call),
                moment(call.at),
            )
            for call in calls
        ],
    )


def _numbers(used: Usage) -> tuple[str, ...]:
    return (
        str(used.calls),
        f"{used.input_tokens:,}",
        f"{used.output_tokens:,}",
        f"{used.cache_read_tokens:,}",
        usd(used.cost),
    )


def _cost(call: CallRow) -> str:
    if call.charged is None and call.reserved is not None:
        return f"unknown, at most {usd(call.reserved)}"
    return usd(call.charged)


def as_data(state: ProjectState, calls: Sequence[CallRow]) -> dict[str, Any]:
    """The same as plain data; an unknown cost is null."""
    total = sum((usage(call) for call in calls), NO_USAGE)
    return {
        "run_id": state.run_id,
        "mode": state.begun.mode,
        "budget_nano_usd": state.budget,
        "total": usage_of(total),
        "by_phase": {name: usage_of(used) for name, used in grouped(calls, phase_of).items()},
        "by_agent": {name: usage_of(used) for name, used in grouped(calls, _agent_in(state)).items()},
        "by_model": {name: usage_of(used) for name, used in grouped(calls, _model).items()},
        "calls": [
            {
                "key": call.key,
                "attempt": call.attempt,
                "provider": call.provider,
                "model": call.model,
                "outcome": call.outcome,
                "at": call.at,
                "reserved_nano_usd": call.reserved,
                "error": call.error or None,
                **usage_of(usage(call)),
            }
            for call in calls
        ],
    }
