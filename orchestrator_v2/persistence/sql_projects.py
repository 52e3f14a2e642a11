"""Projects, and the replies to requests that bore an idempotency key, on a SQL database.

The in-memory twin is `memory_projects.py`; that a dropped project's runs are not listed is `statements.py`.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.accounts import ProjectRow, Reply
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence import account_statements as sql
from orchestrator_v2.persistence.batch import Row, Transaction
from orchestrator_v2.persistence.group_commit import GroupCommit
from orchestrator_v2.persistence.readers import Readers
from orchestrator_v2.persistence.sql_store import SqlStore

# Above every number that either database gives a row.
_LAST = 1 << 62


class SqlProjects(SqlStore):
    def __init__(self, writer: GroupCommit, readers: Readers, clock: Clock) -> None:
        super().__init__(writer, readers)
        self._clock = clock

    async def add(self, row: ProjectRow, *, key: str = "", request_hash: str = "") -> ProjectRow:
        values = (row.project_id, row.owner_id, row.name, row.request, row.created_at, row.summary)
        reply = (row.owner_id, key, request_hash, row.project_id)

        def apply(transaction: Transaction) -> int:
            if key and not transaction.session.change(sql.INSERT_REPLY, reply):
                raise rules.key_used(key)
            number: int = transaction.session.rows(sql.INSERT_PROJECT, values)[0][0]
            return number

        return msgspec.structs.replace(row, project_no=await self.apply(apply, (*values, *reply)))

    async def get(self, owner_id: str, project_id: str) -> ProjectRow | None:
        found = await self.rows(sql.SELECT_PROJECT, (owner_id, project_id))
        return _project(found[0]) if found else None

    async def page(self, owner_id: str, *, before: int | None = None, limit: int = 50) -> list[ProjectRow]:
        below = _LAST if before is None else min(before, _LAST)
        return [_project(row) for row in await self.rows(sql.SELECT_PROJECTS, (owner_id, below, limit))]

    async def drop(self, owner_id: str, project_id: str) -> bool:
        return await self.change(sql.DROP_PROJECT, (self._clock.now(),), where=(owner_id, project_id))

    async def reply(self, owner_id: str, key: str) -> Reply | None:
        found = await self.rows(sql.SELECT_REPLY, (owner_id, key))
        return Reply(*found[0]) if found else None

    async def remember(self, owner_id: str, key: str, reply: Reply, *, replace: bool = False) -> bool:
        statement = sql.REPLACE_REPLY if replace else sql.INSERT_REPLY
        return await self.change(statement, (owner_id, key, reply.request_hash, reply.subject))


def _project(row: Row) -> ProjectRow:
    project_id, project_no, owner_id, name, request, created_at, summary = row
    return ProjectRow(project_id, project_no, owner_id, name, bytes(request), created_at, bytes(summary))
