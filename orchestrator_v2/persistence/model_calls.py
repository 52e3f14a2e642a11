"""The ledger of model calls on a SQL database: intent before the bytes leave, answer and cost before it is used.

The budget's and the settlement's rules are `ledger_rules.py`; the seam is `llm/ledger.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator_v2.core.accounts import Ceilings
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.engine.ports import Claim
from orchestrator_v2.llm.ledger import CallIntent, CallRow
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence import ledger_rules
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Head, Row, Session, Transaction, Unit
from orchestrator_v2.persistence.group_commit import GroupCommit
from orchestrator_v2.persistence.readers import Readers
from orchestrator_v2.persistence.spending import Sum


class SqlLedger:
    """The `CallLedger` of one claimed run."""

    def __init__(
        self,
        writer: GroupCommit,
        readers: Readers,
        clock: Clock,
        claim: Claim,
        *,
        budget: int | None,
        ceilings: Ceilings | None,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._claim = claim
        self._budget = budget
        self._ceilings = ceilings

    async def find(self, key: str, request_hash: str) -> Completion | None:
        found = await self._readers.read(lambda it: it.rows(sql.SELECT_DONE_CALL, (self._claim.run_no, key)))
        if not found:
            return None
        ledger_rules.same_request(key, request_hash, found[0][0])
        return _completion(found[0][1])

    async def begin(self, intent: CallIntent) -> int:
        unit = _begin(self._claim, intent, self._budget, self._ceilings, self._clock.now())
        call_id: int = await self._writer.submit(unit)
        return call_id

    async def submitted(self, call_id: int, handle: str) -> None:
        await self._writer.submit(_submit(self._claim, call_id, handle))

    async def waiting(self, key: str, request_hash: str) -> CallRow | None:
        found = await self._readers.read(lambda it: it.rows(sql.SELECT_WAITING_CALL, (self._claim.run_no, key)))
        if not found:
            return None
        row = _call(found[0])
        ledger_rules.same_request(key, request_hash, row.request_hash)
        return row

    async def finish(self, call_id: int, completion: Completion, charged: int | None) -> None:
        await self._writer.submit(_settle(self._claim, call_id, "done", charged=charged, answer=completion))

    async def fail(self, call_id: int, error: str, charged: int | None) -> None:
        await self._writer.submit(_settle(self._claim, call_id, "failed", charged=charged, error=error))

    async def calls(self) -> list[CallRow]:
        return await self._readers.read(lambda it: read_calls(it, self._claim.run_no))

    async def spent(self) -> int | None:
        rows = await self._readers.read(lambda it: it.rows(sql.SELECT_SPENT, (self._claim.run_no,)))
        spent, unpriced = rows[0]
        return None if unpriced else spent


def _begin(claim: Claim, intent: CallIntent, budget: int | None, ceilings: Ceilings | None, now: float) -> Unit:
    def apply(transaction: Transaction) -> int:
        head = transaction.fence(claim)
        refused = ledger_rules.refusal(intent, budget, head.spent, head.unpriced) or ledger_rules.over_ceiling(
            intent, ceilings, now, transaction.purses
        )
        if refused is not None:
            raise refused
        named = (claim.run_no, intent.key, claim.run_no, intent.key)
        asked = (intent.request_hash, intent.provider, intent.model, intent.reserved, now, claim.epoch)
        call_id: int = transaction.session.rows(sql.INSERT_CALL, named + asked)[0][0]
        _spend(transaction, claim, head, now, ledger_rules.charge(intent.reserved))
        return call_id

    return Unit(apply, claim.run_no, after="intent-committed", holds=ledger_rules.held_purse(ceilings))


def _submit(claim: Claim, call_id: int, handle: str) -> Unit:
    def apply(transaction: Transaction) -> None:
        transaction.fence(claim)
        if not transaction.session.change(sql.SUBMIT_CALL, (call_id, claim.run_no)):
            rows = transaction.session.rows(sql.SELECT_RESERVED, (call_id, claim.run_no))
            raise ledger_rules.not_open(call_id, rows[0][1] if rows else None)
        transaction.session.change(sql.INSERT_BATCH, (call_id, handle))

    return Unit(apply, claim.run_no)


def _settle(
    claim: Claim, call_id: int, outcome: str, *, charged: int | None, error: str = "", answer: Completion | None = None
) -> Unit:
    written = answer and msgspec.json.encode(answer)
    tokens = ledger_rules.tokens(answer)

    def apply(transaction: Transaction) -> None:
        head = transaction.fence(claim)
        rows = transaction.session.rows(sql.SELECT_RESERVED, (call_id, claim.run_no))
        if not rows or rows[0][1] not in ledger_rules.OPEN:
            raise ledger_rules.not_open(call_id, rows[0][1] if rows else None)
        reserved, _, reserved_at = rows[0]
        cost = ledger_rules.settled(reserved, charged)
        transaction.session.change(sql.SETTLE_CALL, (outcome, cost, error, written, *tokens, call_id))
        _spend(transaction, claim, head, reserved_at, ledger_rules.correction(reserved, cost))

    return Unit(apply, claim.run_no, before="budget-settle")


def _spend(transaction: Transaction, claim: Claim, head: Head, at: float, by: Sum) -> None:
    """Adds to what the run, and its owner at the moment `at`, have spent."""
    head.spent, head.unpriced = head.spent + by[0], head.unpriced + by[1]
    transaction.later(sql.UPDATE_SPENT, [(head.spent, head.unpriced, claim.run_no)])
    transaction.purses.move(head.owner_id, at, by)


def read_calls(session: Session, run_no: int) -> list[CallRow]:
    return [_call(row) for row in session.rows(sql.SELECT_CALLS, (run_no,))]


def read_recorded_calls(session: Session, run_id: str) -> list[CallRow]:
    found = session.rows(sql.SELECT_RUN_NO, (run_id,))
    return read_calls(session, found[0][0]) if found else []


def _call(row: Row) -> CallRow:
    values: list[Any] = [*row]
    values[10] = None if row[10] is None else _completion(row[10])
    return CallRow(*values)


def _completion(payload: bytes) -> Completion:
    return msgspec.json.decode(payload, type=Completion)
