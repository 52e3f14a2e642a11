"""A psycopg connection as the units see it; statements are translated once each.

Who reconnects, and settles what a lost commit has done, is `postgres_writer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from orchestrator_v2.persistence.batch import Row
from orchestrator_v2.persistence.postgres_rows import INSERT_EVENTS, event_arrays
from orchestrator_v2.persistence.statements import INSERT_EVENT, in_postgres

# What every transaction of appends does is prepared once, planned once, and goes through libpq itself: psycopg's
# cursors cost the client more than the server's work does. The transaction's own number comes with the lock, so that
# a lost commit can be looked up afterwards.
_PREPARE = (
    "SET plan_cache_mode = force_generic_plan",
    "PREPARE heads (bigint[]) AS SELECT run_no, epoch, spent, unpriced, COALESCE((SELECT id FROM events"
    " WHERE id > run_no << 32 AND id < (run_no + 1) << 32 ORDER BY id DESC LIMIT 1), run_no << 32), owner_id,"
    " pg_current_xact_id()::text FROM runs WHERE run_no = ANY ($1) ORDER BY run_no FOR NO KEY UPDATE",
)
# Any second number that no other program locks; a name's lock goes with the transaction.
_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(?, 7305216002))"
_TRANSACTION = "SELECT pg_current_xact_id()::text"
_EVENTS = b"insert_events"
_BINARY = (1, 1, 1, 1)


class PostgresSession:
    poison: tuple[type[Exception], ...] = (
        psycopg.IntegrityError,
        psycopg.DataError,
        psycopg.ProgrammingError,
        # A text that is too long for an index.
        psycopg.errors.ProgramLimitExceeded,
        ValueError,
        OverflowError,
    )

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        self._translated: dict[str, str] = {}
        self.transaction = ""
        # The stretch between two crashes of the server that this connection was made in.
        self.era = ""
        self._begin = b""
        self._is_prepared = False

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._execute(statement, values).fetchall()

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        if values:
            return self._execute(statement, values).rowcount
        # Among these are savepoints: a psycopg that sees a rollback drops all prepared statements, `heads` among them.
        self._begin_now()
        return int(self._send(statement.encode()).command_tuples or 0)

    def many(self, statement: str, rows: Sequence[Row]) -> None:
        if statement == INSERT_EVENT:
            self._insert_events(rows)
        elif len(rows) == 1:
            self._execute(statement, rows[0])
        else:
            self._begin_now()
            with self.connection.cursor() as cursor:
                cursor.executemany(self._in_postgres(statement), rows)

    def begin(self) -> None:
        # Sent together with the first statement: a round trip costs more than either.
        self.transaction = ""
        self._begin = b"BEGIN; "

    def commit(self) -> None:
        done = self._send(b"COMMIT").command_status
        if done != b"COMMIT":
            # The server answers ROLLBACK, without an error, where a statement before had failed.
            raise psycopg.errors.InFailedSqlTransaction(f"the server answered {done!r} to COMMIT")

    def rollback(self) -> None:
        self._begin = b""
        self._send(b"ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    def heads(self, run_nos: Sequence[int]) -> list[Row]:
        found = self._lock(run_nos) if run_nos else []
        if not found and not self.transaction:
            self.transaction = self.rows(_TRANSACTION)[0][0]
        return found

    def hold(self, names: Sequence[str]) -> None:
        for name in names:
            self.rows(_HOLD, (name,))

    def _lock(self, run_nos: Sequence[int]) -> list[Row]:
        self._prepare()
        begin, self._begin = self._begin, b""
        # Whole numbers of our own are the only thing in this text that is not a constant.
        answer = self._send(begin + b"EXECUTE heads ('{%s}')" % ",".join(map(str, run_nos)).encode())
        found = []
        for row in range(answer.ntuples):
            values = (answer.get_value(row, column) or b"" for column in range(answer.nfields))
            *numbers, owner, transaction = values
            self.transaction = transaction.decode()
            found.append((*map(int, numbers), owner.decode()))
        return found

    def _insert_events(self, rows: Sequence[Row]) -> None:
        self._prepare()
        self._begin_now()
        _checked(self.connection.pgconn.exec_prepared(_EVENTS, event_arrays(rows), _BINARY))

    def _prepare(self) -> None:
        if not self._is_prepared:
            for statement in _PREPARE:
                self._send(statement.encode())
            _checked(self.connection.pgconn.prepare(_EVENTS, INSERT_EVENTS))
            self._is_prepared = True

    def _begin_now(self) -> None:
        if self._begin:
            self._begin = b""
            self._send(b"BEGIN")

    def _execute(self, statement: str, values: Sequence[object]) -> psycopg.Cursor[Row]:
        self._begin_now()
        return self.connection.execute(self._in_postgres(statement), values or None)

    def _in_postgres(self, statement: str) -> str:
        translated = self._translated.get(statement)
        if translated is None:
            # Only the constants of `statements.py` and `schema.py` come here; values travel beside them.
            translated = self._translated[statement] = in_postgres(statement)
        return translated

    def _send(self, query: bytes) -> PGresult:
        return _checked(self.connection.pgconn.exec_(query))


def _checked(answer: PGresult) -> PGresult:
    """The server's answer; raises the psycopg error for one that is no success."""
    if answer.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return answer
    error = psycopg.errors.error_from_result(answer)
    # Without a state these are libpq's own words: the server did not answer.
    raise error if error.sqlstate else psycopg.OperationalError(str(error))
