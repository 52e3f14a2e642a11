"""A ledger of model calls in a list, with a budget; for tests of clients without a database.

The one of a run is `persistence/model_calls.py`; both keep the promises of `llm/ledger.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator_v2.core.errors import BudgetExceededError, CallConflictError, StoreUnavailableError, UnknownPriceError
from orchestrator_v2.llm.ledger import CallIntent, CallRow
from orchestrator_v2.llm.types import Completion


class MemoryCallLedger:
    """`budget` is in nano-dollars (None: no ceiling). `broken_finish` makes `finish` fail, as a full disk would."""

    def __init__(self, *, budget: int | None = None, now: Callable[[], float] = lambda: 0.0) -> None:
        self.rows: list[CallRow] = []
        self.broken_finish = False
        self._budget = budget
        self._now = now

    async def find(self, key: str, request_hash: str) -> Completion | None:
        known = [row for row in self.rows if row.key == key]
        if any(row.request_hash != request_hash for row in known):
            raise CallConflictError(
                f"The call '{key}' is recorded with another request.", "Its prompt has changed.", "Fork the run."
            )
        return next((row.completion for row in known if row.outcome == "done"), None)

    async def begin(self, intent: CallIntent) -> int:
        spent = await self.spent()
        if self._budget is not None:
            if intent.reserved is None or spent is None:
                raise UnknownPriceError("A budget is set and the model's price is unknown.", "", "Remove the budget.")
            if spent + intent.reserved > self._budget:
                raise BudgetExceededError("The call does not fit the budget.", "", "Raise the budget.")
        attempt = 1 + sum(row.key == intent.key for row in self.rows)
        self.rows.append(
            CallRow(
                id=len(self.rows) + 1,
                key=intent.key,
                attempt=attempt,
                request_hash=intent.request_hash,
                provider=intent.provider,
                model=intent.model,
                outcome="intent",
                at=self._now(),
                reserved=intent.reserved,
            )
        )
        return len(self.rows)

    async def submitted(self, call_id: int, handle: str) -> None:
        self._change(call_id, outcome="submitted", handle=handle)

    async def waiting(self, key: str, request_hash: str) -> CallRow | None:
        await self.find(key, request_hash)  # for its conflict
        return next((row for row in self.rows if row.key == key and row.outcome == "submitted"), None)

    async def finish(self, call_id: int, completion: Completion, charged: int | None) -> None:
        if self.broken_finish:
            raise StoreUnavailableError("The answer could not be written down.", "The ledger is broken.", "Resume.")
        self._change(call_id, outcome="done", completion=completion, charged=charged)

    async def fail(self, call_id: int, error: str, charged: int | None) -> None:
        self._change(call_id, outcome="failed", error=error, charged=charged)

    async def calls(self) -> list[CallRow]:
        return list(self.rows)

    async def spent(self) -> int | None:
        amounts = [row.reserved if row.outcome in ("intent", "submitted") else row.charged for row in self.rows]
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if len(known) == len(amounts) else None

    def _change(self, call_id: int, **fields: object) -> None:
        self.rows[call_id - 1] = msgspec.structs.replace(self.rows[call_id - 1], **fields)
