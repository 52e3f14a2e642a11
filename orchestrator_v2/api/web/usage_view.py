"""What a user has used, by day, model and project, as charts and as tables.

The geometry of the charts is `charts.py`; one run's cost is `money_view.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.charts import Chart, Row, columns, rows
from orchestrator_v2.core.accounts import OPERATIONS, UsageLine
from orchestrator_v2.core.text import one_line, short_number
from orchestrator_v2.core.usage import usd

# Rows of a table by name; what is left over is one more row.
_MOST = 12


class Sum(msgspec.Struct, frozen=True):
    """`cost` is what is known of it; `is_whole` False where a part is unknown."""

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: int
    is_whole: bool
    link: str = ""

    @property
    def cost_words(self) -> str:
        return usd(self.cost) if self.is_whole else f"over {usd(self.cost)}"


class UsagePage(msgspec.Struct, frozen=True):
    days: int
    total: Sum
    by_day: Chart
    tokens_by_day: Chart
    by_model: tuple[Row, ...]
    day_rows: tuple[Sum, ...]
    model_rows: tuple[Sum, ...]
    project_rows: tuple[Sum, ...]
    is_empty: bool


def usage_page(
    lines: Sequence[UsageLine], *, today: str, days: int = 30, projects: Mapping[str, str] | None = None
) -> UsagePage:
    """The last `days` UTC days up to `today` (`2026-03-01`); `projects` are names by id."""
    last = date.fromisoformat(today)
    span = [(last - timedelta(days=ago)).isoformat() for ago in reversed(range(days))]
    inside = [line for line in lines if line.day in set(span)]
    by_day = {each.name: each for each in _sums(inside, lambda line: line.day)}
    models = _sums(inside, lambda line: f"{line.provider}/{line.model}")
    names = projects or {}
    return UsagePage(
        days=days,
        total=_sum("Total", inside),
        by_day=columns({day: by_day[day].cost if day in by_day else 0 for day in span}, usd),
        tokens_by_day=columns({day: _tokens(by_day[day]) if day in by_day else 0 for day in span}, short_number),
        by_model=rows([(one_line(each.name, 60), each.cost) for each in models[:_MOST]], usd),
        day_rows=tuple(sorted(by_day.values(), key=lambda each: each.name, reverse=True)),
        model_rows=_top(models),
        project_rows=tuple(
            msgspec.structs.replace(
                each, name=one_line(names.get(each.name, "a removed project"), 80), link=_project(each.name, names)
            )
            for each in _sums(inside, lambda line: line.project_id)[:50]
        ),
        is_empty=not inside,
    )


def _project(project_id: str, names: Mapping[str, str]) -> str:
    return links.project(project_id) if project_id in names and project_id != OPERATIONS else ""


def _tokens(each: Sum) -> int:
    return each.input_tokens + each.output_tokens


def _sums(lines: Sequence[UsageLine], key: Callable[[UsageLine], str]) -> list[Sum]:
    """Sums by key, the dearest first."""
    groups: dict[str, list[UsageLine]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    sums = [_sum(name, group) for name, group in groups.items()]
    return sorted(sums, key=lambda each: (-each.cost, -_tokens(each), each.name))


def _sum(name: str, lines: Sequence[UsageLine]) -> Sum:
    return Sum(
        name=one_line(name, 100),
        calls=sum(line.calls for line in lines),
        input_tokens=sum(line.input_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        cost=sum(line.cost or 0 for line in lines),
        is_whole=all(line.cost is not None for line in lines),
    )


def _top(sums: Sequence[Sum]) -> tuple[Sum, ...]:
    if len(sums) <= _MOST:
        return tuple(sums)
    rest = sums[_MOST:]
    return (
        *sums[:_MOST],
        Sum(
            f"{len(rest)} more",
            sum(each.calls for each in rest),
            sum(each.input_tokens for each in rest),
            sum(each.output_tokens for each in rest),
            sum(each.cost for each in rest),
            all(each.is_whole for each in rest),
        ),
    )
