"""Tables, migrations and snapshot are one schema on SQLite; `tests/contracts/test_journal_schema.py` has PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.engine.ports import Claim, RunRow
from orchestrator_v2.llm.ledger import CallIntent, CallRow
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.persistence.migrations.upgrade import config, upgrade
from orchestrator_v2.persistence.schema import HEAD, OURS, VERSIONS
from orchestrator_v2.persistence.schema_snapshot import SNAPSHOT
from orchestrator_v2.persistence.tables import ddl, metadata


def opened(path: Path) -> None:
    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{path}", clock=ManualClock())
        assert await journal.runs() == []
        await journal.close()

    asyncio.run(whole())


def migrated(path: Path) -> None:
    upgrade("sqlite", lambda: sqlite3.connect(path, isolation_level=None), no_probe)


def schema_of(path: Path) -> tuple[dict[str, str], list[tuple[str]]]:
    """The text of all tables and indexes, without regard to white space, and the stamped version."""
    connection = sqlite3.connect(path)
    texts = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    return {name: "".join(sql.split()) for name, sql in texts}, version


def test_the_snapshot_is_the_tables_written_down() -> None:
    """`schema_snapshot.py` holds what `tables.ddl()` gives, for both databases."""
    for dialect in ("sqlite", "postgresql"):
        assert SNAPSHOT[dialect] == ddl(dialect)
    assert set(metadata.tables) == OURS


def test_a_new_file_equals_one_that_was_migrated(tmp_path: Path) -> None:
    """The snapshot and `alembic upgrade head` make the same tables, indexes and version, letter by letter."""
    opened(tmp_path / "new.db")
    migrated(tmp_path / "migrated.db")
    assert schema_of(tmp_path / "new.db") == schema_of(tmp_path / "migrated.db")
    assert schema_of(tmp_path / "new.db")[1] == [(HEAD,)]


def test_the_migrations_add_up_to_the_tables(tmp_path: Path) -> None:
    """Alembic sees no difference between what the migrations made and the SQLAlchemy metadata."""
    migrated(tmp_path / "migrated.db")
    engine = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_version_is_known_and_they_form_one_line() -> None:
    """`VERSIONS` lists the migrations from the first to the newest, without a branch."""
    scripts = ScriptDirectory.from_config(config())
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == VERSIONS
    assert scripts.get_heads() == [HEAD]


def test_an_older_database_is_migrated_when_it_is_opened(tmp_path: Path) -> None:
    """A file whose first migration is yet to be made is brought to the newest version, and then works."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    old.close()
    opened(path)
    opened(tmp_path / "new.db")
    assert schema_of(path) == schema_of(tmp_path / "new.db")


def test_a_file_of_version_0001_keeps_its_calls_and_takes_batches(tmp_path: Path) -> None:
    """A database from before batches (that table away, the version set back) is brought up with what it held."""
    path = tmp_path / "old.db"

    async def first() -> Claim:
        journal = await open_journal(f"sqlite:///{path}", clock=ManualClock())
        row = RunRow("run_a", 0, "p", "o", "name", "w", "real", "running", 0.0, 0.0)
        claim = await journal.create_run(row, [], {}, owner="w1", lease=30)
        await journal.ledger(claim, None).begin(CallIntent("k", "h", "anthropic", "m", 5))
        await journal.close()
        return claim

    async def later(claim: Claim) -> list[CallRow]:
        journal = await open_journal(f"sqlite:///{path}", clock=ManualClock())
        ledger = journal.ledger(claim, None)
        await ledger.submitted((await ledger.calls())[0].id, "batch_1")
        rows = await ledger.calls()
        await journal.close()
        return rows

    claim = asyncio.run(first())
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE batches")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    old.close()
    (row,) = asyncio.run(later(claim))
    assert (row.key, row.reserved, row.outcome, row.handle) == ("k", 5, "submitted", "batch_1")
    opened(tmp_path / "new.db")
    assert schema_of(path) == schema_of(tmp_path / "new.db")


def test_a_migration_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """An error between two statements takes back the ones before it; the next opening makes them all."""
    path = tmp_path / "old.db"
    passed: list[str] = []

    class PowerCut(Exception):
        pass

    def cut(name: str) -> None:
        passed.append(name)
        if len(passed) == 6:
            raise PowerCut

    try:
        upgrade("sqlite", lambda: sqlite3.connect(path, isolation_level=None), cut)
    except PowerCut:
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
        connection.close()
    assert passed == ["migration-statement"] * 6
    opened(path)
