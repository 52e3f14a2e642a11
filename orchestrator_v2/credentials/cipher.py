"""AES-256-GCM with a version in front: what does not open is an error, never an empty value.

Which key seals what is `vault.py`; where the master key comes from is `master_sources.py`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from orchestrator_v2.core.errors import CredentialSealError, MissingExtraError

# So many bytes that nobody can guess.
Random = Callable[[int], bytes]

KEY_BYTES = 32
INSTALL = "pip install 'orchestrator-v2[server]'"
_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16


def seal(key: bytes, plaintext: bytes, aad: bytes, *, random: Random = os.urandom) -> bytes:
    """version (1 byte) + nonce (12, fresh) + ciphertext + tag (16), bound to `aad`; `key` has 32 bytes.

    Raises `MissingExtraError` without the `cryptography` package.
    """
    nonce = random(_NONCE_BYTES)
    sealed: bytes = _cipher(key).encrypt(nonce, plaintext, _VERSION + aad)
    return _VERSION + nonce + sealed


def open_seal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What `seal` was given. Raises `CredentialSealError` for any other key, aad or bit."""
    head = len(_VERSION) + _NONCE_BYTES
    if len(sealed) < head + _TAG_BYTES:
        raise _does_not_open("It is too short to be one." if sealed else "It is empty.")
    if sealed[:1] != _VERSION:
        raise _does_not_open("Its version is not known to this release.")
    try:
        plaintext: bytes = _cipher(key).decrypt(sealed[1:head], sealed[head:], _VERSION + aad)
    except _package("cryptography.exceptions").InvalidTag:
        raise _does_not_open("It was sealed by another key or for another owner, or it is damaged.") from None
    return plaintext


def _cipher(key: bytes) -> Any:
    if len(key) != KEY_BYTES:
        raise _does_not_open("The key has the wrong length.")
    return _package("cryptography.hazmat.primitives.ciphers.aead").AESGCM(key)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError("The package that seals stored keys is not installed.", "", f"Run: {INSTALL}") from None


def _does_not_open(why: str) -> CredentialSealError:
    return CredentialSealError("A stored key does not open.", why, "Store the key again, or restore the backup.")
