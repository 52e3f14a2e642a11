"""One process at a time, by a lock on a file that the system takes back when its holder dies.

What is done under it is `vault.py`'s.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import CredentialSealError

# Seconds. Under the lock a few rows are written, which is over long before.
_LONGEST, _BETWEEN = 30.0, 0.02


@asynccontextmanager
async def locked(path: Path, clock: Clock) -> AsyncIterator[None]:
    """Holds the lock; two coroutines of one process exclude each other too. Raises `CredentialSealError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _no_lock(path, f"{error.strerror}.") from None
    try:
        until = clock.monotonic() + _LONGEST
        while not _taken(handle):
            if clock.monotonic() > until:
                raise _no_lock(path, f"Another process has held it for {_LONGEST:g} s.")
            await clock.sleep(_BETWEEN)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _no_lock(path: Path, why: str) -> CredentialSealError:
    return CredentialSealError(f"The lock {path} cannot be taken.", why, "Look at who uses it, then try again.")
