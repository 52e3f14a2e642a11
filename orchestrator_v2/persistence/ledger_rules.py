"""The ledger's rules on every database: what fits a budget and a ceiling, what a call costs, which answer counts.

The rows themselves are kept by `model_calls.py` and, in memory, by `memory_calls.py`; the sums by `spending.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.accounts import Ceilings
from orchestrator_v2.core.errors import (
    BudgetError,
    BudgetExceededError,
    CallConflictError,
    StoreError,
    UnknownPriceError,
)
from orchestrator_v2.core.usage import usd
from orchestrator_v2.llm.ledger import CallIntent
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.spending import Purses, Sum, next_period, periods


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


def held_purse(ceilings: Ceilings | None) -> str:
    """What a transaction holds while it looks whether a call fits the ceilings; empty where there are none."""
    unlimited = ceilings is None or (ceilings.daily is None and ceilings.monthly is None)
    return "" if ceilings is None or unlimited else f"spending of {ceilings.owner_id}"


def over_ceiling(intent: CallIntent, ceilings: Ceilings | None, at: float, purses: Purses) -> BudgetError | None:
    """Why the call may not be sent at the moment `at`, or None."""
    if ceilings is None:
        return None
    limits = zip(("daily", "monthly"), (ceilings.daily, ceilings.monthly), periods(at), strict=True)
    for name, limit, period in limits:
        if limit is None:
            continue
        spent, unpriced = purses.total(ceilings.owner_id, period)
        anew = f"It begins anew on {next_period(period)} at 00:00 UTC"
        if intent.reserved is None or unpriced:
            return UnknownPriceError(
                f"The call '{intent.key}' was not sent: you have a {name} ceiling, and a price is not known.",
                f"There is no price for {intent.model}."
                if intent.reserved is None
                else f"A call of {period} has none.",
                f"Choose a model with a known price, or have the ceiling of {usd(limit)} lifted. {anew}.",
            )
        if spent + intent.reserved > limit:
            return BudgetExceededError(
                f"The call '{intent.key}' was not sent: its worst case does not fit your {name} ceiling.",
                f"Spent or reserved {usd(spent)} of {usd(limit)}; the call may cost {usd(intent.reserved)}.",
                f"{anew}; resume the run then, or have the ceiling raised.",
            )
    return None


# A call in one of these is still to be settled.
OPEN = ("intent", "submitted")


def settled(reserved: int | None, charged: int | None) -> int | None:
    """What a call costs in the end: a charge that is missing or negative is not believed, the worst case is taken."""
    return reserved if charged is None or charged < 0 else charged


def charge(cost: int | None) -> Sum:
    """What a call of that cost adds to a sum of calls."""
    return (0, 1) if cost is None else (cost, 0)


def correction(reserved: int | None, cost: int | None) -> Sum:
    """What is added to a sum when a call that had `reserved` turned out to cost `cost`."""
    (spent, unpriced), (had, unknown) = charge(cost), charge(reserved)
    return spent - had, unpriced - unknown


def tokens(answer: Completion | None) -> tuple[int, int]:
    """(input, output) of an answer. A count that cannot be true is cut, for the answer is kept in any case."""
    if answer is None:
        return 0, 0
    return _believable(answer.usage.input_tokens), _believable(answer.usage.output_tokens)


def _believable(count: int) -> int:
    return min(max(count, 0), 1 << 40)


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
