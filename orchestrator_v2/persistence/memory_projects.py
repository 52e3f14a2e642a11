"""Projects, and the replies to requests that bore an idempotency key, in memory; the twin of `sql_projects.py`.

Which runs are listed is `memory.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator_v2.core.accounts import ProjectRow, Reply
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence.batch import unstorable
from orchestrator_v2.persistence.memory_store import MemoryStore


class MemoryProjects(MemoryStore):
    def __init__(self, opened: Callable[[], None], committed: Callable[[], None]) -> None:
        super().__init__(opened, committed)
        self._rows: dict[str, ProjectRow] = {}
        self._replies: dict[tuple[str, str], Reply] = {}
        self.dropped: set[str] = set()

    async def add(self, row: ProjectRow, *, key: str = "", request_hash: str = "") -> ProjectRow:
        self._writes((row.project_id, row.owner_id, row.name, key, request_hash))
        if key and (row.owner_id, key) in self._replies:
            raise rules.key_used(key)
        if row.project_id in self._rows:
            raise unstorable(ValueError(f"project '{row.project_id}' is there already"))
        row = msgspec.structs.replace(row, project_no=len(self._rows) + 1)
        self._rows[row.project_id] = row
        if key:
            self._replies[row.owner_id, key] = Reply(request_hash, row.project_id)
        self._committed()
        return row

    async def get(self, owner_id: str, project_id: str) -> ProjectRow | None:
        self._opened()
        row = self._rows.get(project_id)
        return row if row and row.owner_id == owner_id and project_id not in self.dropped else None

    async def page(self, owner_id: str, *, before: int | None = None, limit: int = 50) -> list[ProjectRow]:
        self._opened()
        rows = [row for row in self._rows.values() if row.owner_id == owner_id and row.project_id not in self.dropped]
        shown = [row for row in reversed(rows) if before is None or row.project_no < before][:limit]
        return [msgspec.structs.replace(row, request=row.summary) for row in shown]

    async def drop(self, owner_id: str, project_id: str) -> bool:
        if await self.get(owner_id, project_id) is None:
            return False
        self.dropped.add(project_id)
        self._committed()
        return True

    async def reply(self, owner_id: str, key: str) -> Reply | None:
        self._opened()
        return self._replies.get((owner_id, key))

    async def remember(self, owner_id: str, key: str, reply: Reply, *, replace: bool = False) -> bool:
        self._writes((owner_id, key, reply.request_hash, reply.subject))
        if (owner_id, key) in self._replies and not replace:
            return False
        self._replies[owner_id, key] = reply
        self._committed()
        return True
