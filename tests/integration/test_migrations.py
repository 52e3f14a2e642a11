"""Tables, migrations and snapshot are one schema on SQLite; `tests/contracts/test_journal_schema.py` has PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from orchestrator_v2.core.accounts import Ceilings, ProjectRow, UsageLine
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.llm.ledger import CallIntent
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


# A run with three calls, as a release before users, projects and spending has left them.
OLD_ROWS = """
INSERT INTO runs (run_no, run_id, project_id, owner_id, name, workflow, mode, status, stopped, out, forked_from, epoch,
    lease_owner, lease_until, spent, unpriced, created_at, updated_at)
    VALUES (7, 'run_a', 'prj_a', 'local', 'a timer ✓', 'w', 'real', 'running', '', '', '', 1, 'w1', 0, 25, 0, 1, 1);
INSERT INTO model_calls (id, run_no, key, attempt, request_hash, provider, model, outcome, reserved, charged, error,
    at, epoch, completion)
    VALUES (1, 7, 'done', 1, 'h', 'anthropic', 'm', 'done', 9, 8, '', 86399.9, 1, CAST('{"text":"an answer"}' AS BLOB)),
    (2, 7, 'open', 1, 'h', 'anthropic', 'm', 'intent', 5, NULL, '', 86400, 1, NULL),
    (3, 7, 'failed', 1, 'h', 'anthropic', 'm', 'failed', 12, 12, 'x', 86400, 1, NULL);
INSERT INTO events VALUES (30064771073, 1.0, 'TaskStarted', CAST('{"type":"TaskStarted","phase":"qa"}' AS BLOB));
INSERT INTO signals (run_no, kind, payload, at, consumed) VALUES (7, 'pause', x'', 1, 0);
"""


def old_file(path: Path, version: str) -> None:
    upgrade("sqlite", lambda: sqlite3.connect(path, isolation_level=None), no_probe, to=version)
    with sqlite3.connect(path) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [(version,)]
        old.executescript(OLD_ROWS)
    old.close()


@pytest.mark.parametrize("version", ["0001", "0002", "0004"])
def test_an_older_file_keeps_what_it_held_and_takes_what_is_new(tmp_path: Path, version: str) -> None:
    """Run, events, calls and signals of an earlier release are all there; batches, users and projects work on it."""
    path = tmp_path / "old.db"
    old_file(path, version)

    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{path}", clock=ManualClock(200_000.0))
        run = await journal.run("run_a", owner_id="local")
        assert run is not None
        assert (run.run_no, run.name, run.spent) == (7, "a timer ✓", 25)
        assert [type(it.event).__name__ for it in await journal.events("run_a")] == ["TaskStarted"]
        assert [it.kind for it in await journal.signals("run_a")] == ["pause"]
        calls = await journal.recorded_calls("run_a")
        assert [(it.key, it.outcome, it.charged) for it in calls] == [
            ("done", "done", 8),
            ("open", "intent", None),
            ("failed", "failed", 12),
        ]
        assert await journal.usage().lines("local", since=0) == [
            UsageLine("1970-01-02", "anthropic", "m", "prj_a", 1, 0, 0, 12),
            UsageLine("1970-01-01", "anthropic", "m", "prj_a", 1, 0, 0, 8),
        ]
        assert await journal.accounts().users() == []
        claim = await journal.claim("run_a", owner="w2", lease=30)
        assert claim is not None
        ledger = journal.ledger(claim, None, Ceilings("local", daily=10))
        await ledger.submitted(await ledger.begin(CallIntent("k", "h", "anthropic", "m", 5)), "batch_1")
        assert [(it.outcome, it.handle) for it in await ledger.calls()][1::2] == [
            ("outcome_unknown", ""),
            ("submitted", "batch_1"),
        ]
        row = ProjectRow("prj_a", 0, "local", "a timer", b"{}", 1.0)
        assert (await journal.projects().add(row)).project_no == 1
        await journal.close()

    asyncio.run(whole())
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
