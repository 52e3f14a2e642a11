"""What a run's model calls cost, added up by phase and by model; pure functions over the ledger's rows.

What all runs of a user cost is the store's `UsageBook`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.ledger import CallRow


class CostLine(msgspec.Struct, frozen=True):
    """`cost` is in nano-dollars, charged or still reserved; None where a part of it is unknown."""

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: int | None


class RunCost(msgspec.Struct, frozen=True):
    """`budget` and costs in nano-dollars; `unknown` counts the calls whose price nobody knows."""

    budget: int | None
    total: CostLine
    phases: tuple[CostLine, ...]
    models: tuple[CostLine, ...]
    unknown: int


def cost_of(calls: Sequence[CallRow], budget: int | None) -> RunCost:
    return RunCost(
        budget=budget,
        total=_line("total", calls),
        phases=_by(calls, lambda call: call.key.partition("/")[0].partition(".r")[0]),
        models=_by(calls, lambda call: f"{call.provider}/{call.model}"),
        unknown=sum(price_of(call) is None for call in calls),
    )


def price_of(call: CallRow) -> int | None:
    """Charged once it is settled, reserved until then."""
    return call.reserved if call.outcome in ("intent", "submitted") else call.charged


def _by(calls: Iterable[CallRow], name: Callable[[CallRow], str]) -> tuple[CostLine, ...]:
    groups: dict[str, list[CallRow]] = {}
    for call in calls:
        groups.setdefault(name(call), []).append(call)
    return tuple(_line(key, group) for key, group in groups.items())


def _line(name: str, calls: Sequence[CallRow]) -> CostLine:
    prices = [price_of(call) for call in calls]
    known = [price for price in prices if price is not None]
    usages = [call.completion.usage if call.completion else Usage() for call in calls]
    return CostLine(
        name=name,
        calls=len(calls),
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cost=sum(known) if len(known) == len(prices) else None,
    )
