"""A wall clock that leaps by hours, or that is wrong: runs go on and end, in order, and nothing is paid for twice.

The clocks are injected, for `now()` is all that a wrong clock changes; what only grows stays as the kernel gives it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import psycopg
import pytest
from conftest import Fresh
from crash_scenarios import CALLS, IN_FLIGHT
from forks import Forks
from killing import Job, assert_laid_out
from reliability_report import Tell
from stored import faults, name_of, outcomes, repeated, rows, statuses

from orchestrator_v2.engine.decisions import LONGEST_WAIT
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import worked_reply

HOUR = 3_600.0
POINTS = ("intent-committed", "request-sent", "last-byte-before-parse", "parsed-before-commit")
# How far apart the first and the last moment in a journal are, in seconds.
_SPREAD = "SELECT max(at) - min(at) FROM events"


async def _leapt(forks: Forks, home: Path, url: str, seed: int) -> Counter[str]:
    """Two processes whose clocks leap: the first dies somewhere, the second takes its runs up and ends them."""
    random = Random(seed)
    point = f"{random.choice(POINTS)}:{random.randint(1, 6)}"
    async with FakeAnthropic(default=worked_reply) as server:
        job = Job(str(home), "real", server.base_url, runs=2, database=url)
        first = await forks.run(msgspec.structs.replace(job, jumps=2 * seed + 1), point)
        await forks.finish(msgspec.structs.replace(job, jumps=2 * seed + 2), within=20)
        # A claim of the dead one may look young to one whose clock has just leapt back; then it is left alone.
        left = 2 - statuses(url)["completed"]
        if left:
            await forks.finish(job, within=20)
        sent = len(server.requests)
    known = outcomes(url)
    return Counter(
        {
            "killed": int(first.killed),
            "hours leapt": int(rows(url, _SPREAD)[0][0] / HOUR),
            "runs": 2,
            "left to a right clock": left,
            "completed": statuses(url)["completed"],
            "steps repeated": repeated(url),
            "calls": known["done"],
            "calls in flight at the kill": known["outcome_unknown"],
            "calls paid twice": max(0, sent - known.total()),
            "faults": len(faults(url)),
        }
    )


@pytest.mark.parametrize("seeds", [1, pytest.param(25, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_runs_end_while_clocks_leap(*, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, seeds: int) -> None:
    """Leases written in the past and in the future keep nobody out and nobody waiting; events stay in their order."""
    turn = asyncio.Semaphore(4)

    async def one(seed: int) -> Counter[str]:
        home = tmp_path / str(seed)
        home.mkdir()
        async with turn:
            return await _leapt(forks, home, fresh(home), seed)

    async def work() -> list[Counter[str]]:
        return await asyncio.gather(*map(one, range(seeds)))

    seen = asyncio.run(work())
    told = {name: sum(it[name] for it in seen) for name in seen[0]}
    tell("promises", "the wall clock leaps by hours, and a kill", where=name_of(fresh(tmp_path)), seeds=seeds, **told)
    assert (told["steps repeated"], told["calls paid twice"], told["faults"]) == (0, 0, 0)
    assert (told["killed"], told["completed"], told["calls"]) == (seeds, told["runs"], CALLS * told["runs"])
    assert all(it["calls in flight at the kill"] <= IN_FLIGHT * 2 for it in seen)
    assert told["left to a right clock"] <= seeds // 5
    assert sum(it["hours leapt"] >= 1 for it in seen) > seeds // 2


@pytest.mark.parametrize("ahead", [-2 * HOUR, pytest.param(2 * HOUR, marks=pytest.mark.chaos)])
def test_a_worker_with_a_wrong_clock_beside_one_with_a_right_one(
    *, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, ahead: float
) -> None:
    """Whose lease looks old is overtaken and fenced, whose lease looks young is left alone: there is one writer."""
    url = fresh(tmp_path)

    async def work() -> tuple[bool, int, int]:
        under_way, asked = asyncio.Event(), 0

        def slowly(seen: Seen) -> Reply:
            nonlocal asked
            asked += 1
            if asked == 3:
                under_way.set()
            reply = worked_reply(seen)
            return Reply(reply.text, usage=reply.usage, silence=0.2)

        async with FakeAnthropic(default=slowly) as server:
            job = Job(str(tmp_path), "real", server.base_url, database=url)
            wrong = await forks.start(msgspec.structs.replace(job, ahead=ahead))
            async with asyncio.timeout(20):
                await under_way.wait()
            right = await forks.run(job)
            ended = await wrong.end()
            assert right.code == 0, right.said
            if statuses(url)["completed"] != 1:
                await forks.finish(job)
            return "FencedError" in ended.said, ended.code, len(server.requests)

    fenced, code, sent = asyncio.run(work())
    known = outcomes(url)
    extra = known["outcome_unknown"]
    told = {"overtaken": int(fenced), "calls": known["done"], "calls in flight then": extra}
    tell("promises", f"a worker's clock is wrong by {ahead / HOUR:+.0f} h", where=name_of(url), **told)
    assert (fenced, code) == ((True, 1) if ahead < 0 else (False, 0))
    assert (statuses(url), faults(url), repeated(url)) == ({"completed": 1}, [], 0)
    assert known["done"] == CALLS
    assert sent <= CALLS + extra
    assert extra <= (IN_FLIGHT if fenced else 0)
    assert_laid_out(tmp_path / "out-0")


@pytest.mark.parametrize("wait", [600, pytest.param(10 * 86_400, marks=pytest.mark.chaos)])
def test_a_parked_run_goes_on_when_the_clock_passes_its_moment(
    *, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, wait: int
) -> None:
    """It sleeps in the journal, not in a process: not before its moment, at once after a leap, and never for days.

    On PostgreSQL the key itself waits too, by the database's clock, which a worker's leap does not move.
    """
    url = fresh(tmp_path)
    leap = min(wait, LONGEST_WAIT) + HOUR
    busy = Reply(status=429, headers={"retry-after": str(wait)})

    async def work() -> tuple[list[dict[str, int]], int]:
        async with FakeAnthropic([busy], default=worked_reply) as server:
            job = Job(str(tmp_path), "real", server.base_url, database=url)
            seen = []
            for ahead in (0.0, 0.0, -12 * HOUR, leap, 3 * leap):
                if ahead == 3 * leap and name_of(url) == "PostgreSQL":
                    assert seen[-1] == {"waiting_provider": 1}
                    assert len(server.requests) == 1
                    _forget_the_pause(url)
                ended = await forks.run(msgspec.structs.replace(job, ahead=ahead))
                assert ended.code == 0, ended.said
                seen.append(dict(statuses(url)))
            return seen, len(server.requests)

    (parked, still, back, *gone_on), sent = asyncio.run(work())
    known = outcomes(url)
    tell("promises", f"a run waits {wait:,} s for its provider, and the clock leaps", where=name_of(url), **known)
    assert parked == still == back == {"waiting_provider": 1}
    assert gone_on[-1] == {"completed": 1}
    assert (sent, known["done"], faults(url), repeated(url)) == (CALLS + 1, CALLS, [], 0)


def _forget_the_pause(url: str) -> None:
    """As if the database's clock had passed it."""
    with psycopg.connect(url) as connection:
        assert connection.execute("DELETE FROM lanes").rowcount == 1
