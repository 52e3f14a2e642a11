"""A server whose PostgreSQL goes away and comes back: it stays up, says so, and its runs go on by themselves.

What Temporal can do to a server is `test_temporal_faults.py`; what a database can do to a worker is in `tests/chaos`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from driver_cases import PATIENCE, Driven, driven, names, slowly, wait_for
from journal_cases import at, new_run
from model_server import ModelServer
from postgres_server import PostgresServer, running_postgres
from reliability_report import Tell
from server_process import Server

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.ending import LATEST
from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.persistence.postgres_session import PostgresSession
from orchestrator_v2.persistence.postgres_writer import PostgresBackend
from orchestrator_v2.persistence.sql_journal import SqlJournal

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


@pytest.mark.chaos
def test_a_database_that_stands_still_keeps_no_server(it: Driven, own_postgres: PostgresServer, tell: Tell) -> None:
    """Its processes are stopped, its kernel answers: a server that waits for it and is told to end is gone in time."""
    own_postgres.freeze(signal.SIGSTOP)
    try:
        asking = threading.Thread(target=_ask, args=(it,))
        asking.start()
        time.sleep(1)
        code, took = it.server.terminate(within=60)
        asking.join(60)
    finally:
        own_postgres.freeze(signal.SIGCONT)
    tell("promises", "SIGTERM while the database stands still", where="PostgreSQL", ended_in_s=f"{took:.1f}")
    assert (code, took < LATEST + 2) == (1, True)
    assert "something stands still, such as the database" in it.server.log_file.read_text()
    it.server.start()
    assert it.client("GET", "/ready").status_code == 200


def _ask(it: Driven) -> None:
    with contextlib.suppress(httpx2.TransportError):
        it.client("GET", "/projects")


class Crashing(PostgresSession):
    """Its server crashes around one commit, and what `meanwhile` does happens before anybody asks again."""

    meanwhile: Callable[[str], None] | None = None

    def commit(self) -> None:
        meanwhile, Crashing.meanwhile = Crashing.meanwhile, None
        if meanwhile is not None:
            meanwhile(self.transaction)
        super().commit()


class CrashingBackend(PostgresBackend):
    def _writing(self) -> PostgresSession:
        if self._session is None:
            opened = super()._writing()
            self._session = Crashing(opened.connection)
            self._session.era = opened.era
        return self._session


def _append_through_a_crash(url: str, meanwhile: Callable[[str], None]) -> tuple[list[int], Exception | None]:
    """The events that are there in the end, after an append beside which the server crashed, and what it raised."""

    async def whole() -> tuple[list[int], Exception | None]:
        journal = SqlJournal(CrashingBackend(url, no_probe), ManualClock())
        await journal.open()
        claim = await new_run(journal)
        Crashing.meanwhile, raised = meanwhile, None
        try:
            await journal.append(claim, [at(2)])
        except StoreUnavailableError as error:
            raised = error
        assert Crashing.meanwhile is None
        found = [it.seq for it in await journal.events("run_a")]
        await journal.close()
        return found, raised

    return asyncio.run(whole())


def _crash(server: PostgresServer) -> None:
    server.stop("immediate")
    server.start()


def _lazy(server: PostgresServer) -> None:
    """What is not committed is not written down for a while, as on a busy disk."""
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)


def test_a_transaction_that_a_crash_forgot_is_made_again(own_postgres: PostgresServer) -> None:
    """Its number is one that the server has not given out yet: it was not committed, and goes in once."""
    _lazy(own_postgres)
    found, raised = _append_through_a_crash(own_postgres.fresh_url(), lambda _: _crash(own_postgres))
    assert (found, raised) == ([1, 2], None)


def test_a_number_that_a_crash_gave_to_another_is_not_believed(own_postgres: PostgresServer) -> None:
    """Another's transaction bears it and is committed: ours was lost, and is not acknowledged."""
    _lazy(own_postgres)
    with own_postgres.connect() as connection:
        connection.execute("CREATE TABLE public.others (number int)")
    given: list[str] = []

    def reuse(number: str) -> None:
        _crash(own_postgres)
        with own_postgres.connect() as connection:
            while not given or int(given[-1]) < int(number):
                given.append(_one_transaction(connection))
        assert number in given

    found, raised = _append_through_a_crash(own_postgres.fresh_url(), reuse)
    assert found == [1]
    assert raised is not None and "Resume when the server is back" in str(raised)


def _one_transaction(connection: psycopg.Connection[Any]) -> str:
    with connection.transaction():
        connection.execute("INSERT INTO public.others VALUES (1)")
        ((number,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
        return str(number)


def test_a_server_does_not_start_without_its_database(tmp_path: Path) -> None:
    """It says which, where and what to try, and leaves no process behind."""
    server = Server(tmp_path, ORCHESTRATOR_DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:9/none")
    done = server.cli("serve", "--port", "0")
    assert done.returncode == 1
    assert "'none' at 127.0.0.1:9" in done.stderr
    assert "Check that the server runs" in done.stderr
    assert "hidden" not in done.stderr and "Traceback" not in done.stderr
