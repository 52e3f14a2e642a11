"""The servers that the contracts are held to: databases, Temporal, a provider of models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from database_fixtures import postgres, postgres_url, sqlite_url, stored_url, url
from model_server import ModelServer
from temporal_server import TemporalServer, running_temporal

__all__ = ["postgres", "postgres_url", "sqlite_url", "stored_url", "url"]


@pytest.fixture(scope="session")
def temporal() -> Iterator[TemporalServer]:
    try:
        with running_temporal() as server:
            yield server
    except OSError as error:
        pytest.skip(f"Temporal could not be started here: {error}")


@pytest.fixture(scope="session")
def provider() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running
