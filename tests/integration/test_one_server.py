"""A SQLite file bears one server: a second one is refused in words, and commands go on beside the first."""

from __future__ import annotations

import asyncio
import signal
import stat
from pathlib import Path

import pytest
from server_process import Server

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import StoreInUseError, StoreUnavailableError
from orchestrator_v2.persistence.journal import open_journal


def test_a_second_server_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    """It names the file, the first one's process and the way out; the first goes on, as do commands beside it."""
    with Server(tmp_path) as first:
        refused = first.cli("serve", "--port", "0")
        assert refused.returncode == 1
        assert str(first.data / "orchestrator.db") in refused.stderr
        assert f"process {first.process.pid}" in refused.stderr
        assert "PostgreSQL" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert first.cli("list").returncode == 0
        assert first.cli("users", "list").returncode == 0
        assert first.client().get("/ready")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_gone_leaves_its_file_to_the_next(ending: signal.Signals, tmp_path: Path) -> None:
    """Also one that was killed: the system gives its lock back, and nobody has to remove a file."""
    server = Server(tmp_path)
    with server:
        server.process.send_signal(ending)
        server.process.wait(40)
        server.start()
        assert server.client().get("/ready")


def test_a_journal_is_one_servers_until_it_is_closed(tmp_path: Path) -> None:
    """A second journal may be used, but not occupied; occupying twice is once; who comes later may have it."""
    url = f"sqlite:///{tmp_path}/journal.db"

    async def work() -> None:
        first, second = [await open_journal(url, clock=ManualClock()) for _ in range(2)]
        await first.occupy()
        await first.occupy()
        with pytest.raises(StoreInUseError):
            await second.occupy()
        assert await second.runs() == []
        await first.close()
        await second.occupy()
        await second.close()

    asyncio.run(work())
    assert stat.S_IMODE((tmp_path / "journal.db.server").stat().st_mode) == 0o600


def test_a_lock_that_cannot_be_made_is_no_lock(tmp_path: Path) -> None:
    """A link in its place is not followed, and the server does not start without the lock."""
    (tmp_path / "journal.db.server").symlink_to(tmp_path / "elsewhere")

    async def work() -> None:
        journal = await open_journal(f"sqlite:///{tmp_path}/journal.db", clock=ManualClock())
        with pytest.raises(StoreUnavailableError):
            await journal.occupy()
        await journal.close()

    asyncio.run(work())
    assert not (tmp_path / "elsewhere").exists()


def test_any_number_of_servers_share_what_is_no_file() -> None:
    """In memory a journal is nobody else's anyway."""

    async def work() -> None:
        journal = await open_journal("memory:", clock=ManualClock())
        await journal.occupy()
        await journal.occupy()
        assert await journal.runs() == []
        await journal.close()

    asyncio.run(work())


def test_a_link_to_the_file_is_no_second_database(tmp_path: Path) -> None:
    """Whether the file or its folder is reached by a link: it bears one server all the same."""
    (tmp_path / "data").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "data")
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "journal.db")

    async def work() -> None:
        first = await open_journal(f"sqlite:///{tmp_path}/data/journal.db", clock=ManualClock())
        await first.occupy()
        for name in ("folder/journal.db", "link.db"):
            second = await open_journal(f"sqlite:///{tmp_path}/{name}", clock=ManualClock())
            with pytest.raises(StoreInUseError):
                await second.occupy()
            await second.close()
        await first.close()

    asyncio.run(work())
