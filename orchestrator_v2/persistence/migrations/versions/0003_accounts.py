"""Who uses a server and what is theirs: users, tokens, keys, projects, replies, spending; and a call's tokens.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _users_and_tokens()
    _keys()
    _projects_and_replies()
    _spending()
    _lists()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _texts(names: str) -> list[sa.Column[str]]:
    return [_text(name) for name in names.split()]


def _moment(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False)


def _blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _users_and_tokens() -> None:
    op.create_table(
        "users",
        *_texts("user_id name role"),
        _moment("created_at"),
        sa.Column("disabled", sa.Integer(), nullable=False),
        _text("models"),
        sa.Column("daily_budget", sa.BigInteger()),
        sa.Column("monthly_budget", sa.BigInteger()),
        _text("sees"),
        _text("agents"),
        sa.PrimaryKeyConstraint("user_id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "tokens",
        *_texts("token_hash token_id"),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.user_id"), nullable=False),
        *_texts("kind label last_four"),
        _moment("created_at"),
        sa.Column("expires_at", sa.Double()),
        sa.PrimaryKeyConstraint("token_hash"),
        sa.UniqueConstraint("token_id"),
    )
    op.create_index("tokens_by_user", "tokens", ["user_id"])


def _keys() -> None:
    op.create_table("data_keys", *_texts("user_id master_id"), _blob("wrapped"), sa.PrimaryKeyConstraint("user_id"))
    op.create_table(
        "credentials",
        *_texts("credential_id user_id provider base_url default_model label kind last_four fingerprint"),
        _moment("created_at"),
        *_texts("state why"),
        _blob("sealed"),
        sa.PrimaryKeyConstraint("credential_id"),
    )
    live = sa.text("state <> 'revoked'")
    op.create_index(
        "credentials_live",
        "credentials",
        ["user_id", "provider"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )


def _projects_and_replies() -> None:
    op.create_table(
        "projects",
        sa.Column("project_no", KEY, sa.Identity(), primary_key=True),
        *_texts("project_id owner_id name"),
        _blob("request"),
        _moment("created_at"),
        _blob("summary"),
        sa.Column("deleted_at", sa.Double()),
        sa.UniqueConstraint("project_id"),
    )
    kept = sa.text("deleted_at IS NULL")
    op.create_index(
        "projects_by_owner", "projects", ["owner_id", "project_no"], sqlite_where=kept, postgresql_where=kept
    )
    op.create_table("replies", *_texts("owner_id key request_hash subject"), sa.PrimaryKeyConstraint("owner_id", "key"))


def _spending() -> None:
    op.create_table(
        "spending",
        *_texts("owner_id period"),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "period"),
    )
    for name in ("input_tokens", "output_tokens"):
        op.add_column("model_calls", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")))


def _lists() -> None:
    op.create_index("runs_by_owner", "runs", ["owner_id", "run_no"])
    op.create_index("runs_by_project", "runs", ["project_id", "run_no"])
    going = sa.text("status IN ('running', 'waiting_provider')")
    op.create_index("runs_under_way", "runs", ["run_no"], sqlite_where=going, postgresql_where=going)
    used = "run_no at outcome provider model charged reserved input_tokens output_tokens"
    op.create_index("model_calls_used", "model_calls", used.split())
