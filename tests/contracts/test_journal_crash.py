"""A process that is killed at each of the journal's crash points, and what the next one finds."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from journal_cases import at, intent, with_journal

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import StoredJournal

# Says on its standard output what was acknowledged, one word at a time, until the crash point kills it.
WORKER = """
import asyncio, os, sys
from journal_cases import at, intent, row
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.probe import probe_from
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import open_journal

def acknowledged(word):
    os.write(1, word.encode() + b" ")

async def main():
    journal = await open_journal(sys.argv[1], clock=ManualClock(), probe=probe_from(os.environ))
    acknowledged("opened")
    claim = await journal.create_run(row(), [at(1)], {"h1": b"brief"}, owner="w1", lease=30)
    acknowledged("created")
    claim = await journal.claim("run_a", owner="w1", lease=30)
    acknowledged("claimed")
    ledger = journal.ledger(claim, 100)
    call = await ledger.begin(intent(reserved=40))
    acknowledged("begun")
    await ledger.finish(call, Completion("answer"), 5)
    acknowledged("finished")
    await journal.append(claim, [at(2), at(3)], blobs={"h2": b"code"})
    acknowledged("appended")
    await asyncio.gather(*(journal.append(claim, [at(seq)]) for seq in range(4, 24)))
    acknowledged("all")

asyncio.run(main())
"""


def killed_at(url: str, point: str) -> list[str]:
    """What the worker had acknowledged when the crash point killed it."""
    here = str(Path(__file__).parent)
    environment = os.environ | {"CRASH_AT": point, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, url], env=environment, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return done.stdout.decode().split()


def sound(url: str) -> bool:
    """SQLite's own check of the file and its foreign keys; PostgreSQL looks after itself."""
    if not url.startswith("sqlite:///"):
        return True
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return whole and connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("point", "acknowledged", "seqs", "calls"),
    [
        ("accepted-before-commit", ["opened"], None, []),
        ("claimed", ["opened", "created"], [1], []),
        ("intent-committed", ["opened", "created", "claimed"], [1], ["intent"]),
        ("budget-settle", ["opened", "created", "claimed", "begun"], [1], ["intent"]),
        ("inside-result-transaction", ["opened", "created", "claimed", "begun", "finished"], [1], ["done"]),
        (
            "inside-result-transaction:2",
            ["opened", "created", "claimed", "begun", "finished", "appended"],
            [1, 2, 3],
            ["done"],
        ),
    ],
)
def test_a_kill_leaves_whole_transactions_only(
    stored_url: str, point: str, acknowledged: list[str], seqs: list[int] | None, calls: list[str]
) -> None:
    """What was acknowledged is there, what was inside a transaction is not there at all, and the database is sound."""
    assert killed_at(stored_url, point) == acknowledged
    assert sound(stored_url)

    async def work(journal: StoredJournal) -> None:
        if seqs is None:
            assert await journal.runs() == []
            return
        assert await journal.events("run_a") == [at(seq) for seq in seqs]
        assert [it.outcome for it in await journal.recorded_calls("run_a")] == calls
        await _goes_on(journal, seqs[-1], calls)

    with_journal(stored_url, work)


async def _goes_on(journal: StoredJournal, last: int, calls: list[str]) -> None:
    """The next worker claims the run, finds what was paid for, and writes where the first one stopped."""
    claim = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
    assert claim is not None
    ledger = journal.ledger(claim, 100)
    assert [it.outcome for it in await ledger.calls()] == [{"intent": "outcome_unknown"}.get(it, it) for it in calls]
    assert await ledger.spent() == {"intent": 40, "done": 5}.get("".join(calls), 0)
    assert await ledger.find(intent().key, "h1") == (Completion("answer") if calls == ["done"] else None)
    await journal.append(claim, [at(last + 1)])
    assert [it.seq for it in await journal.events("run_a", after=last)] == [last + 1]


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_kill_while_the_tables_are_made_is_mended_by_the_next_opening(stored_url: str, nth: int) -> None:
    """Killed after each statement of a new schema, the next process finds nothing of it and makes all of it."""
    assert killed_at(stored_url, f"migration-statement:{nth}") == []

    async def work(journal: StoredJournal) -> None:
        assert await journal.runs() == []
        assert await journal.signalled() == []

    with_journal(stored_url, work, clock=ManualClock())
    assert sound(stored_url)
