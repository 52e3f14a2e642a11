"""A ledger that begins no new call once the process is to end: what is under way may end, nothing more is paid for.

What a call is recorded as is `ledger.py`; who asks the process to end is the driver.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator_v2.core.errors import StoppingError
from orchestrator_v2.llm.ledger import CallIntent, CallLedger, CallRow
from orchestrator_v2.llm.types import Completion


class DrainingLedger:
    """The ledger below, which refuses to begin while `stopping` says so."""

    def __init__(self, ledger: CallLedger, stopping: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._stopping = stopping

    async def begin(self, intent: CallIntent) -> int:
        """Raises `StoppingError`, before anything is written or sent."""
        if self._stopping():
            raise StoppingError(
                "No further model call is begun.",
                "This process is ending.",
                "The run goes on when it is taken up again.",
            )
        return await self._ledger.begin(intent)

    async def find(self, key: str, request_hash: str) -> Completion | None:
        return await self._ledger.find(key, request_hash)

    async def submitted(self, call_id: int, handle: str) -> None:
        await self._ledger.submitted(call_id, handle)

    async def waiting(self, key: str, request_hash: str) -> CallRow | None:
        return await self._ledger.waiting(key, request_hash)

    async def finish(self, call_id: int, completion: Completion, charged: int | None) -> None:
        await self._ledger.finish(call_id, completion, charged)

    async def fail(self, call_id: int, error: str, charged: int | None) -> None:
        await self._ledger.fail(call_id, error, charged)

    async def calls(self) -> list[CallRow]:
        return await self._ledger.calls()

    async def spent(self) -> int | None:
        return await self._ledger.spent()
