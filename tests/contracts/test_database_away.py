"""A server whose PostgreSQL goes away and comes back: it stays up, says so, and its runs go on by themselves.

What Temporal can do to a server is `test_temporal_faults.py`; what a database can do to a worker is in `tests/chaos`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_cases import PATIENCE, Driven, driven, names, slowly, wait_for
from model_server import ModelServer
from postgres_server import PostgresServer, running_postgres
from server_process import Server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """One that the test may stop."""
    server = running_postgres()
    try:
        running = server.__enter__()
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        pytest.skip(f"The embedded PostgreSQL could not be started here: {error}")
    yield running
    server.__exit__(None, None, None)


@pytest.fixture
def it(tmp_path: Path, provider: ModelServer, own_postgres: PostgresServer) -> Iterator[Driven]:
    with driven(tmp_path, provider, own_postgres.fresh_url()) as found:
        yield found


def test_a_server_outlives_its_database(it: Driven, own_postgres: PostgresServer) -> None:
    """/ready is 503 meanwhile, as is all that needs it, and nobody waits in line; then the run goes on by itself."""
    it.provider.fresh(slowly(0.5))
    it.provider.stored(it.client)
    run_id = it.begin(mode="real")
    wait_for(lambda: it.client.get(f"/runs/{run_id}/events?after=0&limit=9")["items"][2:])
    own_postgres.stop("immediate")
    problem = it.client("GET", "/ready")
    assert problem.status_code == 503
    assert problem.json()["code"] == "store_unavailable"
    assert own_postgres.folder.name not in problem.text
    # The first one waited for a short restart; were each to wait so long, these would take four minutes.
    began = time.monotonic()
    assert [it.client("GET", "/projects").status_code for _ in range(30)] == [503] * 30
    assert time.monotonic() - began < PATIENCE
    assert it.client("GET", "/health").status_code == 200
    own_postgres.start()
    wait_for(lambda: it.client("GET", "/ready").status_code == 200)
    it.until(run_id, "completed", within=120)
    assert names(it.events(run_id)).count("TaskCompleted bottom") == 1
    # What was in flight when the walk ended is charged, and nothing else was sent twice.
    paid = it.paid()
    assert paid.pop("done") == 8
    assert sum(paid.values()) <= 2
    # One that was still asking whether it may go out failed unsent.
    assert 8 <= len(it.provider.keys) <= 8 + sum(paid.values())
    assert own_postgres.folder.name in it.server.log_file.read_text()


def test_a_server_does_not_start_without_its_database(tmp_path: Path) -> None:
    """It says which, where and what to try, and leaves no process behind."""
    server = Server(tmp_path, ORCHESTRATOR_DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:9/none")
    done = server.cli("serve", "--port", "0")
    assert done.returncode == 1
    assert "'none' at 127.0.0.1:9" in done.stderr
    assert "Check that the server runs" in done.stderr
    assert "hidden" not in done.stderr and "Traceback" not in done.stderr
