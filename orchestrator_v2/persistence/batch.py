"""One transaction of many units: fencing, postponed multi-row inserts, and a bad unit that fails alone.

What the units do is in the file named after their subject; who commits is a database's writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator_v2.core.errors import BudgetError, FencedError, StoreError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.engine.ports import Claim
from orchestrator_v2.persistence.spending import SqlPurses

Row = tuple[Any, ...]


class Session(Protocol):
    """A database connection as the units see it; statements are those of `statements.py`."""

    poison: tuple[type[Exception], ...]
    """What the driver raises when a unit's own values are to blame, not the database."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]: ...

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Gives the number of rows that were changed."""
        ...

    def many(self, statement: str, rows: Sequence[Row]) -> None: ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...

    def heads(self, run_nos: Sequence[int]) -> list[Row]:
        """(run_no, epoch, spent, unpriced, id of the last event, owner) of those runs, locked until the end."""
        ...

    def hold(self, names: Sequence[str]) -> None:
        """Waits until no other transaction holds one of these, and holds them until this one ends."""
        ...


@dataclass(slots=True)
class Head:
    """What a run's writes are checked against, as it stands inside the transaction; `last` is its last event's id."""

    epoch: int
    spent: int
    unpriced: int
    last: int
    owner_id: str


@dataclass(slots=True)
class Unit:
    """Work that is committed whole or not at all. It may be applied again, and checks before it writes.

    `before` and `after` name the crash points on both sides of its commit; `run_no` is the run it is fenced by;
    `holds` names what no other transaction may be changing meanwhile.
    """

    apply: Callable[[Transaction], Any]
    run_no: int = 0
    before: str = ""
    after: str = ""
    holds: str = ""


class Transaction:
    """What a unit may do. Rows given to `later` go in together at the end, one prepared statement for all."""

    def __init__(self, session: Session, units: Sequence[Unit]) -> None:
        self.session = session
        self.purses = SqlPurses(session)
        self._later: dict[str, list[Row]] = {}
        # In order, so that two transactions do not wait for each other.
        heads = session.heads(sorted({unit.run_no for unit in units if unit.run_no}))
        self._heads = {row[0]: Head(*row[1:6]) for row in heads}
        if held := {unit.holds for unit in units if unit.holds}:
            session.hold(sorted(held))

    def fence(self, claim: Claim) -> Head:
        """Raises `FencedError` when another worker has claimed the run since."""
        head = self._heads.get(claim.run_no)
        if head is None or head.epoch != claim.epoch:
            raise fenced(claim)
        return head

    def moved(self, run_no: int, epoch: int) -> None:
        if run_no in self._heads:
            self._heads[run_no].epoch = epoch

    def later(self, statement: str, rows: Iterable[Row]) -> None:
        self._later.setdefault(statement, []).extend(rows)

    def flush(self) -> None:
        waiting, self._later = self._later, {}
        for statement, rows in waiting.items():
            if rows:
                self.session.many(statement, rows)
        self.purses.flush()


Outcome = tuple[Any, Exception | None]

REFUSALS = (StoreError, BudgetError)


def apply_units(session: Session, units: Sequence[Unit], probe: Probe) -> list[Outcome]:
    """Leaves the session in a transaction that holds every unit without an error, ready to commit."""
    session.begin()
    try:
        outcomes = _together(session, units)
    except session.poison:
        session.rollback()
        session.begin()
        outcomes = [_alone(session, unit) for unit in units]
    for unit, (_, error) in zip(units, outcomes, strict=True):
        if unit.before and error is None:
            probe(unit.before)
    return outcomes


def passed(units: Sequence[Unit], outcomes: Sequence[Outcome], probe: Probe) -> None:
    """The crash points that lie between the commit and its acknowledgement."""
    for unit, (value, error) in zip(units, outcomes, strict=True):
        if unit.after and error is None and value is not None:
            probe(unit.after)


def _together(session: Session, units: Sequence[Unit]) -> list[Outcome]:
    transaction = Transaction(session, units)
    outcomes: list[Outcome] = []
    for unit in units:
        try:
            outcomes.append((unit.apply(transaction), None))
        except REFUSALS as error:
            outcomes.append((None, error))
    transaction.flush()
    return outcomes


def _alone(session: Session, unit: Unit) -> Outcome:
    session.change("SAVEPOINT unit")
    try:
        transaction = Transaction(session, [unit])
        value = unit.apply(transaction)
        transaction.flush()
    except REFUSALS as error:
        session.change("ROLLBACK TO SAVEPOINT unit")
        outcome: Outcome = (None, error)
    except session.poison as error:
        session.change("ROLLBACK TO SAVEPOINT unit")
        outcome = (None, unstorable(error))
    else:
        outcome = (value, None)
    session.change("RELEASE SAVEPOINT unit")
    return outcome


def fenced(claim: Claim) -> FencedError:
    return FencedError(
        f"Run '{claim.run_id}' is no longer held by this worker.",
        f"Another worker claimed it after epoch {claim.epoch}.",
        "Stop working on it here; nothing was written.",
    )


def gap(claim: Claim) -> StoreError:
    return StoreError(
        f"An event of run '{claim.run_id}' was not written.",
        "The event before it is not there: an append before this one has failed.",
        "Resume the run; all that was acknowledged is there.",
    )


def unstorable(error: Exception) -> StoreError:
    return StoreError(
        "A record was not written.",
        f"The database refuses its values: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
        "It may be there already, or hold characters or numbers that no database takes.",
    )
