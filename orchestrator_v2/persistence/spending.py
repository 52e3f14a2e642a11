"""What each owner has spent in a UTC day and month, kept beside the calls, so that a ceiling needs no sum over them.

When a call is refused for it is `ledger_rules.py`; the calls are `model_calls.py` and `memory_calls.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from orchestrator_v2.persistence import account_statements as sql

Sum = tuple[int, int]
"""Nano-dollars charged or reserved, and the number of calls of unknown cost."""

NOTHING: Sum = (0, 0)


def periods(at: float) -> tuple[str, str]:
    """The UTC day and month of a moment in epoch seconds: `2026-11-05` and `2026-11`."""
    day = datetime.fromtimestamp(at, UTC).date().isoformat()
    return day, day[:7]


def next_period(period: str) -> str:
    """The day on which the period after this one begins."""
    if len(period) == len("2026-11-05"):
        return (date.fromisoformat(period) + timedelta(days=1)).isoformat()
    return (date.fromisoformat(f"{period}-01") + timedelta(days=31)).replace(day=1).isoformat()


class Rows(Protocol):
    """The part of a `batch.Session` that is used here."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None: ...


class Purses(Protocol):
    """The sums of all owners, as they stand for the call that is looked at."""

    def total(self, owner_id: str, period: str) -> Sum: ...

    def move(self, owner_id: str, at: float, by: Sum) -> None:
        """Adds `by` to the day and the month of the moment `at`."""
        ...


class MemoryPurses:
    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Sum] = {}

    def total(self, owner_id: str, period: str) -> Sum:
        return self._sums.get((owner_id, period), NOTHING)

    def move(self, owner_id: str, at: float, by: Sum) -> None:
        _add(self._sums, owner_id, at, by)


class SqlPurses:
    """Within one transaction: each row is read once and changed once, at the end, in one order for all."""

    __slots__ = ("_found", "_moved", "_session")

    def __init__(self, session: Rows) -> None:
        self._session = session
        self._found: dict[tuple[str, str], Sum] = {}
        self._moved: dict[tuple[str, str], Sum] = {}

    def total(self, owner_id: str, period: str) -> Sum:
        """True until the commit only where the transaction holds the owner's purse; see `Unit.holds`."""
        row = (owner_id, period)
        if row not in self._found:
            found = self._session.rows(sql.SELECT_SPENDING, row)
            self._found[row] = (found[0][0], found[0][1]) if found else NOTHING
        (spent, unpriced), (more, unknown) = self._found[row], self._moved.get(row, NOTHING)
        return spent + more, unpriced + unknown

    def move(self, owner_id: str, at: float, by: Sum) -> None:
        _add(self._moved, owner_id, at, by)

    def flush(self) -> None:
        rows = [(*row, *by) for row, by in sorted(self._moved.items()) if by != NOTHING]
        if rows:
            self._session.many(sql.ADD_SPENDING, rows)


def _add(sums: dict[tuple[str, str], Sum], owner_id: str, at: float, by: Sum) -> None:
    if by == NOTHING:
        return
    for period in periods(at):
        spent, unpriced = sums.get((owner_id, period), NOTHING)
        sums[owner_id, period] = (spent + by[0], unpriced + by[1])
