"""The journal's first tables.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _blobs_and_events()
    _runs()
    _model_calls()
    _signals()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str, kind: sa.types.TypeEngine[float] | sa.types.TypeEngine[int]) -> sa.Column[float]:
    return sa.Column(name, kind, nullable=False)


def _blobs_and_events() -> None:
    op.create_table(
        "blobs",
        _text("hash"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "events",
        sa.Column("id", KEY, primary_key=True, autoincrement=False),
        _number("at", sa.Double()),
        _text("type"),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_no", KEY, sa.Identity(), primary_key=True),
        *(_text(name) for name in ("run_id", "project_id", "owner_id", "name", "workflow", "mode", "status")),
        _text("stopped"),
        sa.Column("resume_at", sa.Double()),
        _text("out"),
        _text("forked_from"),
        _number("epoch", sa.BigInteger()),
        _text("lease_owner"),
        _number("lease_until", sa.Double()),
        _number("spent", sa.BigInteger()),
        _number("unpriced", sa.BigInteger()),
        _number("created_at", sa.Double()),
        _number("updated_at", sa.Double()),
        sa.UniqueConstraint("run_id"),
        sqlite_autoincrement=True,
    )


def _model_calls() -> None:
    op.create_table(
        "model_calls",
        sa.Column("id", KEY, sa.Identity(), primary_key=True),
        sa.Column("run_no", KEY, sa.ForeignKey("runs.run_no"), nullable=False),
        _text("key"),
        _number("attempt", sa.BigInteger()),
        *(_text(name) for name in ("request_hash", "provider", "model", "outcome")),
        sa.Column("reserved", sa.BigInteger()),
        sa.Column("charged", sa.BigInteger()),
        _text("error"),
        _number("at", sa.Double()),
        _number("epoch", sa.BigInteger()),
        sa.Column("completion", sa.LargeBinary()),
        sa.UniqueConstraint("run_no", "key", "attempt"),
    )


def _signals() -> None:
    op.create_table(
        "signals",
        sa.Column("id", KEY, sa.Identity(), primary_key=True),
        sa.Column("run_no", KEY, sa.ForeignKey("runs.run_no"), nullable=False),
        _text("kind"),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        _number("at", sa.Double()),
        _number("consumed", sa.Integer()),
    )
    waiting = sa.text("consumed = 0")
    op.create_index("signals_waiting", "signals", ["run_no"], sqlite_where=waiting, postgresql_where=waiting)
