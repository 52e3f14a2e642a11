"""One server on one SQLite file, by a lock on the file beside it, which the system takes back when its holder dies.

Single commands may use the database beside a server: what keeps runs apart is the claim in `runs.py`, not this.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from orchestrator_v2.core.errors import StoreInUseError, StoreUnavailableError

ENDING = ".server"


class OneServer:
    def __init__(self, database: Path) -> None:
        self._database = database
        self._handle: int | None = None

    def take(self) -> None:
        """Holds the file for this server until `give_back`; does nothing where it is held here already.

        Raises `StoreInUseError` where another server has it, `StoreUnavailableError` where no lock can be made.
        """
        if self._handle is not None:
            return
        # A link leads to the same database, and SQLite keeps its own files beside that one, too.
        real = self._database.resolve()
        path = real.with_name(real.name + ENDING)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _no_lock(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # For the one who comes second: the lock itself does not say who holds it.
            os.truncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            raise _in_use(self._database, holder) from None
        except OSError as error:
            os.close(handle)
            raise _no_lock(path, error) from error
        self._handle = handle

    def give_back(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _in_use(database: Path, holder: str) -> StoreInUseError:
    return StoreInUseError(
        f"Another server works on {database}.",
        f"It is process {holder or 'unknown'}; a SQLite file bears one server, and any number of single commands.",
        "End that one, or set another ORCHESTRATOR_DATA_DIR for this one. Several servers share a PostgreSQL database.",
    )


def _no_lock(path: Path, error: OSError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"The lock {path} cannot be taken.",
        f"{error.strerror or error}.",
        "A server needs to write beside its database: look at the folder's rights and space.",
    )
