"""Several journals on one database, as several processes have them, and connections that break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from journal_cases import at, intent, new_run, with_journal
from postgres_server import PostgresServer

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import BudgetExceededError, FencedError, StoreUnavailableError
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import StoredJournal, open_journal


def test_two_journals_on_one_database_see_and_fence_each_other(stored_url: str) -> None:
    """A second worker reads what the first wrote, notices its commits, and takes over; the first is out."""
    clock = ManualClock()

    async def work(first: StoredJournal) -> None:
        second = await open_journal(stored_url, clock=clock)
        claim = await new_run(first)
        assert [it.seq for it in await second.events("run_a")] == [1]
        before = await second.change_count()
        await first.append(claim, [at(2)])
        assert await second.change_count() > before
        clock.advance(31)
        taken = await second.claim("run_a", owner="w2", lease=30)
        assert taken is not None
        with pytest.raises(FencedError):
            await first.append(claim, [at(3)])
        await second.append(taken, [at(3)])
        assert [it.seq for it in await first.events("run_a")] == [1, 2, 3]
        await second.close()

    with_journal(stored_url, work, clock=clock)


@pytest.mark.postgres
def test_servers_share_a_postgresql_database(postgres_url: str) -> None:
    """Where SQLite bears one server, PostgreSQL bears any number."""

    async def work(first: StoredJournal) -> None:
        second = await open_journal(postgres_url, clock=ManualClock())
        await asyncio.gather(first.occupy(), second.occupy())
        await new_run(first)
        assert [row.run_id for row in await second.runs()] == ["run_a"]
        await second.close()

    with_journal(postgres_url, work)


def test_a_budget_holds_across_two_writers(stored_url: str) -> None:
    """Fifty calls for the last five, begun through two connections at once with one claim: exactly five get through."""

    async def work(first: StoredJournal) -> None:
        second = await open_journal(stored_url, clock=ManualClock())
        claim = await new_run(first)
        ledgers = [journal.ledger(claim, 50) for journal in (first, second)]
        said = await asyncio.gather(*(ledgers[n % 2].begin(intent(f"k{n}")) for n in range(50)), return_exceptions=True)
        assert [type(it) for it in said].count(int) == 5
        assert [type(it) for it in said].count(BudgetExceededError) == 45
        await second.close()

    with_journal(stored_url, work)


def test_many_open_a_new_database_at_once(stored_url: str) -> None:
    """Eight journals that find no tables make them once, and all of them work."""

    async def whole() -> None:
        journals = await asyncio.gather(*(open_journal(stored_url, clock=ManualClock()) for _ in range(8)))
        await asyncio.gather(*(new_run(journal, f"run_{n}") for n, journal in enumerate(journals)))
        assert len(await journals[0].runs()) == 8
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(whole())


@pytest.mark.postgres
def test_dropped_connections_lose_nothing_and_write_nothing_twice(postgres: PostgresServer, postgres_url: str) -> None:
    """While all connections are cut again and again, every acknowledged append, call and run is there once."""

    async def work(journal: StoredJournal) -> int:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        dropped = 0
        for seq in range(2, 62):
            if seq % 3 == 0:
                dropped += await asyncio.to_thread(postgres.drop_connections, postgres_url)
            call, _ = await asyncio.gather(ledger.begin(intent(f"k{seq}")), journal.append(claim, [at(seq)]))
            await ledger.finish(call, Completion("x"), 1)
        assert [it.seq for it in await journal.events("run_a")] == list(range(1, 62))
        assert [it.key for it in await ledger.calls()] == [f"k{seq}" for seq in range(2, 62)]
        assert await ledger.spent() == 60
        return dropped

    assert with_journal(postgres_url, work) >= 20


@pytest.mark.postgres
@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    postgres: PostgresServer, postgres_url: str, committed: bool
) -> None:
    """The connection dies after the commit, or just before: either way the unit is acknowledged and there once."""
    from orchestrator_v2.persistence.postgres_session import PostgresSession
    from orchestrator_v2.persistence.postgres_writer import PostgresBackend
    from orchestrator_v2.persistence.sql_journal import SqlJournal

    cuts: list[str] = []

    class CutAtCommit(PostgresSession):
        def commit(self) -> None:
            if armed and not cuts:
                if committed:
                    super().commit()
                cuts.append(self.transaction)
                postgres.drop_connections(postgres_url)
                self.rows("SELECT 1")
            super().commit()

    class Backend(PostgresBackend):
        def _writing(self) -> PostgresSession:
            self._session = self._session or CutAtCommit(self._connect(autocommit=True))
            return self._session

    armed = False

    async def whole() -> None:
        nonlocal armed
        journal = SqlJournal(Backend(postgres_url, no_probe), ManualClock())
        await journal.open()
        claim = await new_run(journal)
        armed = True
        await journal.append(claim, [at(2)])
        call = await journal.ledger(claim, 100).begin(intent(reserved=7))
        assert cuts and call
        assert [it.seq for it in await journal.events("run_a")] == [1, 2]
        await journal.close()

    asyncio.run(whole())


@pytest.mark.postgres
def test_a_host_that_vanished_is_noticed_within_seconds(postgres_url: str) -> None:
    """What the system asks of a silent host is set on each connection; a URL that says otherwise is heard."""
    from orchestrator_v2.persistence.postgres_writer import PostgresBackend

    session = PostgresBackend(f"{postgres_url}&keepalives_idle=33", no_probe).reader()
    said = session.connection.info.get_parameters()
    session.close()
    assert int(said["tcp_user_timeout"]) <= 20_000
    assert int(said["keepalives_interval"]) * int(said["keepalives_count"]) <= 20
    assert said["keepalives_idle"] == "33"


@pytest.mark.postgres
def test_a_server_that_stays_away_is_said_without_the_password(postgres: PostgresServer, postgres_url: str) -> None:
    """An unreachable server is a `StoreUnavailableError` that names it; the password is in no part of it."""
    url = "postgresql://ann:s3cret-word@127.0.0.1:1/shop?connect_timeout=2"

    async def opening() -> Any:
        return await open_journal(url, clock=ManualClock())

    with pytest.raises(StoreUnavailableError, match="shop") as caught:
        asyncio.run(opening())
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
