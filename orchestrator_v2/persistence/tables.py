"""The journal's tables as SQLAlchemy metadata: what the migrations must add up to, and the snapshot is made from.

It is imported for migrations and by tests only; what is executed at run time is `schema.py` and `statements.py`.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

metadata = MetaData()

# Only a column that SQLite calls INTEGER is the row's own key there.
KEY = BigInteger().with_variant(Integer(), "sqlite")

WAITING = text("consumed = 0")


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


runs = Table(
    "runs",
    metadata,
    Column("run_no", KEY, Identity(), primary_key=True),
    _text("run_id", unique=True),
    _text("project_id"),
    _text("owner_id"),
    _text("name"),
    _text("workflow"),
    _text("mode"),
    _text("status"),
    _text("stopped"),
    Column("resume_at", Double),
    _text("out"),
    _text("forked_from"),
    Column("epoch", BigInteger, nullable=False),
    _text("lease_owner"),
    Column("lease_until", Double, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", KEY, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    _text("type"),
    Column("payload", LargeBinary, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", KEY, Identity(), primary_key=True),
    Column("run_no", KEY, ForeignKey("runs.run_no"), nullable=False),
    _text("key"),
    Column("attempt", BigInteger, nullable=False),
    _text("request_hash"),
    _text("provider"),
    _text("model"),
    _text("outcome"),
    Column("reserved", BigInteger),
    Column("charged", BigInteger),
    _text("error"),
    Column("at", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("completion", LargeBinary),
    UniqueConstraint("run_no", "key", "attempt"),
)

batches = Table(
    "batches",
    metadata,
    Column("call_id", KEY, ForeignKey("model_calls.id"), primary_key=True, autoincrement=False),
    _text("handle"),
)

signals = Table(
    "signals",
    metadata,
    Column("id", KEY, Identity(), primary_key=True),
    Column("run_no", KEY, ForeignKey("runs.run_no"), nullable=False),
    _text("kind"),
    Column("payload", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Column("consumed", Integer, nullable=False),
    # Holds those that wait only, so it stays as small as they are few.
    Index("signals_waiting", "run_no", sqlite_where=WAITING, postgresql_where=WAITING),
)


def ddl(dialect: str) -> tuple[str, ...]:
    """The CREATE statements for `sqlite` or `postgresql`, in an order in which they can be executed."""
    kind: Any = {"sqlite": sqlite, "postgresql": postgresql}[dialect].dialect()
    out: list[str] = []
    for table in metadata.sorted_tables:
        parts: list[ExecutableDDLElement] = [CreateTable(table), *(CreateIndex(index) for index in table.indexes)]
        out += [re.sub(r"[ \t]+\n", "\n", str(part.compile(dialect=kind)).strip()).expandtabs(4) for part in parts]
    return tuple(out)
