"""Bars for usage: amounts by day as columns of an SVG, by name as rows of a list; geometry only.

What is summed up is `usage_view.py`; `_charts.html` draws, and the same numbers stand in a table beneath.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log10

import msgspec

WIDTH, HEIGHT = 560.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 8.0, 16.0, 28.0
# So much room a day's label takes.
_LABEL = 60


class Bar(msgspec.Struct, frozen=True):
    """`name` and `value` are words; `label` stands at the axis where there is room for it."""

    x: float
    y: float
    width: float
    height: float
    name: str
    value: str
    label: str = ""


class Row(msgspec.Struct, frozen=True):
    """`percent` is of the largest amount, 0 to 100."""

    name: str
    value: str
    percent: float


class Line(msgspec.Struct, frozen=True):
    """A line of the grid and the amount that it stands for."""

    y: float
    value: str


class Chart(msgspec.Struct, frozen=True):
    width: float
    height: float
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...] = ()
    left: float = _LEFT
    right: float = WIDTH - _RIGHT


def columns(amounts: Mapping[str, int], say: Callable[[int], str]) -> Chart:
    """One column for each day, oldest first; days are `2026-03-01`, amounts whole numbers from 0."""
    top = _round_up(max(amounts.values(), default=0))
    room = HEIGHT - _TOP - _BOTTOM
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(amounts))
    wide = max(2.0, min(26.0, step * 0.68))
    every = max(1, ceil(len(amounts) * _LABEL / (WIDTH - _LEFT - _RIGHT)))
    bars = []
    for number, (day, amount) in enumerate(amounts.items()):
        tall = room * amount / top if top else 0.0
        # What is not nothing is seen.
        tall = max(tall, 1.5) if amount else 0.0
        left = _LEFT + number * step + (step - wide) / 2
        label = day[5:] if (len(amounts) - 1 - number) % every == 0 else ""
        bars.append(Bar(_cut(left), _cut(_TOP + room - tall), _cut(wide), _cut(tall), day, say(amount), label))
    marks = (0, top // 2, top) if top > 1 else (0,)
    lines = tuple(Line(_cut(_TOP + room - (room * mark / top if top else 0)), say(mark)) for mark in marks)
    return Chart(WIDTH, HEIGHT, tuple(bars), lines)


def rows(amounts: Sequence[tuple[str, int]], say: Callable[[int], str]) -> tuple[Row, ...]:
    """One row for each name, in the order given."""
    top = max((amount for _, amount in amounts), default=0)
    return tuple(
        Row(name, say(amount), _cut(max(100 * amount / top, 0.5)) if amount else 0.0) for name, amount in amounts
    )


def _cut(number: float) -> float:
    return round(number, 1)


def _round_up(amount: int) -> int:
    """The next 1, 2, 2.5, 4 or 5 with zeros behind it: what an axis ends at."""
    if amount <= 0:
        return 0
    power = int(10 ** int(log10(amount)))
    steps = (power * step // 10 for step in (10, 20, 25, 40, 50, 100))
    return next(step for step in steps if step >= amount)
