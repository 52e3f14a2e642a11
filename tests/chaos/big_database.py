"""A database grown to size: what the product made of one sample run, copied by SQL until there is enough of it.

What is measured on it is `test_scale_database.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

# The numbers from 1 to the parameter, in words of both databases.
_SERIES = "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count})"
_NUMBER = "CAST(n AS TEXT)"


class Database:
    """A bare connection to the server's database, beside the server."""

    def __init__(self, url: str) -> None:
        self._is_sqlite = url.startswith("sqlite")
        self._connection: Any = (
            sqlite3.connect(url.removeprefix("sqlite:///")) if self._is_sqlite else psycopg.connect(url)
        )

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(statement).fetchall())

    def columns(self, table: str) -> list[str]:
        return [it[0] for it in self._connection.execute(f"SELECT * FROM {table} LIMIT 0").description]

    def write(self, statement: str) -> None:
        self._connection.execute(statement)
        self._connection.commit()

    def settle(self) -> None:
        """What PostgreSQL does by itself within minutes; the product has SQLite do nothing of the kind."""
        if not self._is_sqlite:
            self.write("ANALYZE")

    def size(self) -> int:
        """In bytes."""
        pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        here = "relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        tables = f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE {here}"
        return int(self.rows(pages if self._is_sqlite else tables)[0][0])

    def plan(self, statement: str) -> str:
        """How the database would answer it."""
        word = "EXPLAIN QUERY PLAN" if self._is_sqlite else "EXPLAIN"
        return "\n".join(str(row[-1]) for row in self.rows(f"{word} {statement}"))

    def drop(self) -> None:
        """Its tables, and with them the room on the disk."""
        if self._is_sqlite:
            name = Path(self.rows("PRAGMA database_list")[0][2])
            self.close()
            for path in name.parent.glob(f"{name.name}*"):
                path.unlink()
        else:
            self.write(f"DROP SCHEMA {self.rows('SELECT current_schema()')[0][0]} CASCADE")
            self.close()


@contextlib.contextmanager
def beside(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def grow(database: Database, *, project_id: str, projects: int, events: int) -> None:
    """Copies of that project, its one run and the run's events, so many of each at the least.

    Every second one is the sample's owner's, the others belong to 99 more; of the owner's runs one in 50 failed.
    """
    ((run_no, run_id),) = database.rows(f"SELECT run_no, run_id FROM runs WHERE project_id = '{project_id}'")
    first = run_no << 32
    mine = f"id > {first} AND id < {first + (1 << 32)}"
    ((each,),) = database.rows(f"SELECT count(*) FROM events WHERE {mine}")
    runs = max(projects, -(-events // each))
    new_project = f"'prj_copy' || CAST((n - 1) % {projects} AS TEXT)"
    # A run's owner is its project's: both numbers are even, or both are odd.
    assert projects % 2 == 0
    owner = "CASE WHEN n % 2 = 0 THEN owner_id ELSE 'usr_other' || CAST(n % 99 AS TEXT) END"
    copied = {"project_id": "'prj_copy' || CAST(n - 1 AS TEXT)", "name": f"name || ' ' || {_NUMBER}", "owner_id": owner}
    _copy(database, "projects", f"project_id = '{project_id}'", projects, copied)
    status = "CASE WHEN n % 100 = 0 THEN 'failed' ELSE status END"
    copied = {"run_id": f"'run_copy' || {_NUMBER}", "project_id": new_project, "status": status, "owner_id": owner}
    _copy(database, "runs", f"run_id = '{run_id}'", runs, copied)
    place = f"(CAST(copies.run_no AS BIGINT) << 32) | (events.id - {first})"
    database.write(
        f"INSERT INTO events (id, at, type, payload) SELECT {place}, events.at, events.type, events.payload"
        f" FROM (SELECT run_no FROM runs WHERE run_id LIKE 'run_copy%') AS copies"
        f" CROSS JOIN (SELECT * FROM events WHERE {mine}) AS events"
    )
    database.settle()


def _copy(database: Database, table: str, which: str, count: int, changed: Mapping[str, str]) -> None:
    numbers = ("project_no", "run_no")
    names = [name for name in database.columns(table) if name not in numbers]
    taken = ", ".join(changed.get(name, f"sample.{name}") for name in names)
    database.write(
        f"{_SERIES.format(count=count)} INSERT INTO {table} ({', '.join(names)}) SELECT {taken}"
        f" FROM (SELECT * FROM {table} WHERE {which}) AS sample CROSS JOIN series ORDER BY n"
    )
