"""A psycopg connection as the units see it; statements are translated once each.

Who reconnects, and settles what a lost commit has done, is `postgres_writer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestrator_v2.persistence.batch import Row
from orchestrator_v2.persistence.statements import in_postgres

# The transaction's own number comes with the lock, so that a lost commit can be looked up afterwards.
_HEADS = (
    "SELECT run_no, epoch, spent, unpriced, COALESCE((SELECT MAX(id) FROM events"
    " WHERE id > run_no::bigint << 32 AND id < (run_no::bigint + 1) << 32), run_no::bigint << 32),"
    " pg_current_xact_id()::text FROM runs WHERE run_no IN ({}) ORDER BY run_no FOR NO KEY UPDATE"
)
_TRANSACTION = "SELECT pg_current_xact_id()::text"


class PostgresSession:
    poison: tuple[type[Exception], ...] = (
        psycopg.IntegrityError,
        psycopg.DataError,
        psycopg.ProgrammingError,
        ValueError,
        OverflowError,
    )

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        self._translated: dict[str, str] = {}
        self.transaction = ""
        self._begin = ""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._execute(statement, values).fetchall()

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        return self._execute(statement, values).rowcount

    def many(self, statement: str, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            self._execute(statement, rows[0])
            return
        self._begin_now()
        with self.connection.cursor() as cursor:
            cursor.executemany(self._in_postgres(statement), rows)

    def begin(self) -> None:
        # Sent together with the first statement: a round trip costs more than either.
        self.transaction = ""
        self._begin = "BEGIN; "

    def commit(self) -> None:
        done = self.connection.execute("COMMIT").statusmessage
        if done != "COMMIT":
            # The server answers ROLLBACK, without an error, where a statement before had failed.
            raise psycopg.errors.InFailedSqlTransaction(f"the server answered {done} to COMMIT")

    def rollback(self) -> None:
        self._begin = ""
        self.connection.execute("ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    def heads(self, run_nos: Sequence[int]) -> list[Row]:
        found = self._first(_HEADS.format(", ".join(map(str, run_nos)))) if run_nos else []
        if found:
            self.transaction = found[0][5]
        elif not self.transaction:
            self.transaction = self._first(_TRANSACTION)[0][0]
        return found

    def _first(self, query: str) -> list[Row]:
        begin, self._begin = self._begin, ""
        # Whole numbers of our own are the only thing in this text that is not a constant.
        cursor = self.connection.execute(begin + query, prepare=False)
        while cursor.nextset():
            pass
        return cursor.fetchall()

    def _begin_now(self) -> None:
        if self._begin:
            self._begin = ""
            self.connection.execute("BEGIN")

    def _execute(self, statement: str, values: Sequence[object]) -> psycopg.Cursor[Row]:
        self._begin_now()
        return self.connection.execute(self._in_postgres(statement), values or None)

    def _in_postgres(self, statement: str) -> str:
        translated = self._translated.get(statement)
        if translated is None:
            # Only the constants of `statements.py` and `schema.py` come here; values travel beside them.
            translated = self._translated[statement] = in_postgres(statement)
        return translated
