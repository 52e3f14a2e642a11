"""A master key: it wraps users' data keys, and is known by an id that tells nothing of it.

Where master keys come from is `master_sources.py`; what is wrapped, and when, is `vault.py`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from typing import NoReturn

from orchestrator_v2.credentials.cipher import KEY_BYTES, Random, open_seal, seal

_LABEL = b"orchestrator master key id\x00"


class MasterKey:
    """32 bytes that are in no repr and no pickle. `id` is 12 hex digits of SHA-256 over a label and the key."""

    __slots__ = ("__raw", "id")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self.__raw = raw
        self.id = hashlib.sha256(_LABEL + raw).hexdigest()[:12]

    @classmethod
    def new(cls, random: Random = os.urandom) -> MasterKey:
        return cls(random(KEY_BYTES))

    def wrap(self, data_key: bytes, aad: bytes, *, random: Random = os.urandom) -> bytes:
        return seal(self.__raw, data_key, aad, random=random)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises `CredentialSealError`."""
        return open_seal(self.__raw, wrapped, aad)

    def text(self) -> str:
        """The key itself in base64, for the place that keeps it."""
        return base64.b64encode(self.__raw).decode()

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MasterKey is not pickled")


def parse_keys(texts: Iterable[str]) -> tuple[MasterKey, ...]:
    """Keys from base64, each once and in order. Raises `ValueError` that says which is wrong, and shows none."""
    keys: dict[str, MasterKey] = {}
    for number, text in enumerate(texts, 1):
        try:
            raw = base64.b64decode(text.strip().translate({45: "+", 95: "/"}), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {number} is no base64") from None
        if len(raw) != KEY_BYTES:
            raise ValueError(f"key {number} has {len(raw)} bytes, not {KEY_BYTES}")
        key = MasterKey(raw)
        keys.setdefault(key.id, key)
    return tuple(keys.values())
