"""Sealed keys on a SQL database; the in-memory twin is `memory_credentials.py`.

Sealing and opening is the `credentials` floor; nothing here knows a key.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.accounts import Credential, CredentialState, DataKey
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence import account_statements as sql
from orchestrator_v2.persistence.batch import Row, Transaction
from orchestrator_v2.persistence.sql_store import SqlStore


class SqlCredentials(SqlStore):
    async def put(self, credential: Credential, sealed: bytes) -> None:
        values = (*msgspec.structs.astuple(credential), sealed)

        def apply(transaction: Transaction) -> None:
            earlier = (rules.REPLACED, b"", credential.user_id, credential.provider)
            transaction.session.change(sql.REPLACE_CREDENTIAL, earlier)
            transaction.session.change(sql.INSERT_CREDENTIAL, values)

        # Two at once would not see each other's, and one of them would be refused for it.
        await self.apply(apply, values, holds=f"keys of {credential.user_id}")

    async def of_user(self, user_id: str) -> list[Credential]:
        found = await self.rows(sql.SELECT_CREDENTIALS, (user_id,))
        return rules.in_order_of_credentials(Credential(*row) for row in found)

    async def find(self, user_id: str, credential_id: str) -> tuple[Credential, bytes] | None:
        found = await self.rows(sql.SELECT_CREDENTIAL, (user_id, credential_id))
        return (Credential(*found[0][:-1]), bytes(found[0][-1])) if found else None

    async def mark(self, user_id: str, credential_id: str, state: CredentialState, why: str) -> bool:
        named = (user_id, credential_id)
        if state == "revoked":
            return await self.change(sql.REVOKE_CREDENTIAL, (why, b""), where=named)
        return await self.change(sql.MARK_CREDENTIAL, (state, why), where=named)

    async def data_key(self, user_id: str) -> DataKey | None:
        found = await self.rows(sql.SELECT_DATA_KEY, (user_id,))
        return _data_key(found[0]) if found else None

    async def add_data_key(self, key: DataKey) -> DataKey:
        values = (key.user_id, key.master_id, key.wrapped)

        def apply(transaction: Transaction) -> DataKey:
            transaction.session.change(sql.INSERT_DATA_KEY, values)
            return _data_key(transaction.session.rows(sql.SELECT_DATA_KEY, (key.user_id,))[0])

        kept: DataKey = await self.apply(apply, values)
        return kept

    async def data_keys(self) -> list[DataKey]:
        return rules.in_order_of_data_keys(_data_key(row) for row in await self.rows(sql.SELECT_DATA_KEYS))

    async def rewrap(self, key: DataKey, *, was: str) -> bool:
        return await self.change(sql.REWRAP_DATA_KEY, (key.master_id, key.wrapped), where=(key.user_id, was))


def _data_key(row: Row) -> DataKey:
    return DataKey(row[0], row[1], bytes(row[2]))
