"""Runs on a SQL database: their rows, who holds them, and lists of them.

What happened in a run is `event_log.py`; what its model calls cost is `model_calls.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator_v2.core.errors import StoreError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.ports import Claim, RunRow
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Session, Transaction, Unit
from orchestrator_v2.persistence.event_log import event_rows
from orchestrator_v2.persistence.storable import storable


def create(row: RunRow, events: Sequence[Recorded], blobs: Mapping[str, bytes], owner: str, until: float) -> Unit:
    values = (
        *(row.run_id, row.project_id, row.owner_id, row.name, row.workflow, row.mode, row.status),
        *(row.created_at, row.updated_at, row.out, row.stopped, row.resume_at, row.forked_from, row.operation),
        *(owner, until),
    )

    def apply(transaction: Transaction) -> Claim:
        run_no = transaction.session.rows(sql.INSERT_RUN, values)[0][0]
        transaction.later(sql.INSERT_EVENT, event_rows(run_no, events))
        transaction.later(sql.INSERT_BLOB, sorted(blobs.items()))
        return Claim(row.run_id, run_no, 1)

    return Unit(apply, before="accepted-before-commit")


def claim(run_id: str, *, owner: str, now: float, lease: float, seize: str) -> Unit:
    def apply(transaction: Transaction) -> Claim | None:
        taken = transaction.session.rows(sql.CLAIM_RUN, (owner, now + lease, run_id, now, owner, seize or owner))
        if not taken:
            if not transaction.session.rows(sql.SELECT_RUN_NO, (run_id,)):
                raise no_such_run(run_id)
            return None
        run_no, epoch = taken[0]
        transaction.moved(run_no, epoch)
        transaction.session.change(sql.ABANDON_CALLS, (run_no, epoch))
        return Claim(run_id, run_no, epoch)

    return Unit(apply, after="claimed")


def renew(held: Claim, until: float) -> Unit:
    return Unit(lambda it: it.session.change(sql.RENEW_LEASE, (until, held.run_no, held.epoch)) == 1)


def release(held: Claim) -> Unit:
    return Unit(lambda it: it.later(sql.RELEASE_LEASE, [(held.run_no, held.epoch)]))


def set_out(run_id: str, out: str) -> Unit:
    def apply(transaction: Transaction) -> None:
        if not transaction.session.change(sql.UPDATE_OUT, (out, run_id)):
            raise no_such_run(run_id)

    return Unit(apply)


def read_run(session: Session, run_id: str, owner_id: str | None) -> RunRow | None:
    if not storable((run_id, owner_id)):
        return None
    if owner_id is not None:
        found = session.rows(sql.SELECT_OWNED_RUN, (run_id, owner_id))
    else:
        found = session.rows(sql.SELECT_RUN, (run_id,))
        if not found and run_id:
            found = session.rows(sql.SELECT_RUN_BY_PREFIX, (len(run_id), run_id))
    return RunRow(*found[0]) if len(found) == 1 else None


def read_runs(
    session: Session,
    *,
    owner_id: str | None,
    project_id: str | None,
    statuses: Sequence[str],
    before: int | None,
    limit: int,
    operations: bool,
) -> list[RunRow]:
    query = sql.select_runs(owner_id is not None, project_id is not None, len(statuses), before is not None, operations)
    filters = [value for value in (owner_id, project_id, *statuses, before) if value is not None]
    return [RunRow(*row) for row in session.rows(query, (*filters, limit))] if storable(filters) else []


def read_due(session: Session, now: float, gone: Sequence[str], limit: int) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in session.rows(sql.select_due(len(gone)), (now, now, *gone, limit))]


def read_holders(session: Session, now: float) -> list[str]:
    return [row[0] for row in session.rows(sql.SELECT_HOLDERS, (now,))]


def read_holder(session: Session, run_id: str, now: float) -> str:
    found = session.rows(sql.SELECT_HOLDER, (run_id, now))
    return str(found[0][0]) if found else ""


def no_such_run(run_id: str) -> StoreError:
    return StoreError(f"There is no run '{run_id}' in this database.", "", "List the runs to see what there is.")
