"""A rotation that is killed at any instant: every key opens at once, and the next rotation ends what was begun."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from conftest import Fresh
from forks import Forks
from killing import Job
from reliability_report import Tell
from rotation_worker import journal_of, vault_of
from stored import name_of

from orchestrator_v2.core.accounts import Credential, DataKey
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.credentials.master_file import FileKeys

HERE = Path(__file__).parent
USERS = 6


def secret_of(user: str) -> Secret:
    return Secret(f"sk-ant-of-{user}-0123456789")


def populate(home: Path, url: str = "", users: int = USERS) -> list[Credential]:
    async def go() -> list[Credential]:
        journal = await journal_of(home, url)
        vault = vault_of(home, journal)
        kept = [await vault.put(f"u{number}", "anthropic", secret_of(f"u{number}")) for number in range(users)]
        await journal.close()
        return kept

    (home / "data").mkdir(exist_ok=True)
    return asyncio.run(go())


def check_all_open(home: Path, credentials: list[Credential], url: str = "") -> list[DataKey]:
    """In a process that comes after: every key is its owner's."""

    async def go() -> list[DataKey]:
        journal = await journal_of(home, url)
        vault = vault_of(home, journal)
        await vault.check_master()
        for each in credentials:
            assert await vault.open(each.user_id, each.credential_id) == secret_of(each.user_id)
        rows = await journal.credentials().data_keys()
        await journal.close()
        return rows

    return asyncio.run(go())


def start(home: Path, crash_at: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "CRASH_AT": crash_at}
    command = [sys.executable, str(HERE / "rotation_worker.py"), str(home)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def rotate(home: Path, crash_at: str = "") -> tuple[int, str]:
    with start(home, crash_at) as process:
        said, _ = process.communicate(timeout=60)
    return process.returncode, said.split()[-1]


def masters(home: Path) -> list[str]:
    keys = FileKeys(home / "config/master.key", home / "data", clock=SystemClock()).load()
    return [key.id for key in keys]


@pytest.mark.parametrize("row", [3, USERS])
def test_killed_after_a_row_every_key_opens_and_the_next_rotation_ends_it(tmp_path, row):
    """Half of the rows are under the new key, and the file holds both; the next run makes no third key."""
    credentials = populate(tmp_path)
    (old,) = masters(tmp_path)
    assert rotate(tmp_path, f"key-rotation-row:{row}") == (-signal.SIGKILL, "ready")
    new, second = masters(tmp_path)
    assert second == old
    rows = check_all_open(tmp_path, credentials)
    assert [each.master_id for each in rows].count(new) == row
    assert rotate(tmp_path) == (0, str(USERS - row))
    assert masters(tmp_path) == [new]
    assert {each.master_id for each in check_all_open(tmp_path, credentials)} == {new}


@pytest.mark.parametrize("seeds", [2, pytest.param(25, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_killed_after_any_row_every_key_opens(
    *, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, seeds: int
) -> None:
    """As many users as a seed says, killed after the row that it says: every key opens, and the next run ends it."""
    seen: Counter[str] = Counter()
    moments = set()
    for seed in range(seeds):
        random = Random(seed)
        home, users = tmp_path / str(seed), random.randint(2, 12)
        home.mkdir()
        url, row = fresh(home), random.randint(1, users)
        credentials = populate(home, url, users)
        job = Job(str(home), database=url, task="rotation")
        first = asyncio.run(forks.run(job, f"key-rotation-row:{row}"))
        seen["died there"] += first.killed
        between = check_all_open(home, credentials, url)
        seen["keys under the new master"] += [each.master_id for each in between].count(masters(home)[0])
        second = asyncio.run(forks.run(job))
        assert (second.code, second.said.split()) == (0, [str(users - row)]), second.said
        ended = check_all_open(home, credentials, url)
        seen["keys that open"] += len(ended)
        seen["keys"] += users
        seen["keys left under the old"] += len(ended) - [each.master_id for each in ended].count(masters(home)[0])
        moments.add((users, row))
    where = name_of(fresh(tmp_path))
    tell("crash points", "key-rotation-row", where=where, seeds=seeds, moments=len(moments), **seen)
    assert seen["died there"] == seeds
    assert (seen["keys that open"], seen["keys left under the old"]) == (seen["keys"], 0)


def test_killed_at_each_row_in_turn_it_still_ends(tmp_path):
    """A rotation that dies after every single row goes one row on each time."""
    credentials = populate(tmp_path)
    for _ in range(USERS):
        assert rotate(tmp_path, "key-rotation-row:1")[0] == -signal.SIGKILL
        check_all_open(tmp_path, credentials)
    assert rotate(tmp_path, "key-rotation-row:1") == (0, "0")
    assert len(masters(tmp_path)) == 1
    check_all_open(tmp_path, credentials)


def test_killed_at_any_moment_every_key_opens(tmp_path):
    """Kills that fall where they fall, in the writing of the file too; nothing is lost in any of them."""
    credentials = populate(tmp_path)
    random = Random(4)
    ended = killed = 0
    for _ in range(14):
        with start(tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0.0, 0.25))
            process.kill()
            process.wait()
        killed += process.returncode == -signal.SIGKILL
        ended += process.returncode == 0
        check_all_open(tmp_path, credentials)
    assert killed, ended
    assert rotate(tmp_path)[0] == 0
    assert len(masters(tmp_path)) == 1
    check_all_open(tmp_path, credentials)


def test_two_processes_at_once_are_harmless(tmp_path):
    """They share the work, or do it one after the other; one key is left, and it opens all."""
    credentials = populate(tmp_path)
    both = [start(tmp_path), start(tmp_path)]
    said = [process.communicate(timeout=60)[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(map(int, said)) in (USERS, 2 * USERS)
    (master,) = masters(tmp_path)
    assert {each.master_id for each in check_all_open(tmp_path, credentials)} == {master}
