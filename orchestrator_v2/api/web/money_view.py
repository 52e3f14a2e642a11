"""Tokens and cost of one run against its budget, and its ledger as tables.

Usage over all runs is `usage_view.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from orchestrator_v2.api.web.words import CALL, Look
from orchestrator_v2.core.text import one_line
from orchestrator_v2.core.usage import NO_USAGE, Usage, usd
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.telling import mode_of
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.parts import Standing

# So many of the newest calls stand in the table.
SHOWN = 200
# From this share of the budget on the bar warns (percent).
NEARLY = 80.0


class Group(msgspec.Struct, frozen=True):
    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    cached: int
    cost: str


class Call(msgspec.Struct, frozen=True):
    key: str
    attempt: int
    model: str
    look: Look
    input_tokens: int
    output_tokens: int
    cost: str
    at: float
    error: str


class Money(msgspec.Struct, frozen=True):
    """`spent` is charged, `reserved` held for calls under way; the percents are theirs of the budget, 0 to 100.

    `known` is the part of the cost that is known where not all of it is.
    """

    mode: str
    is_free: bool
    spent: str
    budget: str
    percent: float
    reserved_percent: float
    reserved: str
    tone: str
    left: str
    known: str
    input_tokens: int
    output_tokens: int
    calls: int
    cached_percent: float | None
    tables: tuple[tuple[str, tuple[Group, ...]], ...]
    newest: tuple[Call, ...]
    earlier: int


def money_view(standing: Standing, calls: Sequence[CallRow]) -> Money:
    """A run's cost as its ledger has it."""
    state = standing.state
    total = sum((usage_of(call) for call in calls), NO_USAGE)
    held = sum(call.reserved or 0 for call in calls if call.charged is None)
    # The ledger's sum is what was charged and what is held; the page says the two apart.
    sum_of_both = standing.row.spent if standing.row.mode == "real" else state.usage.cost
    known = sum(call.charged or 0 for call in calls)
    charged = known if sum_of_both is None else max(0, sum_of_both - held)
    budget = state.budget
    percent = _share(charged, budget)
    newest = tuple(_call(call) for call in reversed(calls[-SHOWN:]))
    hit = total.hit_rate
    return Money(
        mode=mode_of(state.begun),
        is_free=standing.row.mode != "real",
        spent="unknown" if sum_of_both is None else usd(charged),
        budget=usd(budget) if budget is not None else "",
        percent=percent,
        reserved_percent=min(100.0 - percent, _share(held, budget)),
        reserved=usd(held) if held else "",
        tone=_tone(percent),
        left="" if budget is None or sum_of_both is None else usd(max(0, budget - sum_of_both)),
        known=usd(known) if sum_of_both is None else "",
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        calls=len(calls),
        cached_percent=round(100 * hit, 1) if hit is not None else None,
        tables=_tables(state, calls),
        newest=newest,
        earlier=len(calls) - len(newest),
    )


def phase_of(call: CallRow) -> str:
    """`development` for a call named `development.r2/act/3`."""
    return call.key.partition("/")[0].partition(".")[0]


def usage_of(call: CallRow) -> Usage:
    """What the call used; its cost is what was charged for it, None where that is not known."""
    base = call.completion.usage if call.completion is not None else NO_USAGE
    return Usage(
        base.input_tokens, base.output_tokens, base.cache_read_tokens, base.cache_write_tokens, 1, call.charged
    )


def _share(part: int, whole: int | None) -> float:
    return round(min(100.0, 100 * part / whole), 2) if whole else 0.0


def _tone(percent: float) -> str:
    return "bad" if percent >= 100 else "waits" if percent >= NEARLY else "good"


def _tables(state: ProjectState, calls: Sequence[CallRow]) -> tuple[tuple[str, tuple[Group, ...]], ...]:
    agents = {phase.id: phase.agent for phase in state.begun.workflow.phases}
    keys: tuple[tuple[str, Callable[[CallRow], str]], ...] = (
        ("Phase", phase_of),
        ("Agent", lambda call: agents.get(phase_of(call), "unknown")),
        ("Model", lambda call: f"{call.provider}/{call.model}"),
    )
    return tuple((title, _grouped(calls, key)) for title, key in keys) if calls else ()


def _grouped(calls: Sequence[CallRow], key: Callable[[CallRow], str]) -> tuple[Group, ...]:
    """Usage by key; a group with one unknown cost is unknown."""
    sums: dict[str, Usage] = {}
    for call in calls:
        sums[key(call)] = sums.get(key(call), NO_USAGE) + usage_of(call)
    return tuple(
        Group(one_line(name, 80), u.calls, u.input_tokens, u.output_tokens, u.cache_read_tokens, usd(u.cost))
        for name, u in sums.items()
    )


def _call(call: CallRow) -> Call:
    used = usage_of(call)
    unknown = call.charged is None and call.reserved is not None
    return Call(
        key=one_line(call.key, 80),
        attempt=call.attempt,
        model=one_line(call.model, 80),
        look=CALL.get(call.outcome, Look("◆", "waits", one_line(call.outcome, 40))),
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost=f"at most {usd(call.reserved)}" if unknown else usd(call.charged),
        at=call.at,
        error=one_line(call.error, 300),
    )
