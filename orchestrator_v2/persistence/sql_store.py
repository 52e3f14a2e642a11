"""What the stores behind `core/accounts.py` share on a SQL database: one query for a reader, one unit for the writer.

The stores are `sql_accounts.py`, `sql_credentials.py`, `sql_projects.py`, `sql_usage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator_v2.persistence.batch import Row, Transaction, Unit
from orchestrator_v2.persistence.group_commit import GroupCommit
from orchestrator_v2.persistence.readers import Readers
from orchestrator_v2.persistence.storable import require_storable, storable


class SqlStore:
    def __init__(self, writer: GroupCommit, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """None for a value that cannot be stored: it is nobody's."""
        if not storable(values):
            return []
        return await self._readers.read(lambda it: it.rows(statement, values))

    async def change(self, statement: str, values: Sequence[object] = (), *, where: Sequence[object] = ()) -> bool:
        """Whether a row was changed; `values` are what is written, `where` names the row."""
        if not storable(where):
            return False

        def apply(transaction: Transaction) -> bool:
            return transaction.session.change(statement, (*values, *where)) > 0

        return bool(await self.apply(apply, values))

    async def apply(self, apply: Callable[[Transaction], Any], values: Sequence[object], *, holds: str = "") -> Any:
        """One unit that writes `values`; raises `StoreError` for one that cannot be stored."""
        require_storable(values)
        return await self._writer.submit(Unit(apply, holds=holds))
