"""What PostgreSQL says, as the errors of this project: one table by the class of its SQLSTATE.

SQLite's are in `sqlite_failures.py`. No text here carries the URL: a password may stand in it.
"""

from __future__ import annotations

import psycopg

from orchestrator_v2.core.errors import StoreCorruptError, StoreError, StoreFullError, StoreUnavailableError

_ROOM = "Make room there, then resume; everything that was acknowledged is there."
_REACH = "Check that the server runs, that the URL is right, and that it lets this user in."

# postgresql.org/docs/current/errcodes-appendix.html, by the whole state or its first two characters.
_BY_STATE: dict[str, tuple[type[StoreError], str, str]] = {
    "53100": (StoreFullError, "The server has no room on its disk", _ROOM),
    "53200": (StoreFullError, "The server has no memory left", _ROOM),
    "42": (StoreCorruptError, "Its tables are not those of this release, or not this user's", "Check the database."),
    "XX": (StoreCorruptError, "The server found it damaged", "Restore the database from a backup."),
}
_OTHER = (StoreUnavailableError, "The server cannot be reached, or broke off", _REACH)

# Nothing was committed, and the same transaction may pass the next time.
_AGAIN = ("40001", "40P01", "55P03")


def postgres_failure(error: Exception, name: str) -> Exception:
    """The `StoreError` for an exception of psycopg; any other exception as it is. `name` is without a password."""
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate or ""
    kind, why, do = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _OTHER
    said = str(error).strip().splitlines()
    return kind(f"The database {name} cannot be used.", f"{why} ({said[0] if said else type(error).__name__}).", do)


def connection_lost(error: Exception) -> bool:
    """The connection, not the statement, failed: no state at all, class 08, the server's shutdown (57P0x), or its word
    that this session slept inside a transaction (25P03)."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate or ""
    return state == "" or state.startswith(("08", "57P0", "25P03"))


def worth_another_try(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and (connection_lost(error) or error.sqlstate in _AGAIN)
