"""SIGKILL wherever it falls, over and over, in two processes on one database: no run is lost and no step repeated."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import psycopg
import pytest
from conftest import Fresh
from crash_scenarios import CALLS, IN_FLIGHT, PHASES
from forks import Forked, Forks
from killing import KEY, Job, assert_laid_out, git
from reliability_report import Tell
from stored import Row, assert_sound, faults, name_of, outcomes, repeated, rows, statuses

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import worked_reply

# Processes at once; what one leaves behind is taken up by whichever comes next, or lives beside it.
LANES = 2
# Of so many runs one is laid out as a repository: git takes most of the time.
LAID = 5
RUNS_PER_KILL = 2
SET_ASIDE = "SELECT DISTINCT id >> 32 FROM events WHERE type = 'RunParked'"
# A worker dies after so many of its own calls at most, and up to so many seconds later. By calls, not by the clock: on
# a slow machine all would die before they came to anything. Its two runs make 16.
LONGEST, LATER = 14, 0.05
# Of so many workers in a lane the last is left alone, so that as much ends as begins.
TURN = 3


class Pace:
    """Counts the calls of each worker, by its key, and wakes whoever waits for one."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._waiting: dict[str, tuple[int, asyncio.Event]] = {}

    def answer(self, seen: Seen) -> Reply:
        self._seen[seen.key] += 1
        at, event = self._waiting.get(seen.key, (0, None))
        if event is not None and self._seen[seen.key] >= at:
            event.set()
        reply = worked_reply(seen)
        return Reply(reply.text, usage=reply.usage, silence=0.02)

    async def after(self, key: str, calls: int) -> None:
        """Returns when the worker of that key has made so many calls more."""
        event = asyncio.Event()
        self._waiting[key] = (self._seen[key] + calls, event)
        if calls:
            await event.wait()


class Loop:
    """Kills workers until `kills` of them died of it, each with two new runs; everything that it saw."""

    def __init__(self, forks: Forks, job: Job, pace: Pace, *, kills: int, seed: int) -> None:
        self._forks = forks
        self._pace = pace
        self._job = job
        self._left = kills
        self.runs = 0
        self._random = Random(seed)
        self.accepted: set[str] = set()
        self.seen: Counter[str] = Counter()

    async def go(self) -> None:
        await asyncio.gather(*(self._lane(f"{KEY}-{lane}") for lane in range(LANES)))

    async def _lane(self, key: str) -> None:
        while self._left > 0:
            for _ in range(TURN - 1):
                await self._victim(key)
            worker = await self._forks.start(msgspec.structs.replace(self._job, runs=0, key=key, alone=False))
            await self._died(worker)

    async def _victim(self, key: str) -> None:
        first, self.runs = self.runs, self.runs + RUNS_PER_KILL
        job = msgspec.structs.replace(self._job, first=first, runs=RUNS_PER_KILL, key=key, alone=False)
        worker = await self._forks.start(job)
        moment = asyncio.ensure_future(self._pace.after(key, self._random.randint(0, LONGEST)))
        await asyncio.wait((moment, worker.ended), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        moment.cancel()
        await asyncio.sleep(self._random.uniform(0.0, LATER))
        if not worker.ended.done():
            worker.signal(signal.SIGKILL)
        await self._died(worker)

    async def _died(self, worker: Forked) -> None:
        ended = await worker.end(within=120)
        assert ended.code in {0, -signal.SIGKILL}, ended.said
        self.accepted.update(line.split()[1] for line in ended.said.splitlines() if line.startswith("accepted"))
        if not ended.killed:
            return
        self._left -= 1
        self.seen["kills"] += 1
        held = await asyncio.to_thread(_held, self._job.database, worker.pid)
        self.seen["hit a run in flight"] += bool(held)
        self.seen["hit a call in flight"] += any(calls for _, calls in held)
        if self.seen["kills"] % 25 == 0:
            assert_sound(self._job.database)


def _held(url: str, pid: int) -> list[Row]:
    """The runs that the dead process had under way, and how many calls each had."""
    query = (
        "SELECT runs.run_no, count(model_calls.id) FROM runs LEFT JOIN model_calls"
        " ON model_calls.run_no = runs.run_no AND outcome = 'intent'"
        f" WHERE status = 'running' AND lease_owner LIKE '%/{pid}/%' GROUP BY 1"
    )
    return _looked(url, query)


def _looked(url: str, query: str) -> list[Row]:
    """The rows; none where the first process has not come as far as making tables."""
    try:
        return rows(url, query)
    except (sqlite3.OperationalError, psycopg.errors.UndefinedTable) as error:
        if "no such table" in str(error) or "does not exist" in str(error) or "unable to open" in str(error):
            return []
        raise


def _kill_loop(forks: Forks, url: str, home: Path, kills: int, seed: int) -> tuple[Loop, int]:
    """The loop, and how many requests the provider saw by the time that all was done."""

    async def work() -> tuple[Loop, int]:
        pace = Pace()
        async with FakeAnthropic(default=pace.answer) as server:
            job = Job(str(home), "real", server.base_url, database=url, laid=LAID)
            loop = Loop(forks, job, pace, kills=kills, seed=seed)
            await loop.go()
            loop.seen["set aside"] = statuses(url)["needs_attention"]
            # Where a phase met more deaths than a step is given, a person has the last word.
            await forks.finish(msgspec.structs.replace(job, runs=loop.runs, insist=True), within=400)
            assert server.problems == []
            return loop, len(server.requests)

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (4, 0),
        *(pytest.param(125, seed, marks=[pytest.mark.chaos, pytest.mark.timeout(1200)]) for seed in range(1, 5)),
    ],
)
def test_a_loop_of_kills_loses_nothing(
    *, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, kills: int, seed: int
) -> None:
    """Two runs for each kill: each accepted run is completed, no committed step is done again, no answer paid twice."""
    url = fresh(tmp_path)
    loop, sent = _kill_loop(forks, url, tmp_path, kills, seed)
    known, ended = outcomes(url), statuses(url)
    there = {str(row[0]) for row in rows(url, "SELECT run_id FROM runs")}
    taken_up: dict[int, int] = dict(
        rows(url, "SELECT id >> 32, count(*) FROM events WHERE type = 'RunResumed' GROUP BY 1")
    )
    unknown: dict[int, int] = dict(
        rows(url, "SELECT run_no, count(*) FROM model_calls WHERE outcome = 'outcome_unknown' GROUP BY 1")
    )
    told = {
        **loop.seen,
        "runs": sum(ended.values()),
        "completed": ended["completed"],
        "lost": len(loop.accepted - there),
        "steps repeated": repeated(url),
        "calls": known["done"],
        "calls in flight at a kill": known["outcome_unknown"],
        "calls paid twice": max(0, sent - known.total()),
    }
    tell("promises", "a loop of SIGKILL, two runs for each", where=name_of(url), **told)
    assert faults(url) == []
    assert ended == {"completed": loop.runs}
    assert (told["lost"], told["steps repeated"], told["calls paid twice"]) == (0, 0, 0)
    assert told["kills"] >= kills
    assert told["runs"] >= RUNS_PER_KILL * kills
    assert told["hit a run in flight"] >= kills // 2
    whole = f"SELECT run_no FROM model_calls WHERE outcome = 'done' GROUP BY 1 HAVING count(*) <> {CALLS}"
    # Who goes on with what was set aside asks for that phase anew.
    assert {run for (run,) in rows(url, whole)} <= {run for (run,) in rows(url, SET_ASIDE)}
    assert len(rows(url, "SELECT 1 FROM events WHERE type = 'TaskCompleted'")) == PHASES * loop.runs
    assert {run for run in unknown if unknown[run] > IN_FLIGHT * taken_up.get(run, 0)} == set()
    laid = [tmp_path / f"out-{number}" for number in range(0, loop.runs, LAID)]
    for out in laid[:: max(1, len(laid) // 10)]:
        assert_laid_out(out)
    straight = rows(url, f"SELECT out FROM runs WHERE out <> '' AND run_no NOT IN ({SET_ASIDE})")
    assert len({git(Path(str(out)), "rev-parse", "HEAD") for (out,) in straight}) == 1


def test_a_step_that_kills_its_worker_is_set_aside_and_other_runs_go_on(
    forks: Forks, fresh: Fresh, tmp_path: Path
) -> None:
    """Five deaths in one phase park that run as needing attention; the sixth process does not die of it."""
    job = Job(str(tmp_path), database=fresh(tmp_path))

    async def work() -> None:
        for _ in range(5):
            assert (await forks.run(job, "parsed-before-commit")).killed
        await forks.finish(msgspec.structs.replace(job, runs=2))

    asyncio.run(work())
    assert statuses(job.database) == {"needs_attention": 1, "completed": 1}
    assert_sound(job.database)
