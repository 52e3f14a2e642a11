"""Master keys in a file of mode 0600, one in base64 a line: the first wraps, all open.

Other places are `master_sources.py`; when a key is made or dropped is `vault.py`'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, CredentialSealError
from orchestrator_v2.credentials.cipher import Random
from orchestrator_v2.credentials.file_lock import locked
from orchestrator_v2.credentials.master_key import MasterKey, parse_keys

_HEAD = "# Opens every key that is stored on this server. Keep it secret, and a copy of it elsewhere.\n"
_LARGEST = 64 * 1024


class FileKeys:
    """Refuses with `ConfigError` a file inside `data_dir`: whoever copies the one would have both."""

    def __init__(self, path: Path, data_dir: Path, *, clock: Clock, random: Random = os.urandom) -> None:
        # The file itself is not followed, nor resolved: a link in its place is refused when it is read.
        self._path = path.parent.resolve() / path.name
        self._clock = clock
        self._random = random
        if self._path.is_relative_to(data_dir.resolve()):
            raise ConfigError(
                f"The master key {self._path} lies inside the data directory.",
                "A copy of that directory would hold the stored keys and what opens them.",
                "Name a file outside of it.",
            )

    @property
    def where(self) -> str:
        return f"the file {self._path}"

    def load(self) -> tuple[MasterKey, ...]:
        """The keys; none where there is no file. Raises `CredentialSealError` for a file that others could read."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(self._path, flags)
        except FileNotFoundError:
            return ()
        except OSError as error:
            why = "It is a symbolic link." if self._path.is_symlink() else f"{error.strerror}."
            raise self._refused(why, "Put the file itself there.") from None
        with os.fdopen(handle, "rb") as file:
            self._check(os.fstat(handle))
            content = file.read(_LARGEST)
        return self._parsed(content)

    def renew(self) -> tuple[MasterKey, ...]:
        """Puts a new key before those that are there. Call it under `locked`."""
        keys = (MasterKey.new(self._random), *self.load())
        self._write(keys)
        return keys

    def keep(self, key: MasterKey) -> None:
        """Drops all keys but this one. Call it under `locked`."""
        self._write((key,))

    def locked(self) -> AbstractAsyncContextManager[None]:
        return locked(self._path.with_name(self._path.name + ".lock"), self._clock)

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._refused("It is no regular file.", "Put the file itself there.")
        if status.st_uid != os.geteuid():
            raise self._refused("It belongs to another user.", f"Give it to the user who runs this: chown {self._path}")
        if status.st_mode & 0o077:
            raise self._refused("Others than its owner can use it.", f"Run: chmod 600 {self._path}")

    def _parsed(self, content: bytes) -> tuple[MasterKey, ...]:
        lines = (line.strip() for line in content.decode("utf-8", "replace").splitlines())
        try:
            keys = parse_keys(line for line in lines if line and not line.startswith("#"))
        except ValueError as error:
            raise self._refused(f"In it, {error}.", "Restore it from its copy.") from None
        if not keys:
            raise self._refused("It holds no key.", "Restore it from its copy.")
        return keys

    def _write(self, keys: tuple[MasterKey, ...]) -> None:
        content = (_HEAD + "".join(f"{key.text()}\n" for key in keys)).encode()
        try:
            _replace(self._path, content)
        except OSError as error:
            raise self._refused(f"It cannot be written: {error.strerror}.", "Make room for it.") from None

    def _refused(self, why: str, do: str) -> CredentialSealError:
        return CredentialSealError(f"The master key {self._path} is not used.", why, do)


def _replace(path: Path, content: bytes) -> None:
    """In one step, so that a reader finds the old keys or the new ones, whenever the power goes."""
    aside = path.with_name(path.name + ".new")
    # Left by a process that was killed here.
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def default_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/orchestrator/master.key`. Raises `ConfigError` where there is no home either."""
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    if configured.is_absolute():
        return configured / "orchestrator" / "master.key"
    if not environ.get("HOME"):
        raise ConfigError("There is no place for the master key.", "HOME is not set.", "Set ORCHESTRATOR_MASTER_KEY.")
    return Path(environ["HOME"]) / ".config" / "orchestrator" / "master.key"
