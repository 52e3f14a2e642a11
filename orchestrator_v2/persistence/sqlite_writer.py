"""SQLite behind the writer: one connection in WAL mode that writes, others that only read.

When and with what it is called is `group_commit.py`; what its result codes mean is `sqlite_failures.py`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from orchestrator_v2.core.probe import Probe
from orchestrator_v2.persistence import schema
from orchestrator_v2.persistence.batch import Outcome, Row, Session, Unit, apply_units, passed
from orchestrator_v2.persistence.one_server import OneServer
from orchestrator_v2.persistence.sqlite_failures import sqlite_failure

# Seconds that a process waits for another one's transaction; those take milliseconds.
LOCK_WAIT = 10.0
SWITCH_PAUSE = 0.02
# An append of a few thousand characters dirties about three pages, whatever their size: with pages of 4,096 bytes,
# SQLite's own choice, that is 21 KB on its way to the disk for a result of 2 KB, with these 14 KB.
PAGE_BYTES = 2048

_HEAD = (
    "SELECT run_no, epoch, spent, unpriced, COALESCE((SELECT MAX(id) FROM events"
    " WHERE id > run_no << 32 AND id < (run_no + 1) << 32), run_no << 32), owner_id FROM runs WHERE run_no = ?"
)


class SqliteSession:
    poison: tuple[type[Exception], ...] = (
        sqlite3.IntegrityError,
        sqlite3.DataError,
        sqlite3.InterfaceError,
        sqlite3.ProgrammingError,
        ValueError,
        OverflowError,
    )

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        return self._connection.execute(statement, values).rowcount

    def many(self, statement: str, rows: Sequence[Row]) -> None:
        self._connection.executemany(statement, rows)

    def begin(self) -> None:
        # IMMEDIATE: what is read in it (epochs, sums) stays true until the commit.
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def heads(self, run_nos: Sequence[int]) -> list[Row]:
        execute = self._connection.execute
        return [row for run_no in run_nos for row in execute(_HEAD, (run_no,))]

    def hold(self, names: Sequence[str]) -> None:
        """BEGIN IMMEDIATE keeps all others out already."""

    def close(self) -> None:
        self._connection.close()


class SqliteBackend:
    dialect = "sqlite"
    # A file is not lost and found again.
    pauses: Sequence[float] = ()

    def __init__(self, path: str, probe: Probe, durability: str = "full", lock_wait: float = LOCK_WAIT) -> None:
        self.path = Path(path).expanduser().absolute()
        self.name = str(self.path)
        self._probe = probe
        self._synchronous = {"full": "FULL", "normal": "NORMAL"}[durability]
        self._lock_wait = lock_wait
        self._idle = threading.Event()
        self._watching = threading.Lock()
        self._watcher: sqlite3.Connection | None = None
        self._one_server = OneServer(self.path)

    def open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Briefs and answers are nobody else's to read; SQLite gives the files beside it the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # only a new file takes it
            self._use_write_ahead_log(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            self._session = SqliteSession(connection)
            schema.prepare(self, self._session, self._upgrade, self._probe)
        except BaseException:
            connection.close()
            raise

    def transact(self, units: Sequence[Unit]) -> list[Outcome]:
        try:
            outcomes = apply_units(self._session, units, self._probe)
            self._session.commit()
        except BaseException:
            self._session.rollback()
            raise
        passed(units, outcomes, self._probe)
        return outcomes

    def occupy(self) -> None:
        self._one_server.take()

    def close(self) -> None:
        # What is closed last folds the write-ahead log into the file, and one that only reads cannot.
        if self._watcher is not None:
            self._watcher.close()
        self._session.close()
        self._one_server.give_back()

    def reader(self) -> SqliteSession:
        return SqliteSession(self._connect(read_only=True))

    def failure(self, error: Exception) -> Exception:
        return sqlite_failure(error, self.name)

    def lost(self, error: Exception) -> bool:
        return False

    def change_count(self, session: Session) -> int:
        # data_version counts what all others committed, as one connection sees it, so it is always the same one.
        with self._watching:
            if self._watcher is None:
                self._watcher = self._connect(read_only=True)
            count: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
            return count

    def lock(self, session: Session) -> None:
        """BEGIN IMMEDIATE has the lock already."""

    def tables(self, session: Session) -> set[str]:
        return {row[0] for row in session.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def foreign(self, tables: set[str]) -> bool:
        return bool(tables)

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait here when two processes switch a new file at once: one of them is told "locked".
        for _ in range(int(self._lock_wait / SWITCH_PAUSE)):
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            self._idle.wait(SWITCH_PAUSE)
        connection.execute("PRAGMA journal_mode = WAL")

    def _connect(self, read_only: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=self._lock_wait,
            isolation_level=None,
            # Each is used by one thread at a time; it may be closed by another.
            check_same_thread=False,
        )

    def _upgrade(self) -> None:
        from orchestrator_v2.persistence.migrations.upgrade import upgrade

        upgrade(self.dialect, self._connect, self._probe)
