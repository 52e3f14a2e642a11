"""Fifty calls race for the last five that there is money for, round after round, in two processes: nobody overspends.

What a process does is `budget_worker.py`; how whole runs stop when the money is spent, `test_real_mode_budget.py`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from budget_worker import Round, raced
from reliability_report import Tell

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

CALLS, FIT = 50, 5
WORKER = Path(__file__).with_name("budget_worker.py")


class Worker:
    def __init__(self, url: str, number: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, str(WORKER), url, str(number)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)

    def begin(self, round: Round) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(round) + b"\n")
        self._process.stdin.flush()

    def ended(self) -> Counter[str]:
        assert self._process.stdout is not None
        return Counter(msgspec.json.decode(self._process.stdout.readline(), type=dict[str, int]))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Race:
    """Rounds over two processes, and the ledger as a third sees it."""

    def __init__(self, url: str, reserved: int, journal: StoredJournal) -> None:
        self._limit = FIT * reserved
        self._journal = journal
        self._workers = [Worker(url, number) for number in range(2)]
        self.seen: Counter[str] = Counter()

    async def for_a_runs_budget(self, seed: int) -> None:
        """All calls are one run's, and a run is one process's."""
        round = Round(f"budget{seed}", seed, CALLS, 1, budget=self._limit)
        await self._judge(round, self._workers[:1])

    async def for_an_owners_ceiling(self, seed: int) -> None:
        """Ten runs of one owner, five of each process."""
        round = Round(f"ceiling{seed}", seed, CALLS // 2, 5, ceiling=self._limit)
        await self._judge(round, self._workers)

    async def _judge(self, round: Round, workers: list[Worker]) -> None:
        for worker in workers:
            worker.begin(round)
        did: Counter[str] = Counter()
        for worker in workers:
            did += await asyncio.to_thread(worker.ended)
        names = [f"{round.owner}-{number}-{run}" for number in range(len(workers)) for run in range(round.runs)]
        calls = [row for name in names for row in await self._journal.recorded_calls(name)]
        charged = sum(row.charged or 0 for row in calls)
        assert did["done"] + did["failed"] + did["refused"] == CALLS
        self.seen += did
        self.seen["rounds"] += 1
        self.seen["overspent"] += charged > self._limit
        self.seen["nothing refused"] += did["refused"] == 0
        self.seen["sent fewer than fit"] += len(calls) < FIT
        self.seen["unsettled"] += sum(row.outcome not in ("done", "failed") for row in calls)
        self.seen["recorded"] += len(calls)
        self.seen["wrongly charged"] += sum(map(_is_wrong, calls))

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def _is_wrong(row: CallRow) -> bool:
    """An answer without an honest count, and a failure that may be billed, cost what was reserved for them."""
    if row.outcome == "failed":
        return row.charged != (0 if row.error.startswith("rate_limited") else row.reserved)
    assert row.completion is not None
    is_flawed = any("charged as its reservation" in note for note in row.completion.notes)
    return (row.charged == row.reserved) != is_flawed


async def _reserved(journal: StoredJournal) -> int:
    """What one such call reserves."""
    await raced(journal, Round("asking", 1, 1, 1), 0)
    (row, *_) = await journal.recorded_calls("asking-0-0")
    assert row.reserved
    return row.reserved


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.chaos)])
@pytest.mark.timeout(540)
def test_fifty_calls_for_the_last_five_never_overspend(stored_url: str, rounds: int, tell: Tell) -> None:
    """With retries, and counts that are missing, negative or absurd: a run's budget and an owner's ceiling hold."""

    async def whole() -> Counter[str]:
        journal = await open_journal(stored_url, clock=ManualClock())
        race = Race(stored_url, await _reserved(journal), journal)
        try:
            for seed in range(rounds):
                await race.for_a_runs_budget(seed)
                await race.for_an_owners_ceiling(seed)
        finally:
            race.close()
            await journal.close()
        return race.seen

    seen = asyncio.run(whole())
    sent = sum(seen[kind] for kind in ("honest", "dear", "missing", "negative", "absurd", "down", "busy"))
    tell(
        "promises",
        "50 calls race for the last 5",
        where="PostgreSQL, two processes" if stored_url.startswith("postgres") else "SQLite, two processes",
        rounds=seen["rounds"],
        calls=seen["rounds"] * CALLS,
        sent=sent,
        of_them_with_a_false_count=seen["missing"] + seen["negative"] + seen["absurd"],
        of_them_failed_and_retried=seen["down"] + seen["busy"],
        refused=seen["refused"],
        overspent=seen["overspent"],
        wrongly_charged=seen["wrongly charged"],
    )
    assert seen["rounds"] == 2 * rounds
    assert min(seen[kind] for kind in ("honest", "missing", "negative", "absurd", "down", "busy")) > 0
    assert seen["recorded"] == sent
    bad = ("overspent", "nothing refused", "sent fewer than fit", "unsettled", "wrongly charged")
    assert {name: seen[name] for name in bad if seen[name]} == {}
