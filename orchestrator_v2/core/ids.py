"""Identifiers as a parameter: a random source for use and a counting one for tests.

Ids name projects and runs in the database only; nothing that lands in a user's tree carries one.
"""

from __future__ import annotations

import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class IdSource(Protocol):
    def new(self, prefix: str) -> str:
        """A fresh id such as `run_5k2m9x0q7c1d`."""
        ...


class RandomIds:
    def new(self, prefix: str) -> str:
        # One call of the system for all; 32 letters divide a byte's 256 values evenly.
        return f"{prefix}_" + "".join(_ALPHABET[byte % 32] for byte in secrets.token_bytes(12))


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:06d}"
