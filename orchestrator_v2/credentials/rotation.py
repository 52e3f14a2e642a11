"""Puts a new master key in the place of the old one, row by row; killed at any instant, every key still opens.

    [old]  ->  [new, old]  ->  every data key wrapped by new  ->  [new]

What a data key opens is `vault.py`'s. Begun anew after a crash, a rotation goes on with the key that was made.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Sequence

from orchestrator_v2.core.accounts import CredentialStore, DataKey
from orchestrator_v2.core.errors import CredentialSealError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.credentials.cipher import Random
from orchestrator_v2.credentials.master_key import MasterKey
from orchestrator_v2.credentials.master_sources import MasterKeySource

# A rotation may end between a look at the rows and one at the master keys; not so often in a row.
LOOKS = 3


class Rotation:
    def __init__(
        self,
        store: CredentialStore,
        source: MasterKeySource,
        *,
        random: Random = os.urandom,
        probe: Probe = no_probe,
    ) -> None:
        self._store = store
        self._source = source
        self._random = random
        self._probe = probe

    async def masters(self) -> tuple[MasterKey, ...]:
        """The master keys; none where there are none yet and nothing was ever wrapped.

        Raises `CredentialSealError` where one that wraps a stored data key is not among them.
        """
        lost, masters = set[str](), tuple[MasterKey, ...]()
        for _ in range(LOOKS):
            rows = await self._store.data_keys()
            masters = await asyncio.to_thread(self._source.load)
            lost = {row.master_id for row in rows} - {each.id for each in masters}
            if not lost:
                return masters
        raise missing_master(lost, masters, self._source.where)

    async def run(self) -> int:
        """How many data keys were wrapped anew. Two at once do the same work, and do it once."""
        async with self._source.locked():
            masters = await self.masters()
            if len(masters) < 2:
                masters = self._source.renew()
        count = 0
        for row in await self._store.data_keys():
            count += await self._rewrap(row, masters)
        async with self._source.locked():
            return count + await self._end(masters)

    async def _rewrap(self, row: DataKey, masters: Sequence[MasterKey]) -> bool:
        """Whether that row was wrapped anew here; somebody else may have done it."""
        first, old = masters[0], next((each for each in masters if each.id == row.master_id), None)
        if old is None or old is first:
            return False
        aad = data_key_aad(row.user_id)
        wrapped = first.wrap(old.unwrap(row.wrapped, aad), aad, random=self._random)
        done = await self._store.rewrap(DataKey(row.user_id, first.id, wrapped), was=old.id)
        self._probe("key-rotation-row")
        return done

    async def _end(self, masters: Sequence[MasterKey]) -> int:
        """Drops the old keys once nothing is wrapped by them; under the lock nobody wraps another data key."""
        if [each.id for each in self._source.load()] != [each.id for each in masters]:
            # Another rotation has ended this one, and may have begun the next.
            return 0
        count = 0
        for row in await self._store.data_keys():
            count += await self._rewrap(row, masters)
        left = {row.master_id for row in await self._store.data_keys()} - {masters[0].id}
        if left:
            raise missing_master(left, masters, self._source.where)
        self._source.keep(masters[0])
        return count


def data_key_aad(user_id: str) -> bytes:
    """What a wrapped data key is bound to."""
    return json.dumps(["orchestrator data key", user_id]).encode()


def missing_master(lost: Iterable[str], masters: Sequence[MasterKey], where: str) -> CredentialSealError:
    there = ", ".join(each.id for each in masters) or "none"
    return CredentialSealError(
        f"The master key {', '.join(sorted(lost))} is not there.",
        f"It wraps keys that are stored here; {where} holds {there}.",
        "Put it back from its copy. No other is made in its place, as the stored keys would be lost.",
    )
