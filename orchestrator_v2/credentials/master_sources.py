"""Where master keys come from: the environment, a file, or the keyring of the operating system; in this order.

The file is `master_file.py`; when a key is made or dropped is `vault.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, CredentialSealError, MissingExtraError
from orchestrator_v2.credentials.cipher import Random
from orchestrator_v2.credentials.file_lock import locked
from orchestrator_v2.credentials.master_file import FileKeys, default_path
from orchestrator_v2.credentials.master_key import MasterKey, parse_keys

VARIABLE = "ORCHESTRATOR_MASTER_KEY"
FROM_VARIABLE = "ORCHESTRATOR_MASTER_KEY_FROM"
SERVICE, ENTRY = "orchestrator", "master-key"
INSTALL = "pip install 'orchestrator-v2[keyring]'"


class MasterKeySource(Protocol):
    """A place of master keys: the first wraps anew, all open. Each method may raise `CredentialSealError`."""

    @property
    def where(self) -> str:
        """The place in words, for messages."""
        ...

    def load(self) -> tuple[MasterKey, ...]:
        """What is there now; none where nothing was ever made."""
        ...

    def renew(self) -> tuple[MasterKey, ...]:
        """Puts a new key before the others, durably, and gives all; where keys are not ours to make, those there are.

        Call it under `locked`.
        """
        ...

    def keep(self, key: MasterKey) -> None:
        """Drops all others, durably, where keys are ours to drop. Call it under `locked`."""
        ...

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Only one at a time makes or drops keys, or wraps a new data key."""
        ...


class PasswordStore(Protocol):
    """What is used of the `keyring` package."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...


def open_master_keys(
    environ: Mapping[str, str],
    *,
    data_dir: Path,
    clock: Clock,
    path: Path | None = None,
    random: Random = os.urandom,
) -> MasterKeySource:
    """The place that `environ` names; without a word in it the file at `path`, which is made when first needed.

    Raises `ConfigError` for a setting that is off, `MissingExtraError` without the `keyring` package.
    """
    wanted = environ.get(FROM_VARIABLE, "").strip() or "file"
    if wanted not in ("file", "keyring"):
        raise ConfigError(f"{FROM_VARIABLE} is '{wanted[:40]}'.", "That is no place of keys.", "Use file or keyring.")
    if VARIABLE in environ:
        return EnvironmentKeys(environ[VARIABLE])
    found = path or default_path(environ)
    if wanted == "file":
        return FileKeys(found, data_dir, clock=clock, random=random)
    return KeyringKeys(system_keyring(), found.with_name("master-keyring.lock"), clock=clock, random=random)


class EnvironmentKeys:
    """Keys separated by commas. They are the operator's to make and to drop; rotation wraps anew under the first."""

    where = f"the variable {VARIABLE}"

    def __init__(self, value: str) -> None:
        try:
            self._keys = parse_keys(value.split(","))
        except ValueError as error:
            raise ConfigError(
                f"{VARIABLE} is not usable.",
                f"In it, {error}." if value.strip() else "It is set, and empty.",
                "Give 32 random bytes in base64, as of: openssl rand -base64 32",
            ) from None

    def load(self) -> tuple[MasterKey, ...]:
        return self._keys

    def renew(self) -> tuple[MasterKey, ...]:
        return self._keys

    def keep(self, key: MasterKey) -> None:
        """Nothing: the operator takes the others out of the variable."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class KeyringKeys:
    """Keys in one entry of the operating system's keyring; the lock of `lock` is for this machine's processes."""

    where = "the keyring of the operating system"

    def __init__(self, store: PasswordStore, lock: Path, *, clock: Clock, random: Random = os.urandom) -> None:
        self._store = store
        self._lock = lock
        self._clock = clock
        self._random = random

    def load(self) -> tuple[MasterKey, ...]:
        try:
            value = self._store.get_password(SERVICE, ENTRY)
        except Exception as error:
            raise _no_keyring(f"{type(error).__name__}.") from error
        if value is None:
            return ()
        try:
            return parse_keys(value.split(","))
        except ValueError as error:
            raise _no_keyring(f"In its entry {SERVICE}/{ENTRY}, {error}.") from None

    def renew(self) -> tuple[MasterKey, ...]:
        keys = (MasterKey.new(self._random), *self.load())
        self._write(keys)
        return keys

    def keep(self, key: MasterKey) -> None:
        self._write((key,))

    def locked(self) -> AbstractAsyncContextManager[None]:
        return locked(self._lock, self._clock)

    def _write(self, keys: tuple[MasterKey, ...]) -> None:
        try:
            self._store.set_password(SERVICE, ENTRY, ",".join(key.text() for key in keys))
        except Exception as error:
            raise _no_keyring(f"{type(error).__name__}.") from error
        if [key.id for key in self.load()] != [key.id for key in keys]:
            raise _no_keyring("It did not keep what was put in.")


def system_keyring() -> PasswordStore:
    """Raises `MissingExtraError` without the `keyring` package."""
    try:
        import keyring
    except ImportError:
        raise MissingExtraError(
            "The package for the system's keyring is not installed.", "", f"Run: {INSTALL}"
        ) from None
    return keyring


def _no_keyring(why: str) -> CredentialSealError:
    return CredentialSealError(
        "The keyring of the operating system is not usable.", why, f"Unlock it, or use a file: unset {FROM_VARIABLE}."
    )
