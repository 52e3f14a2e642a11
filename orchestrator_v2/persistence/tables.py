"""All tables as SQLAlchemy metadata: what the migrations must add up to, and the snapshot is made from.

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
UNDER_WAY = text("status IN ('running', 'waiting_provider')")
LIVE = text("state <> 'revoked'")
KEPT = text("deleted_at IS NULL")
NO_OPERATION = text("operation = ''")
OPERATION = text("operation <> ''")

USED = "run_no at outcome provider model charged reserved input_tokens output_tokens"


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _texts(names: str) -> list[Column[str]]:
    return [_text(name) for name in names.split()]


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
    _text("operation", server_default=text("''")),
    Index("runs_by_owner", "owner_id", "run_no", sqlite_where=NO_OPERATION, postgresql_where=NO_OPERATION),
    Index("operations_by_owner", "owner_id", "run_no", sqlite_where=OPERATION, postgresql_where=OPERATION),
    Index("runs_by_project", "project_id", "run_no"),
    # What a server looks for each second: as small as there are few of them.
    Index("runs_under_way", "run_no", sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY),
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
    Column("input_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("output_tokens", BigInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("run_no", "key", "attempt"),
    # All that the usage query reads: SQLite would walk past every answer to reach the tokens behind it.
    Index("model_calls_used", *USED.split()),
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

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    _text("name", unique=True),
    _text("role"),
    Column("created_at", Double, nullable=False),
    Column("disabled", Integer, nullable=False),
    _text("models"),
    Column("daily_budget", BigInteger),
    Column("monthly_budget", BigInteger),
    _text("sees"),
    _text("agents"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    _text("token_id", unique=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    *_texts("kind label last_four"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Index("tokens_by_user", "user_id"),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("user_id", Text, primary_key=True),
    _text("master_id"),
    Column("wrapped", LargeBinary, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", Text, primary_key=True),
    *_texts("user_id provider base_url default_model label kind last_four fingerprint"),
    Column("created_at", Double, nullable=False),
    *_texts("state why"),
    Column("sealed", LargeBinary, nullable=False),
    Index("credentials_live", "user_id", "provider", unique=True, sqlite_where=LIVE, postgresql_where=LIVE),
)

projects = Table(
    "projects",
    metadata,
    Column("project_no", KEY, Identity(), primary_key=True),
    _text("project_id", unique=True),
    *_texts("owner_id name"),
    Column("request", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("summary", LargeBinary, nullable=False),
    Column("deleted_at", Double),
    Index("projects_by_owner", "owner_id", "project_no", sqlite_where=KEPT, postgresql_where=KEPT),
)

replies = Table(
    "replies",
    metadata,
    Column("owner_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    *_texts("request_hash subject"),
)

# Kept beside the calls, as `runs.spent` is: a ceiling is checked before every call, and the calls only grow.
spending = Table(
    "spending",
    metadata,
    Column("owner_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("spent", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
)

# What all processes share of one credential's limits, by a digest: one small row for each that is in use.
lanes = Table(
    "lanes",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("state", LargeBinary, nullable=False),
)


def ddl(dialect: str) -> tuple[str, ...]:
    """The CREATE statements for `sqlite` or `postgresql`, in an order in which they can be executed."""
    kind: Any = {"sqlite": sqlite, "postgresql": postgresql}[dialect].dialect()
    out: list[str] = []
    for table in metadata.sorted_tables:
        parts: list[ExecutableDDLElement] = [CreateTable(table)]
        parts += [CreateIndex(index) for index in sorted(table.indexes, key=lambda it: str(it.name))]
        out += [re.sub(r"[ \t]+\n", "\n", str(part.compile(dialect=kind)).strip()).expandtabs(4) for part in parts]
    return tuple(out)
