"""The ledger of model calls as the model layer sees it: looked up before sending, written before use.

The rows are kept by `persistence/model_calls.py`; its in-memory twin is `persistence/memory.py`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from orchestrator_v2.llm.types import Completion


class CallIntent(msgspec.Struct, frozen=True):
    """A call that is about to be sent: `reserved` is its worst case in nano-dollars (None: price unknown)."""

    key: str
    request_hash: str
    provider: str
    model: str
    reserved: int | None = None


class CallRow(msgspec.Struct, frozen=True):
    """A call as recorded. `outcome`: intent, submitted, done, failed or outcome_unknown (in flight at a crash).

    `handle` is the provider's name for a call that was handed in as a batch; empty for all others.
    """

    id: int
    key: str
    attempt: int
    request_hash: str
    provider: str
    model: str
    outcome: str
    at: float
    reserved: int | None = None
    charged: int | None = None
    completion: Completion | None = None
    error: str = ""
    handle: str = ""


class RecordedAnswers(Protocol):
    """The reading half of a ledger: all that a replay needs."""

    async def find(self, key: str, request_hash: str) -> Completion | None:
        """The recorded answer of that call.

        Raises `CallConflictError` when the key is recorded with another hash.
        """
        ...


@runtime_checkable
class CallLedger(RecordedAnswers, Protocol):
    """The calls of one run; the run and its claim are bound in when the ledger is opened."""

    async def begin(self, intent: CallIntent) -> int:
        """Commits the intent and its reservation, and gives its id; nothing may be sent before this returns.

        Raises `BudgetExceededError` when what is charged or reserved so far plus `reserved` is over the run's
        budget, `UnknownPriceError` when there is a budget and `reserved` is None; then nothing is written.
        """
        ...

    async def submitted(self, call_id: int, handle: str) -> None:
        """Commits under which name the provider works on the call: from now on it outlives this process."""
        ...

    async def waiting(self, key: str, request_hash: str) -> CallRow | None:
        """The submitted call of that key that is not settled yet.

        Raises `CallConflictError` when it was submitted with another hash.
        """
        ...

    async def finish(self, call_id: int, completion: Completion, charged: int | None) -> None:
        """Commits the answer and settles the cost; only then may the answer be used."""
        ...

    async def fail(self, call_id: int, error: str, charged: int | None) -> None:
        """Commits the failure; `charged` is what the call may have cost all the same (0 when nothing was billed)."""
        ...

    async def calls(self) -> list[CallRow]:
        """All calls of the run, oldest first."""
        ...

    async def spent(self) -> int | None:
        """Charged plus still reserved, in nano-dollars; None when a part of it is unknown."""
        ...
