"""What an owner's model calls came to, added up on a SQL database; the in-memory twin is `memory_usage.py`.

The sums that a ceiling is held against are kept as the calls are made: `spending.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.accounts import UsageLine
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence import account_statements as sql
from orchestrator_v2.persistence.sql_store import SqlStore


class SqlUsage(SqlStore):
    async def lines(self, owner_id: str, *, since: float) -> list[UsageLine]:
        found = await self.rows(sql.SELECT_USAGE, (owner_id, since, rules.no_model()))
        return rules.in_order_of_days(UsageLine(rules.day_named(day), *rest) for day, *rest in found)
