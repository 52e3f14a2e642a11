"""A disk that is really full, below the journal or below the project: said, nothing broken, and gone on with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from forks import Forks
from killing import Ended, Job, assert_laid_out
from postgres_server import running_postgres
from reliability_report import Tell
from stored import faults, outcomes, repeated, rows, statuses

from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.worked_answers import worked_reply

# KB that are left for the journal of one run, which takes about 350: too few for its tables, for its beginning, for its
# middle, for its end.
LEFT = tuple(range(20, 321, 20))
# A block of the ballast (bytes).
KB = 1024


class Disk:
    """A file system of its own, in memory, which can be filled to the last block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, left: int) -> int:
        """Leaves so many KB; gives what is left."""
        with self._ballast.open("wb", buffering=0) as file:
            while (free := self.free()) > left:
                try:
                    file.write(bytes(min(64, max(4, free - left)) * KB))
                except OSError:
                    break
        return self.free()

    def free(self) -> int:
        seen = os.statvfs(self.folder)
        return seen.f_bavail * seen.f_frsize // KB

    def make_room(self) -> None:
        self._ballast.unlink()


def _mounted(folder: Path, size: str) -> Iterator[Disk]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"No file system may be mounted here: {done.stderr.decode().strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    yield from _mounted(tmp_path / "disk", "4m")


@pytest.fixture
def large_disk() -> Iterator[Disk]:
    """Where the server's own user may enter it too."""
    with tempfile.TemporaryDirectory(prefix="disk_") as folder:
        Path(folder).chmod(0o755)
        yield from _mounted(Path(folder) / "disk", "256m")


def _said_so(ended: Ended, *words: str) -> bool:
    return ended.code == 1 and all(word in ended.said for word in words)


@pytest.mark.parametrize("left", [*(pytest.param(it, marks=pytest.mark.chaos) for it in LEFT), 200])
def test_a_journal_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    *, forks: Forks, disk: Disk, tell: Tell, tmp_path: Path, left: int
) -> None:
    """What was acknowledged is there, the file is sound, nothing is called done that is not, and resume ends it."""
    url = f"sqlite:///{disk.folder}/journal.db"

    async def work() -> tuple[Ended, dict[str, int], list[str], int]:
        async with FakeAnthropic(default=worked_reply) as server:
            job = Job(str(tmp_path), "real", server.base_url, database=url)
            free = disk.fill(left)
            assert free <= left + 4, "the disk is not full"
            ended = await forks.run(job)
            disk.make_room()
            there = (disk.folder / "journal.db").exists()
            found = faults(url) if there and "accepted" in ended.said else []
            between = statuses(url) if there and "accepted" in ended.said else {}
            await forks.finish(job)
            return ended, dict(between), found, len(server.requests)

    ended, between, found, sent = asyncio.run(work())
    known = outcomes(url)
    told = {
        "KB left": left,
        "ended with words": int(_said_so(ended, "StoreFullError", "Make room")),
        "completed in the end": statuses(url)["completed"],
        "steps repeated": repeated(url),
        "extra calls": known.total() - known["done"],
        "calls paid twice": max(0, sent - known.total()),
    }
    tell("promises", "the journal's disk is full", where="SQLite", **told)
    assert _said_so(ended, "StoreFullError", "Make room"), ended.said[-600:]
    assert found == []
    assert between in ({}, {"running": 1})
    assert faults(url) == []
    assert (statuses(url), told["steps repeated"], told["calls paid twice"]) == ({"completed": 1}, 0, 0)
    assert_laid_out(tmp_path / "out-0")


@pytest.mark.parametrize(
    "left", [8, pytest.param(0, marks=pytest.mark.chaos), pytest.param(40, marks=pytest.mark.chaos)]
)
def test_a_project_on_a_full_disk_is_kept_and_laid_out_when_there_is_room(
    *, forks: Forks, disk: Disk, tell: Tell, tmp_path: Path, left: int
) -> None:
    """The run is completed in its journal; the command ends with what to do, and `resume` lays the project out."""
    url = f"sqlite:///{tmp_path}/journal.db"

    async def work() -> tuple[Ended, dict[str, int]]:
        job = Job(str(disk.folder), database=url)
        disk.fill(left)
        ended = await forks.run(job)
        between = statuses(url)
        disk.make_room()
        await forks.finish(job)
        return ended, dict(between)

    ended, between = asyncio.run(work())
    told = {"KB left": left, "ended with words": int(_said_so(ended, "resume", "lays it out again"))}
    tell("promises", "the project's disk is full", where="SQLite", **told)
    assert _said_so(ended, "WorkspaceError", "resume", "lays it out again"), ended.said[-600:]
    assert between == {"completed": 1}
    assert (faults(url), repeated(url), statuses(url)) == ([], 0, {"completed": 1})
    assert_laid_out(disk.folder / "out-0")


@pytest.mark.chaos
@pytest.mark.postgres
def test_a_server_on_a_full_disk_is_named_and_gone_on_with_when_there_is_room(
    forks: Forks, large_disk: Disk, tell: Tell, tmp_path: Path
) -> None:
    """PostgreSQL refuses what it has no room for; the run waits, and ends when there is room."""
    with running_postgres(large_disk.folder) as server:
        url = server.fresh_url()

        async def work() -> tuple[list[Ended], int, int]:
            async with FakeAnthropic(default=worked_reply) as provider:
                job = Job(str(tmp_path), "real", provider.base_url, database=url, laid=1000)
                await forks.finish(job)
                free = large_disk.fill(0)
                ends = []
                for number in range(1, 40):
                    ends.append(await forks.run(msgspec.structs.replace(job, first=number, runs=1), within=60))
                    if ends[-1].code:
                        break
                large_disk.make_room()
                await forks.finish(msgspec.structs.replace(job, runs=len(ends) + 1))
                return ends, free, len(provider.requests)

        ends, free, sent = asyncio.run(work())
        known = outcomes(url)
        told = {
            "KB left": free,
            "ended with words": int(_said_so(ends[-1], "StoreFullError", "Make room")),
            "runs": len(ends) + 1,
            "completed in the end": statuses(url)["completed"],
            "calls paid twice": max(0, sent - known.total()),
        }
        tell("promises", "the journal's disk is full", where="PostgreSQL", **told)
        assert _said_so(ends[-1], "StoreFullError", "Make room"), ends[-1].said[-600:]
        assert faults(url) == []
        assert statuses(url) == {"completed": len(ends) + 1}
        assert (repeated(url), told["calls paid twice"]) == (0, 0)
        assert len(rows(url, "SELECT 1 FROM runs")) == len(ends) + 1
