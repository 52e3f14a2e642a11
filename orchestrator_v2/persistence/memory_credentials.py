"""Sealed keys in memory; the twin of `sql_credentials.py`.

Sealing and opening is the `credentials` floor; nothing here knows a key.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator_v2.core.accounts import Credential, CredentialState, DataKey
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence.batch import unstorable
from orchestrator_v2.persistence.memory_store import MemoryStore


class MemoryCredentials(MemoryStore):
    def __init__(self, opened: Callable[[], None], committed: Callable[[], None]) -> None:
        super().__init__(opened, committed)
        self._kept: dict[str, tuple[Credential, bytes]] = {}
        self._data_keys: dict[str, DataKey] = {}

    async def put(self, credential: Credential, sealed: bytes) -> None:
        self._writes(msgspec.structs.astuple(credential))
        if credential.credential_id in self._kept:
            raise unstorable(ValueError(f"credential '{credential.credential_id}' is there already"))
        for earlier in self._live(credential.user_id):
            if earlier.provider == credential.provider:
                self._change(earlier, "revoked", rules.REPLACED)
        self._kept[credential.credential_id] = (credential, sealed)
        self._committed()

    async def of_user(self, user_id: str) -> list[Credential]:
        self._opened()
        return rules.in_order_of_credentials(self._live(user_id))

    async def find(self, user_id: str, credential_id: str) -> tuple[Credential, bytes] | None:
        self._opened()
        found = self._kept.get(credential_id)
        return found if found and found[0].user_id == user_id else None

    async def mark(self, user_id: str, credential_id: str, state: CredentialState, why: str) -> bool:
        self._opened()
        for credential in self._live(user_id):
            if credential.credential_id == credential_id:
                self._writes((why,))
                self._change(credential, state, why)
                self._committed()
                return True
        return False

    async def data_key(self, user_id: str) -> DataKey | None:
        self._opened()
        return self._data_keys.get(user_id)

    async def add_data_key(self, key: DataKey) -> DataKey:
        self._writes((key.user_id, key.master_id))
        if key.user_id not in self._data_keys:
            self._data_keys[key.user_id] = key
            self._committed()
        return self._data_keys[key.user_id]

    async def data_keys(self) -> list[DataKey]:
        self._opened()
        return rules.in_order_of_data_keys(self._data_keys.values())

    async def rewrap(self, key: DataKey, *, was: str) -> bool:
        self._opened()
        known = self._data_keys.get(key.user_id)
        if known is None or known.master_id != was:
            return False
        self._writes((key.master_id,))
        self._data_keys[key.user_id] = key
        self._committed()
        return True

    def _live(self, user_id: str) -> list[Credential]:
        return [it for it, _ in self._kept.values() if it.user_id == user_id and it.state != "revoked"]

    def _change(self, credential: Credential, state: CredentialState, why: str) -> None:
        sealed = b"" if state == "revoked" else self._kept[credential.credential_id][1]
        changed = msgspec.structs.replace(credential, state=state, why=why)
        self._kept[credential.credential_id] = (changed, sealed)
