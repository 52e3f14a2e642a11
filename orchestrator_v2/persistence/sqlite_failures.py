"""What SQLite says, as the errors of this project: one table by its result codes.

PostgreSQL's are in `postgres_failures.py`.
"""

from __future__ import annotations

import errno
import sqlite3

from orchestrator_v2.core.errors import StoreCorruptError, StoreError, StoreFullError, StoreUnavailableError

_RESTORE = "Restore the file from a backup, or name another one."
_ROOM = "Make room on the disk, then resume; everything that was acknowledged is there."
_RIGHTS = "Check that the file and its folder exist and may be written, or name another path."

# sqlite.org/rescode.html; an extended code first, then the primary code in its lowest byte.
_BY_CODE: dict[int, tuple[type[StoreError], str, str]] = {
    4874: (StoreFullError, "There is no room for its shared memory", _ROOM),
    1: (StoreCorruptError, "Its tables are not those of this release", _RESTORE),
    5: (StoreUnavailableError, "Another process kept it locked for too long", "Try again when that process is done."),
    6: (StoreUnavailableError, "Another connection kept it locked", "Try again when that process is done."),
    8: (StoreUnavailableError, "It may not be written", _RIGHTS),
    10: (StoreUnavailableError, "Reading or writing the disk failed", "Check the disk, then resume."),
    11: (StoreCorruptError, "It is damaged", _RESTORE),
    13: (StoreFullError, "There is no room on the disk", _ROOM),
    14: (StoreUnavailableError, "It cannot be opened", _RIGHTS),
    23: (StoreUnavailableError, "It may not be opened", _RIGHTS),
    26: (StoreCorruptError, "It is not a SQLite database", _RESTORE),
}
_OTHER = (StoreUnavailableError, "SQLite failed", "Check the disk, then resume.")


def sqlite_failure(error: Exception, path: str) -> Exception:
    """The `StoreError` for an exception of `sqlite3` or of the file system; any other exception as it is."""
    what = f"The database {path} cannot be used."
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        kind, why, do = _BY_CODE.get(code) or _BY_CODE.get(code & 0xFF) or _OTHER
        return kind(what, f"{why} ({error}).", do)
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFullError(what, "There is no room on the disk.", _ROOM)
        return StoreUnavailableError(what, f"{error.strerror or error}.", _RIGHTS)
    return error
