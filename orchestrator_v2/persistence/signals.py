"""Signals on a SQL database: wishes for a run that any process may leave, and its worker takes.

What a signal does to a run is the engine's; it is marked as consumed by the append that follows from it.
"""

from __future__ import annotations

from orchestrator_v2.engine.ports import Signal
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Session, Transaction, Unit
from orchestrator_v2.persistence.runs import no_such_run


def send(run_id: str, kind: str, payload: bytes, now: float) -> Unit:
    def apply(transaction: Transaction) -> int:
        sent = transaction.session.rows(sql.INSERT_SIGNAL, (kind, payload, now, run_id))
        if not sent:
            raise no_such_run(run_id)
        number: int = sent[0][0]
        return number

    return Unit(apply)


def read_signals(session: Session, run_id: str) -> list[Signal]:
    return [Signal(row[0], row[1], bytes(row[2])) for row in session.rows(sql.SELECT_SIGNALS, (run_id,))]


def read_signalled(session: Session) -> list[str]:
    return [row[0] for row in session.rows(sql.SELECT_SIGNALLED)]
