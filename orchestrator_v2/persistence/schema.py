"""Brings a database to this release's tables: created from the snapshot, migrated when older, refused when newer.

The snapshot is `schema_snapshot.py`; the steps from version to version are in `migrations/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator_v2.core.errors import StoreCorruptError, StoreVersionError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.persistence.batch import Session
from orchestrator_v2.persistence.schema_snapshot import SNAPSHOT, STAMP

VERSIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = VERSIONS[-1]

_JOURNAL = frozenset({"runs", "events", "blobs", "model_calls", "batches", "signals"})
_ACCOUNTS = frozenset({"users", "tokens", "data_keys", "credentials", "projects", "replies", "spending", "lanes"})
OURS = _JOURNAL | _ACCOUNTS


class Database(Protocol):
    """What the two databases do differently while their tables are made."""

    dialect: str
    name: str

    def lock(self, session: Session) -> None:
        """Inside a transaction: keeps other processes from making the same tables."""
        ...

    def tables(self, session: Session) -> set[str]: ...

    def foreign(self, tables: set[str]) -> bool:
        """Whether tables without a version mean that this is somebody else's database."""
        ...


def prepare(database: Database, session: Session, upgrade: Callable[[], None], probe: Probe) -> None:
    """Raises `StoreVersionError` for a version that is not known here, `StoreCorruptError` for a stranger's tables."""
    version = _version(database, session)
    if version is None:
        _create(database, session, probe)
        version = _version(database, session)
    if version == HEAD:
        return
    if version != "" and version not in VERSIONS:
        raise StoreVersionError(
            f"The database {database.name} has version {version}.",
            f"This release knows versions up to {HEAD}; a newer one wrote it.",
            "Use that newer release, or name another database.",
        )
    upgrade()


def _version(database: Database, session: Session) -> str | None:
    """None for a database without tables, "" for one whose first migration is yet to be made."""
    tables = database.tables(session)
    if "alembic_version" not in tables:
        if database.foreign(tables):
            raise StoreCorruptError(
                f"The database {database.name} holds other tables than a journal's.",
                f"It has {', '.join(sorted(tables)[:5])}, and no version.",
                "Name another database.",
            )
        return None
    rows = session.rows("SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else ""


def _create(database: Database, session: Session, probe: Probe) -> None:
    session.begin()
    try:
        database.lock(session)
        if _version(database, session) is None:
            for statement in (*SNAPSHOT[database.dialect], *STAMP):
                session.change(statement)
                probe("migration-statement")
            session.change("INSERT INTO alembic_version (version_num) VALUES (?)", (HEAD,))
        session.commit()
    except BaseException:
        session.rollback()
        raise
