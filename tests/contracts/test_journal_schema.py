"""Tables, migrations and snapshot are one schema on PostgreSQL; `tests/integration/test_migrations.py` has SQLite."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from journal_cases import with_journal
from sqlalchemy import create_engine

from orchestrator_v2.core.accounts import UsageLine
from orchestrator_v2.core.errors import StoreCorruptError, StoreVersionError
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.persistence.journal import StoredJournal
from orchestrator_v2.persistence.migrations.upgrade import upgrade
from orchestrator_v2.persistence.schema import HEAD
from orchestrator_v2.persistence.tables import metadata

pytestmark = pytest.mark.postgres

COLUMNS = (
    "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, is_identity, identity_generation,"
    " column_default FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2"
)
INDEXES = (
    "SELECT tablename, replace(indexdef, current_schema(), '') FROM pg_indexes WHERE schemaname = current_schema()"
)
CONSTRAINTS = (
    "SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2"
)


def schema_of(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        seen = {query: sorted(connection.execute(query).fetchall()) for query in (COLUMNS, INDEXES, CONSTRAINTS)}
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    return seen


async def _is_empty(journal: StoredJournal) -> None:
    assert await journal.runs() == []


def test_a_new_database_equals_one_that_was_migrated(postgres_url: str, postgres: Any) -> None:
    """The snapshot and `alembic upgrade head` make the same columns, indexes, constraints and version."""
    migrated = postgres.fresh_url()
    upgrade("postgresql", lambda: psycopg.connect(migrated), no_probe)
    with_journal(postgres_url, _is_empty)
    assert len(schema_of(postgres_url)[COLUMNS]) > 40
    assert schema_of(postgres_url) == schema_of(migrated)


def test_the_migrations_add_up_to_the_tables(postgres_url: str) -> None:
    """Alembic sees no difference between what the migrations made and the SQLAlchemy metadata."""
    upgrade("postgresql", lambda: psycopg.connect(postgres_url), no_probe)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_an_older_database_is_migrated_when_it_is_opened(postgres_url: str) -> None:
    """A database whose first migration is yet to be made is brought to the newest version, and then works."""
    with psycopg.connect(postgres_url) as old:
        old.execute(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    with_journal(postgres_url, _is_empty)
    assert schema_of(postgres_url)


def test_a_database_of_version_0002_keeps_its_rows(postgres_url: str, postgres: Any) -> None:
    """A run and its calls from before users, projects and spending are there after the migration, and can be listed."""
    upgrade("postgresql", lambda: psycopg.connect(postgres_url), no_probe, to="0002")
    with psycopg.connect(postgres_url) as old:
        old.execute(
            "INSERT INTO runs (run_id, project_id, owner_id, name, workflow, mode, status, stopped, out, forked_from,"
            " epoch, lease_owner, lease_until, spent, unpriced, created_at, updated_at) VALUES ('run_a', 'prj_a',"
            " 'local', 'a timer ✓', 'w', 'real', 'running', '', '', '', 1, '', 0, 8, 0, 1, 1)"
        )
        old.execute(
            "INSERT INTO model_calls (run_no, key, attempt, request_hash, provider, model, outcome, reserved, charged,"
            " error, at, epoch) SELECT run_no, 'k', 1, 'h', 'anthropic', 'm', 'done', 9, 8, '', 86399.9, 1 FROM runs"
        )

    async def work(journal: StoredJournal) -> None:
        (run,) = await journal.runs(owner_id="local", project_id="prj_a")
        assert (run.name, run.spent) == ("a timer ✓", 8)
        assert [(it.key, it.charged) for it in await journal.recorded_calls("run_a")] == [("k", 8)]
        line = UsageLine("1970-01-01", "anthropic", "m", "prj_a", 1, 0, 0, 8)
        assert await journal.usage().lines("local", since=0) == [line]

    with_journal(postgres_url, work)
    fresh = postgres.fresh_url()
    with_journal(fresh, _is_empty)
    # A column that was added later stands at the same place as in a new database.
    assert schema_of(postgres_url) == schema_of(fresh)


def test_newer_and_foreign_tables_are_refused(postgres_url: str, postgres: Any) -> None:
    """A version that is not known, and a stranger's table of our name, are refused; other tables are no matter."""
    with psycopg.connect(postgres_url) as shared:
        shared.execute("CREATE TABLE customers (id INTEGER)")
    with_journal(postgres_url, _is_empty)
    with psycopg.connect(postgres_url) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(StoreVersionError, match="0999"):
        with_journal(postgres_url, _is_empty)
    stranger = postgres.fresh_url()
    with psycopg.connect(stranger) as other:
        other.execute("CREATE TABLE events (id INTEGER)")
    with pytest.raises(StoreCorruptError):
        with_journal(stranger, _is_empty)
