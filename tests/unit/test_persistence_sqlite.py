"""What is wrong with a SQLite file is said clearly, and costs nothing that was acknowledged; opening one is cheap."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    ConfigError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreVersionError,
)
from orchestrator_v2.core.events import Recorded, TaskCompleted
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.engine.ports import Claim, RunRow
from orchestrator_v2.persistence.journal import StoredJournal, open_journal
from orchestrator_v2.persistence.sql_journal import SqlJournal
from orchestrator_v2.persistence.sqlite_writer import SqliteBackend

ROW = RunRow("run_a", 0, "prj", "ann", "n", "default", "simulated", "running", 1.0, 1.0)


def open_at(path: Path) -> None:
    async def whole() -> None:
        await (await open_journal(f"sqlite:///{path}", clock=ManualClock())).close()

    asyncio.run(whole())


async def begin(journal: StoredJournal) -> Claim:
    return await journal.create_run(ROW, [Recorded(1, 1.0, TaskCompleted("a"))], {}, owner="w", lease=9)


def refused(path: Path, kind: type[StoreError]) -> StoreError:
    with pytest.raises(kind) as caught:
        open_at(path)
    assert type(caught.value) is kind
    assert str(path) in caught.value.what and caught.value.why and caught.value.do
    return caught.value


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Text where the database should be is a `StoreCorruptError`, and not a byte of it changes."""
    path = tmp_path / "notes.txt"
    path.write_text("a shopping list\n" * 300)
    refused(path, StoreCorruptError)
    assert path.read_text() == "a shopping list\n" * 300


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    """A file whose first pages are overwritten after the header is a `StoreCorruptError`."""
    path = tmp_path / "j.db"
    open_at(path)
    content = bytearray(path.read_bytes())
    content[100:8192] = b"\xde\xad" * ((8192 - 100) // 2)
    path.write_bytes(content)
    refused(path, StoreCorruptError)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A SQLite file with tables that are not the journal's gets no new ones."""
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customers (id INTEGER)")
    other.close()
    assert "customers" in refused(path, StoreCorruptError).why


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A version that this release does not know is a `StoreVersionError` that names it."""
    path = tmp_path / "j.db"
    open_at(path)
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0999'")
    newer.close()
    assert "0999" in refused(path, StoreVersionError).what


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    """A folder, and a path below a file, are `StoreUnavailableError`s."""
    refused(tmp_path, StoreUnavailableError)
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "j.db", StoreUnavailableError)


def test_a_database_that_stays_locked_is_said(tmp_path: Path) -> None:
    """Another process inside a transaction for too long is a `StoreUnavailableError`; afterwards all goes on."""
    path = tmp_path / "j.db"
    open_at(path)

    async def whole() -> None:
        journal = SqlJournal(SqliteBackend(str(path), no_probe, lock_wait=0.05), ManualClock())
        await journal.open()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            await begin(journal)
        assert await journal.runs() == []
        other.execute("ROLLBACK")
        other.close()
        await begin(journal)
        assert len(await journal.runs()) == 1
        await journal.close()

    asyncio.run(whole())


class SmallDisk(SqliteBackend):
    """A database that may grow by a few pages only, as on a disk that is nearly full."""

    def open(self) -> None:
        super().open()
        pages = self._session.rows("PRAGMA page_count")[0][0]
        self._session.rows(f"PRAGMA max_page_count = {pages + 3}")


def test_a_full_disk_fails_the_whole_group_and_keeps_what_was_there(tmp_path: Path) -> None:
    """Every append of the group that did not fit gets a `StoreFullError`, none is half there, the next small one is."""

    async def whole() -> None:
        journal = SqlJournal(SmallDisk(str(tmp_path / "j.db"), no_probe), ManualClock())
        await journal.open()
        claim = await begin(journal)
        big = [Recorded(seq, 1.0, TaskCompleted("a", result="x" * 6000)) for seq in range(2, 6)]
        said = await asyncio.gather(*(journal.append(claim, [it]) for it in big), return_exceptions=True)
        assert {type(it) for it in said} == {StoreFullError}
        assert [it.seq for it in await journal.events("run_a")] == [1]
        await journal.append(claim, [Recorded(2, 1.0, TaskCompleted("a"))])
        assert [it.seq for it in await journal.events("run_a")] == [1, 2]
        await journal.close()

    asyncio.run(whole())


def test_values_that_no_database_takes_fail_alone(tmp_path: Path) -> None:
    """A name that is not Unicode text is refused with an error of this project; the run made beside it is there."""

    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{tmp_path}/j.db", clock=ManualClock())
        wrong = RunRow("run_b", 0, "prj", "ann", "\ud800", "default", "simulated", "running", 1.0, 1.0)
        said = await asyncio.gather(
            begin(journal), journal.create_run(wrong, [], {}, owner="w", lease=1), return_exceptions=True
        )
        assert [type(it) for it in said] == [Claim, StoreError]
        assert [it.run_id for it in await journal.runs()] == ["run_a"]
        await journal.close()

    asyncio.run(whole())


def test_an_event_of_another_release_is_said(tmp_path: Path) -> None:
    """A payload that cannot be decoded is a `StoreCorruptError` that names its place, not a decoder's error."""

    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{tmp_path}/j.db", clock=ManualClock())
        await begin(journal)
        with sqlite3.connect(tmp_path / "j.db") as other:
            other.execute("UPDATE events SET payload = ?", (b'{"type":"Unheard"}',))
        other.close()
        with pytest.raises(StoreCorruptError, match="Event 1"):
            await journal.events("run_a")
        await journal.close()

    asyncio.run(whole())


def test_files_are_the_users_own(tmp_path: Path) -> None:
    """The folder is made for its owner only, and so are the database and the files beside it."""

    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{tmp_path}/new/deep/j.db", clock=ManualClock())
        await begin(journal)
        folder = tmp_path / "new" / "deep"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {it.name: stat.S_IMODE(it.stat().st_mode) for it in folder.iterdir()}
        assert modes == {"j.db": 0o600, "j.db-wal": 0o600, "j.db-shm": 0o600}
        await journal.close()
        assert [it.name for it in folder.iterdir()] == ["j.db"]

    asyncio.run(whole())


def test_full_durability_is_the_default(tmp_path: Path) -> None:
    """Without a word the database syncs at each commit; `normal` is a choice."""
    for durability, level in (("full", 2), ("normal", 1)):
        backend = SqliteBackend(str(tmp_path / "j.db"), no_probe, durability)
        backend.open()
        assert backend._session.rows("PRAGMA synchronous") == [(level,)]
        assert backend._session.rows("PRAGMA foreign_keys") == [(1,)]
        assert backend._session.rows("PRAGMA journal_mode") == [("wal",)]
        backend.close()
    assert SqliteBackend("x", no_probe)._synchronous == "FULL"


@pytest.mark.parametrize("url", ["mysql://x/y", "journal.db", "sqlite:journal.db", "sqlite:///", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    """What is no URL of a known database is a `ConfigError` that shows how one looks."""

    async def opening() -> None:
        await open_journal(url, clock=ManualClock())

    with pytest.raises(ConfigError, match="sqlite:///path"):
        asyncio.run(opening())


def test_a_postgres_url_that_cannot_be_read_does_not_show_its_password() -> None:
    """The driver would quote the part that it cannot decode, which may be the password."""

    async def opening() -> None:
        await open_journal("postgresql://ann:s3cret%zz@host/db", clock=ManualClock())

    with pytest.raises(ConfigError) as caught:
        asyncio.run(opening())
    assert "s3cret" not in str(caught.value) and caught.value.__cause__ is None


COLD = """
import asyncio, sqlite3, sys, time
import msgspec
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.persistence.journal import open_journal
async def main():
    journal = await open_journal(sys.argv[1], clock=SystemClock())
    await journal.close()
asyncio.run(main())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_opening_is_cheap_and_imports_no_toolkit(tmp_path: Path) -> None:
    """A new database and a current one are opened without SQLAlchemy, Alembic or pydantic, which take a second."""
    for kind in ("new", "current"):
        command = [sys.executable, "-c", COLD, f"sqlite:///{tmp_path}/a.db"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert "sqlite3" in done.stdout.split()
        assert not {"sqlalchemy", "alembic", "pydantic", "networkx", "psycopg"} & set(done.stdout.split()), kind


def test_a_task_costs_the_same_bytes_early_and_late(tmp_path: Path) -> None:
    """Of a task with 2,000 characters at most 20 KB go to the disk, checkpoint included, also after 3,000 of them."""

    def written() -> int:
        counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(counters["wchar"])

    async def hundred(journal: StoredJournal, claim: Claim, first: int) -> float:
        before = written()
        for seq in range(first, first + 100):
            await journal.append(claim, [Recorded(seq, 1.0, TaskCompleted("a", result="x" * 2000))])
        return (written() - before) / 100

    async def whole() -> None:
        journal = await open_journal(f"sqlite:///{tmp_path}/j.db", clock=ManualClock(), durability="normal")
        claim = await begin(journal)
        early = await hundred(journal, claim, 2)
        many = [Recorded(seq, 1.0, TaskCompleted("a", result="x" * 2000)) for seq in range(102, 3002)]
        for start in range(0, len(many), 290):
            await journal.append(claim, many[start : start + 290])
        late = [await hundred(journal, claim, 3002 + 100 * n) for n in range(10)]
        assert early <= 20_000
        # A checkpoint falls into some of these, and belongs to all of them.
        assert sum(late) / len(late) <= 20_000
        assert min(late) <= early * 1.2
        await journal.close()

    if not Path("/proc/self/io").exists():
        pytest.skip("This system does not count the bytes that a process writes.")
    asyncio.run(whole())


NO_DRIVER = """
import asyncio, sys
sys.modules["psycopg"] = None
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import MissingExtraError
from orchestrator_v2.persistence.journal import open_journal
try:
    asyncio.run(open_journal("postgresql://ann@127.0.0.1/db", clock=SystemClock()))
except MissingExtraError as error:
    print(error.do)
"""


def test_postgres_without_its_driver_says_how_to_get_it() -> None:
    """Where psycopg cannot be imported, the error is the line that installs it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", NO_DRIVER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "pip install 'orchestrator-v2[postgres]'"
