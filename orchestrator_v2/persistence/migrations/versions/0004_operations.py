"""Which operation a run answers, so that lists of projects' runs and lists of operations are both short to read.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("operation", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.drop_index("runs_by_owner", "runs")
    for name, where in (("runs_by_owner", "operation = ''"), ("operations_by_owner", "operation <> ''")):
        condition = sa.text(where)
        op.create_index(name, "runs", ["owner_id", "run_no"], sqlite_where=condition, postgresql_where=condition)
