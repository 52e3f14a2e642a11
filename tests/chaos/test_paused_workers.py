"""A worker that is stopped with SIGSTOP past its lease and goes on after another has its run: it changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import pytest
from conftest import Fresh
from crash_scenarios import IN_FLIGHT
from forks import Forked, Forks
from killing import KEY, Job
from reliability_report import Tell
from stored import Row, faults, name_of, outcomes, repeated, rows, statuses

from orchestrator_v2.engine.engine import LEASE
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.worked_answers import worked_reply

FIRST, SECOND = f"{KEY}-first", f"{KEY}-second"
# Between two transactions; inside one it is `test_a_worker_that_is_stopped_inside_a_transaction…`.
POINTS = ("intent-committed", "request-sent", "first-byte", "last-byte-before-parse", "parsed-before-commit")
_ALL = [
    f"SELECT '{table}', {table}.* FROM {table} ORDER BY {order}"
    for table, order in {
        "events": "id",
        "model_calls": "id",
        "runs": "run_no",
        "signals": "id",
        "blobs": "hash",
        "spending": "owner_id, period",
    }.items()
]


_LOCKED = "Another process kept it locked for too long"
_TAKEN_UP = "SELECT 1 FROM events WHERE type = 'RunResumed'"


async def _stopped(worker: Forked) -> None:
    """Waits until the kernel says that the process is stopped."""
    async with asyncio.timeout(20):
        while _state(worker.pid) != "T":
            assert not worker.ended.done(), worker.said()
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def _everything(url: str) -> list[Row]:
    """All that stands in the journal, to the byte."""
    return [row for query in _ALL for row in rows(url, query)]


def _sent(server: FakeAnthropic) -> Counter[str]:
    return Counter(seen.key for seen in server.requests)


async def _overtaken(forks: Forks, home: Path, url: str, stop_at: str, ahead: float) -> Counter[str]:
    """Stopped there, overtaken by a worker whose clock is `ahead` past the lease, or that waits; then continued."""
    async with FakeAnthropic(default=worked_reply) as server:
        job = Job(str(home), "real", server.base_url, database=url)
        first = await forks.start(msgspec.structs.replace(job, key=FIRST, stop_at=stop_at))
        await _stopped(first)
        if not ahead:
            await asyncio.sleep(LEASE + 1)
        second = await forks.run(msgspec.structs.replace(job, key=SECOND, ahead=ahead), within=60)
        locked = _LOCKED in second.said
        assert second.code == (1 if locked else 0), second.said
        before, asked = _everything(url), _sent(server)
        first.signal(signal.SIGCONT)
        ended = await first.end(within=60)
        # What it has sent by now is there by now: its end is after its last byte.
        after, asked_after = _everything(url), _sent(server)
        lost = outcomes(url)["outcome_unknown"]
        said_so = ended.code == 1 and "FencedError" in ended.said and "nother worker" in ended.said
        if locked:
            # SQLite's lock lives as long as its process, so nobody could take over; it ends its run itself.
            assert ended.code == 0, ended.said
            return Counter({"asleep with the file locked": 1, **_ends(url, asked_after)})
        return Counter(
            {
                "taken over": len(rows(url, _TAKEN_UP)) > 0,
                "rows changed": len(set(before) ^ set(after)),
                # One whose intent it had recorded before it slept, and which the other has charged as unknown.
                "recorded calls that it sent late": asked_after[FIRST] - asked[FIRST],
                "calls sent unrecorded": max(0, asked_after[FIRST] - asked[FIRST] - lost),
                "said so": said_so,
                **_ends(url, asked_after),
            }
        )


def _ends(url: str, asked: Counter[str]) -> dict[str, int]:
    return {
        "runs completed": statuses(url)["completed"],
        "steps repeated": repeated(url),
        "faults": len(faults(url)),
        "calls paid twice": max(0, sum(asked.values()) - outcomes(url).total()),
    }


@pytest.mark.parametrize(
    ("seeds", "ahead"),
    [
        (2, LEASE + 1),
        pytest.param(25, LEASE + 1, marks=[pytest.mark.chaos, pytest.mark.timeout(600)]),
        pytest.param(3, 0.0, marks=[pytest.mark.chaos, pytest.mark.timeout(300)]),
    ],
)
def test_a_worker_that_slept_past_its_lease_changes_nothing(
    *, forks: Forks, fresh: Fresh, tell: Tell, tmp_path: Path, seeds: int, ahead: float
) -> None:
    """Stopped at a passage that a seed picks: not a row is changed by it, nothing new is sent, it says why it ends."""
    # One after the other: locks of names are of all schemas of a database, and each sleeper keeps its own for 10 s.
    turn = asyncio.Semaphore(1)

    async def one(seed: int) -> Counter[str]:
        random = Random(seed)
        async with turn:
            home = tmp_path / str(seed)
            home.mkdir()
            point = random.choice(POINTS)
            nth = random.randint(1, 4 if point == "parsed-before-commit" else 8)
            return await _overtaken(forks, home, fresh(home), f"{point}:{nth}", ahead)

    async def work() -> list[Counter[str]]:
        return await asyncio.gather(*map(one, range(seeds)))

    seen = asyncio.run(work())
    told = _added(seen)
    how = f"SIGSTOP past the lease of {LEASE:.0f} s" + ("" if ahead == 0.0 else ", the other's clock being past it")
    tell("promises", how, where=name_of(fresh(tmp_path)), stopped=seeds, **told)
    asleep, late = told.pop("asleep with the file locked", 0), told.pop("recorded calls that it sent late")
    expected = {"taken over": seeds - asleep, "said so": seeds - asleep, "runs completed": seeds}
    assert told == dict.fromkeys(told, 0) | expected
    assert asleep <= seeds // 5
    assert late <= IN_FLIGHT * seeds


def _added(seen: list[Counter[str]]) -> dict[str, int]:
    names = dict.fromkeys(name for it in seen for name in it)
    return {name: sum(it[name] for it in seen) for name in names}


@pytest.mark.chaos
@pytest.mark.postgres
def test_a_worker_that_is_stopped_inside_a_transaction_keeps_nobody_out(
    forks: Forks, postgres_url: str, tell: Tell, tmp_path: Path
) -> None:
    """The server ends a transaction that its worker sleeps in, before the lease ends; whoever takes over goes on."""
    stopped_at = "inside-result-transaction:3"
    told = asyncio.run(_overtaken(forks, tmp_path, postgres_url, stopped_at, LEASE + 1))
    tell("promises", "SIGSTOP inside a transaction", where="PostgreSQL", **told)
    assert (told["said so"], told["runs completed"], told["rows changed"], told["faults"]) == (1, 1, 0, 0)
    assert (told["calls sent unrecorded"], told["steps repeated"], told["calls paid twice"]) == (0, 0, 0)


@pytest.mark.chaos
def test_a_worker_that_is_stopped_inside_a_transaction_on_a_file_is_waited_for(
    forks: Forks, tell: Tell, tmp_path: Path
) -> None:
    """SQLite's lock lives as long as its process: the other says that the file is locked; the first ends its run."""
    url = f"sqlite:///{tmp_path}/data/orchestrator.db"

    async def work() -> tuple[str, int]:
        job = Job(str(tmp_path), database=url)
        first = await forks.start(msgspec.structs.replace(job, stop_at="inside-result-transaction:3"))
        await _stopped(first)
        second = await forks.run(msgspec.structs.replace(job, ahead=LEASE + 1), within=60)
        assert second.code == 1
        first.signal(signal.SIGCONT)
        return second.said, (await first.end(within=60)).code

    said, code = asyncio.run(work())
    tell("promises", "SIGSTOP inside a transaction", where="SQLite", **{"runs completed": statuses(url)["completed"]})
    assert "StoreUnavailableError" in said
    assert _LOCKED in said
    assert (code, statuses(url), faults(url), repeated(url)) == (0, {"completed": 1}, [], 0)
