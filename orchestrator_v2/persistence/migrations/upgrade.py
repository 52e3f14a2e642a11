"""Runs Alembic on an open database, without an ini file; each statement passes the crash point `migration-statement`.

Whether a database needs it is decided in `schema.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from orchestrator_v2.core.probe import Probe

_URLS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}


def config() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def upgrade(dialect: str, connect: Callable[[], Any], probe: Probe, to: str = "head") -> None:
    """To version `to`, in one transaction. `connect` gives a DBAPI connection of the dialect's driver."""
    engine = create_engine(_URLS[dialect], creator=connect, poolclass=NullPool, hide_parameters=True)
    if dialect == "sqlite":
        # The driver itself would begin at the first INSERT only, and leave half a migration behind a crash.
        event.listen(engine, "begin", lambda it: it.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(engine, "after_cursor_execute", lambda *_: probe("migration-statement"))
    settings = config()
    with engine.begin() as connection:
        _lock(dialect, connection)
        settings.attributes["connection"] = connection
        command.upgrade(settings, to)


def _lock(dialect: str, connection: Connection) -> None:
    if dialect == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7305216001)")
