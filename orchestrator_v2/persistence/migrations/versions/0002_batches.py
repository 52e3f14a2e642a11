"""Calls that were handed in as a batch, by the provider's name for it.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("call_id", KEY, sa.ForeignKey("model_calls.id"), primary_key=True, autoincrement=False),
        sa.Column("handle", sa.Text(), nullable=False),
    )
