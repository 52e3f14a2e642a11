"""The ledger of model calls in memory: the same rules and errors as `model_calls.py`, without a file.

The rules themselves are `ledger_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from orchestrator_v2.core.accounts import Ceilings
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.engine.ports import Claim
from orchestrator_v2.llm.ledger import CallIntent, CallRow
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence import ledger_rules
from orchestrator_v2.persistence.memory_run import MemoryRun
from orchestrator_v2.persistence.spending import MemoryPurses, Sum


class MemoryLedger:
    """The `CallLedger` of one claimed run; `committed` is called after each change."""

    def __init__(
        self,
        run: MemoryRun,
        claim: Claim,
        budget: int | None,
        ceilings: Ceilings | None,
        *,
        purses: MemoryPurses,
        clock: Clock,
        probe: Probe,
        ids: Iterator[int],
        committed: Callable[[], None],
    ) -> None:
        self._run = run
        self._claim = claim
        self._budget = budget
        self._ceilings = ceilings
        self._purses = purses
        self._clock = clock
        self._probe = probe
        self._ids = ids
        self._committed = committed

    async def find(self, key: str, request_hash: str) -> Completion | None:
        for call in reversed(self._run.calls.values()):
            if call.key == key and call.completion is not None:
                ledger_rules.same_request(key, request_hash, call.request_hash)
                return call.completion
        return None

    async def begin(self, intent: CallIntent) -> int:
        run = self._run
        run.fence(self._claim)
        now = self._clock.now()
        refused = ledger_rules.refusal(intent, self._budget, run.spent, run.unpriced) or ledger_rules.over_ceiling(
            intent, self._ceilings, now, self._purses
        )
        if refused is not None:
            raise refused
        attempt = run.attempts[intent.key] = run.attempts.get(intent.key, 0) + 1
        call = CallRow(
            id=next(self._ids),
            key=intent.key,
            attempt=attempt,
            request_hash=intent.request_hash,
            provider=intent.provider,
            model=intent.model,
            outcome="intent",
            at=now,
            reserved=intent.reserved,
        )
        run.calls[call.id] = call
        self._spend(now, ledger_rules.charge(intent.reserved))
        self._committed()
        self._probe("intent-committed")
        return call.id

    async def submitted(self, call_id: int, handle: str) -> None:
        run = self._run
        run.fence(self._claim)
        call = run.calls.get(call_id)
        if call is None or call.outcome != "intent":
            raise ledger_rules.not_open(call_id, call.outcome if call else None)
        run.calls[call_id] = msgspec.structs.replace(call, outcome="submitted", handle=handle)
        self._committed()

    async def waiting(self, key: str, request_hash: str) -> CallRow | None:
        for call in reversed(self._run.calls.values()):
            if call.key == key and call.outcome == "submitted":
                ledger_rules.same_request(key, request_hash, call.request_hash)
                return call
        return None

    async def finish(self, call_id: int, completion: Completion, charged: int | None) -> None:
        self._settle(call_id, "done", charged, "", completion)

    async def fail(self, call_id: int, error: str, charged: int | None) -> None:
        self._settle(call_id, "failed", charged, error, None)

    async def calls(self) -> list[CallRow]:
        return list(self._run.calls.values())

    async def spent(self) -> int | None:
        return None if self._run.unpriced else self._run.spent

    def _settle(
        self, call_id: int, outcome: str, charged: int | None, error: str, completion: Completion | None
    ) -> None:
        run = self._run
        run.fence(self._claim)
        call = run.calls.get(call_id)
        if call is None or call.outcome not in ledger_rules.OPEN:
            raise ledger_rules.not_open(call_id, call.outcome if call else None)
        self._probe("budget-settle")
        cost = ledger_rules.settled(call.reserved, charged)
        run.calls[call_id] = msgspec.structs.replace(
            call, outcome=outcome, charged=cost, error=error, completion=completion
        )
        self._spend(call.at, ledger_rules.correction(call.reserved, cost))
        self._committed()

    def _spend(self, at: float, by: Sum) -> None:
        run = self._run
        run.spent, run.unpriced = run.spent + by[0], run.unpriced + by[1]
        self._purses.move(run.row.owner_id, at, by)


def abandon_calls(run: MemoryRun) -> None:
    """What a claim finds in flight may have been billed: it stays charged. All of it is of an older epoch."""
    for call in list(run.calls.values()):
        if call.outcome == "intent":
            run.calls[call.id] = msgspec.structs.replace(call, outcome="outcome_unknown", charged=call.reserved)
