"""The databases that faults are tried on, and the process that workers are forked from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from database_fixtures import postgres, postgres_url, sqlite_url, stored_url
from forks import Forks, running_forks
from postgres_server import PostgresServer

__all__ = ["forks", "postgres", "postgres_url", "sqlite_url", "stored_url"]

Fresh = Callable[[Path], str]


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with running_forks() as running:
        yield running


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)])
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Gives the URL of a new database for whatever goes on in a folder; any number of them in one test."""
    if request.param == "SQLite":
        return lambda home: f"sqlite:///{home}/data/orchestrator.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda home: server.fresh_url()
