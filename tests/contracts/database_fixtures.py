"""The databases that tests are held to: memory, SQLite, and a real PostgreSQL; folders take them up in their conftest.

The server itself is `postgres_server.py`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = running_postgres()
    try:
        running = server.__enter__()
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"The embedded PostgreSQL could not be started here: {said!r}")
    yield running
    server.__exit__(None, None, None)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.fresh_url()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stored_url(request: pytest.FixtureRequest) -> str:
    """A fresh database that outlives the journal that is opened on it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory:"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found
