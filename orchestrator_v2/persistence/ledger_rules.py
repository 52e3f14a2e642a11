"""The ledger's rules on every database: what fits a budget, what a settled call costs, which answer counts.

The rows themselves are kept by `model_calls.py` and, in memory, by `memory_calls.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.errors import (
    BudgetError,
    BudgetExceededError,
    CallConflictError,
    StoreError,
    UnknownPriceError,
)
from orchestrator_v2.core.usage import usd
from orchestrator_v2.llm.ledger import CallIntent


def refusal(intent: CallIntent, budget: int | None, spent: int, unpriced: int) -> BudgetError | None:
    """Why the call may not be sent, or None. Amounts in nano-dollars; `unpriced` counts calls of unknown cost."""
    if budget is None:
        return None
    if intent.reserved is None or unpriced:
        return UnknownPriceError(
            f"The call '{intent.key}' was not sent: its run has a budget, and a price is not known.",
            f"There is no price for {intent.model}." if intent.reserved is None else "An earlier call has none.",
            "Choose a model with a known price, or run without a budget.",
        )
    if spent + intent.reserved > budget:
        return BudgetExceededError(
            f"The call '{intent.key}' was not sent: its worst case does not fit the budget.",
            f"Spent or reserved {usd(spent)} of {usd(budget)}; the call may cost {usd(intent.reserved)}.",
            "Raise the budget and resume the run.",
        )
    return None


# A call in one of these is still to be settled.
OPEN = ("intent", "submitted")


def settled(reserved: int | None, charged: int | None) -> int | None:
    """What a call costs in the end: a charge that is missing or negative is not believed, the worst case is taken."""
    return reserved if charged is None or charged < 0 else charged


def balance(spent: int, unpriced: int, reserved: int | None, cost: int | None) -> tuple[int, int]:
    """(spent, unpriced) after a call that had `reserved` turned out to cost `cost`."""
    return spent - (reserved or 0) + (cost or 0), unpriced - (reserved is None) + (cost is None)


def same_request(key: str, wanted: str, request_hash: str) -> None:
    """Raises `CallConflictError` when the call `key` was made with another request than `wanted`."""
    if request_hash == wanted:
        return
    raise CallConflictError(
        f"The call '{key}' is recorded with another request.",
        "The prompt, the model or an option has changed since the answer was paid for.",
        "Resume with what the run was started with, or fork the run from this phase.",
    )


def not_open(call_id: int, outcome: str | None) -> StoreError:
    return StoreError(
        f"Model call {call_id} cannot be settled.",
        f"It is {outcome} already." if outcome else "This run has no such call.",
        "Each call is finished or failed once, by the run that began it.",
    )
