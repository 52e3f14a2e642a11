"""Users' keys at rest: each sealed by its user's data key, which a master key wraps.

How bytes are sealed is `cipher.py`, how master keys change is `rotation.py`; the rows are `persistence`'s.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

from orchestrator_v2.core.accounts import Credential, CredentialStore, DataKey
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, CredentialSealError
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.credentials.cipher import KEY_BYTES, Random, open_seal, seal
from orchestrator_v2.credentials.master_key import MasterKey
from orchestrator_v2.credentials.master_sources import MasterKeySource
from orchestrator_v2.credentials.rotation import LOOKS, Rotation, data_key_aad, missing_master

_WHY_CAP = 500


class Vault:
    """A `Keyring` over the rows in `store` and the master keys of `source`.

    `origin_of` gives a base_url its canonical `scheme://host:port`, which the key is bound to for good; `kind_of` is
    what a key is called (`api_key`, `oauth_token`).
    """

    def __init__(
        self,
        store: CredentialStore,
        source: MasterKeySource,
        *,
        clock: Clock,
        ids: IdSource,
        origin_of: Callable[[str], str],
        kind_of: Callable[[Secret], str] = lambda secret: "api_key",
        random: Random = os.urandom,
        probe: Probe = no_probe,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._ids = ids
        self._origin_of = origin_of
        self._kind_of = kind_of
        self._random = random
        self._rotation = Rotation(store, source, random=random, probe=probe)

    async def check_master(self) -> None:
        """For the start of a server. Raises `CredentialSealError` where a master key that is needed is not there."""
        await self._rotation.masters()

    async def put(
        self,
        user_id: str,
        provider: str,
        secret: Secret,
        *,
        base_url: str = "",
        default_model: str = "",
        label: str = "",
    ) -> Credential:
        plaintext = _encoded(secret)
        credential = Credential(
            credential_id=self._ids.new("key"),
            user_id=user_id,
            provider=provider,
            base_url=base_url,
            default_model=default_model,
            label=label,
            kind=self._kind_of(secret),
            last_four=secret.last_four,
            fingerprint=secret.fingerprint,
            created_at=self._clock.now(),
        )
        data_key = await self._data_key(user_id) or await self._new_data_key(user_id)
        await self._store.put(credential, seal(data_key, plaintext, self._aad(credential), random=self._random))
        return credential

    async def of_user(self, user_id: str) -> list[Credential]:
        return await self._store.of_user(user_id)

    async def usable(self, user_id: str, provider: str) -> Credential | None:
        found = await self._store.of_user(user_id)
        return next((each for each in found if each.provider == provider and each.state == "ok"), None)

    async def check(self, user_id: str, credential_id: str) -> Credential:
        return (await self._found(user_id, credential_id))[0]

    async def open(self, user_id: str, credential_id: str) -> Secret:
        credential, sealed = await self._found(user_id, credential_id)
        data_key = await self._data_key(user_id)
        if data_key is None:
            raise CredentialSealError(
                "A stored key does not open.", "Its owner's data key is not there.", "Restore the database's backup."
            )
        plaintext = open_seal(data_key, sealed, self._aad(credential))
        return Secret(plaintext.decode())

    async def refused(self, user_id: str, credential_id: str, why: str) -> None:
        await self._store.mark(user_id, credential_id, "invalid", redact(why)[:_WHY_CAP])

    async def revoke(self, user_id: str, provider: str) -> bool:
        found = [each for each in await self._store.of_user(user_id) if each.provider == provider]
        marked = [await self._store.mark(user_id, each.credential_id, "revoked", "") for each in found]
        return any(marked)

    async def rotate(self) -> int:
        return await self._rotation.run()

    async def _found(self, user_id: str, credential_id: str) -> tuple[Credential, bytes]:
        found = await self._store.find(user_id, credential_id)
        if found is None:
            raise _missing("There is no such key.", "It is not stored here for this user.")
        credential, _ = found
        if credential.state == "revoked":
            raise _missing(
                f"The key for {credential.provider} was removed.", "It was revoked, or another took its place."
            )
        if credential.state != "ok":
            raise _missing(f"The key for {credential.provider} is not used any more.", credential.why)
        return found

    async def _data_key(self, user_id: str) -> bytes | None:
        """The user's data key, opened; None where the user has none yet."""
        lost, masters = "", tuple[MasterKey, ...]()
        for _ in range(LOOKS):
            row = await self._store.data_key(user_id)
            if row is None:
                return None
            masters = await asyncio.to_thread(self._source.load)
            master = next((each for each in masters if each.id == row.master_id), None)
            if master is not None:
                return master.unwrap(row.wrapped, data_key_aad(user_id))
            lost = row.master_id
        raise missing_master([lost], masters, self._source.where)

    async def _new_data_key(self, user_id: str) -> bytes:
        """Made under the lock, so that no rotation ends without it and drops the master key that it was wrapped by."""
        async with self._source.locked():
            master = await self._first_master()
            made = self._random(KEY_BYTES)
            wrapped = master.wrap(made, data_key_aad(user_id), random=self._random)
            await self._store.add_data_key(DataKey(user_id, master.id, wrapped))
        data_key = await self._data_key(user_id)
        if data_key is None:
            raise CredentialSealError("A data key was not kept.", "The store does not hold it.", "Try again.")
        return data_key

    async def _first_master(self) -> MasterKey:
        masters = await self._rotation.masters() or self._source.renew()
        return masters[0]

    def _aad(self, credential: Credential) -> bytes:
        origin = self._origin_of(credential.base_url) if credential.base_url else ""
        bound = [credential.user_id, credential.credential_id, credential.provider, origin]
        return json.dumps(["orchestrator credential", *bound]).encode()


def _encoded(secret: Secret) -> bytes:
    try:
        return secret.reveal().encode()
    except UnicodeEncodeError:
        # That error holds the key.
        raise ConfigError("The key cannot be stored.", "It is no text.", "Copy it again, alone and whole.") from None


def _missing(what: str, why: str) -> CredentialMissingError:
    return CredentialMissingError(what, why, "Store a key in the settings, then resume.")
