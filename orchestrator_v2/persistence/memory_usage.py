"""What an owner's model calls came to, added up in memory; the twin of `sql_usage.py`.

The sums that a ceiling is held against are kept as the calls are made: `spending.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator_v2.core.accounts import UsageLine
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence import ledger_rules
from orchestrator_v2.persistence.memory_run import MemoryRun
from orchestrator_v2.persistence.memory_store import MemoryStore
from orchestrator_v2.persistence.spending import periods

_COUNTED = ("done", "outcome_unknown", "submitted")


class MemoryUsage(MemoryStore):
    def __init__(
        self, opened: Callable[[], None], committed: Callable[[], None], runs: Mapping[str, MemoryRun]
    ) -> None:
        super().__init__(opened, committed)
        self._runs = runs

    async def lines(self, owner_id: str, *, since: float) -> list[UsageLine]:
        self._opened()
        found: dict[tuple[str, str, str, str], list[CallRow]] = {}
        for run in self._runs.values():
            for call in run.calls.values():
                if run.row.owner_id == owner_id and call.at >= since and _counts(call):
                    line = (periods(call.at)[0], call.provider, call.model, run.row.project_id)
                    found.setdefault(line, []).append(call)
        return rules.in_order_of_days(UsageLine(*line, *_sums(calls)) for line, calls in found.items())


def _counts(call: CallRow) -> bool:
    failed_at_a_cost = call.outcome == "failed" and call.charged != 0
    return call.provider != rules.no_model() and (call.outcome in _COUNTED or failed_at_a_cost)


def _sums(calls: list[CallRow]) -> tuple[int, int, int, int | None]:
    tokens = [ledger_rules.tokens(call.completion) for call in calls]
    costs = [call.reserved if call.charged is None else call.charged for call in calls]
    known = [cost for cost in costs if cost is not None]
    cost = sum(known) if len(known) == len(costs) else None
    return len(calls), sum(it for it, _ in tokens), sum(it for _, it in tokens), cost
