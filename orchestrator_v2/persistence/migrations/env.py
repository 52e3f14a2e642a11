"""Alembic's entry point: it migrates the connection that `upgrade.py` hands over.

Nothing is read from a file or the environment.
"""

from alembic import context

from orchestrator_v2.persistence.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
