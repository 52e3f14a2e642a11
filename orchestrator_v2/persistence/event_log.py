"""Events on a SQL database: one row each, keyed by run and place in one integer, so a run is one range of keys.

How an event is encoded is `core/events.py`; what else an append carries is in `artifacts.py`, `runs.py`, `signals.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.core.errors import StoreCorruptError
from orchestrator_v2.core.events import Recorded, decode_event, encode_event
from orchestrator_v2.engine.ports import Claim, RunChange
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Row, Session, Transaction, Unit, gap, unstorable

SEQ_BITS = 32
LAST_SEQ = (1 << SEQ_BITS) - 1


def event_rows(run_no: int, events: Sequence[Recorded]) -> list[Row]:
    first = run_no << SEQ_BITS
    return [(first | it.seq, it.at, type(it.event).__name__, encode_event(it.event)) for it in events]


def append(
    claim: Claim,
    events: Sequence[Recorded],
    *,
    blobs: Mapping[str, bytes],
    change: RunChange | None,
    consumed: Sequence[int],
    now: float,
) -> Unit:
    try:
        rows = event_rows(claim.run_no, events)
    except UnicodeEncodeError as error:
        raise unstorable(error) from error

    def apply(transaction: Transaction) -> None:
        head = transaction.fence(claim)
        if rows:
            # An append that failed must not be followed by one that was decided on it: a gap could never be read.
            if any(row[0] != place for place, row in enumerate(rows, head.last + 1)):
                raise gap(claim)
            head.last = rows[-1][0]
        transaction.later(sql.INSERT_EVENT, rows)
        if blobs:
            transaction.later(sql.INSERT_BLOB, sorted(blobs.items()))
        if change is not None:
            row = (change.status, change.stopped, change.resume_at, now, claim.run_no)
            transaction.later(sql.UPDATE_RUN, [row])
        if consumed:
            transaction.later(sql.CONSUME_SIGNAL, [(signal, claim.run_no) for signal in consumed])

    return Unit(apply, claim.run_no, before="inside-result-transaction")


def read_events(session: Session, run_id: str, after: int, limit: int | None) -> list[Recorded]:
    found = session.rows(sql.SELECT_RUN_NO, (run_id,))
    if not found:
        return []
    first = found[0][0] << SEQ_BITS
    # A limit of 2**62 is no limit on either database; a NULL or -1 would be one on only one of them.
    rows = session.rows(sql.SELECT_EVENTS, (first + after, first + LAST_SEQ, 1 << 62 if limit is None else limit))
    return [recorded(row[0] - first, row[1], row[2]) for row in rows]


def recorded(seq: int, at: float, payload: bytes) -> Recorded:
    try:
        return Recorded(seq, at, decode_event(payload))
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(
            f"Event {seq} of the run cannot be read.",
            f"Its payload is no event of this release: {error}.",
            "Use the release that wrote it, or restore the database from a backup.",
        ) from error
