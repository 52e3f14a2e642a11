"""A PostgreSQL whose connections are cut, and that is stopped and started again, while workers drive runs on it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from crash_scenarios import CALLS
from forks import Forks
from killing import Ended, Job
from postgres_server import PostgresServer, running_postgres
from reliability_report import Tell
from stored import faults, outcomes, repeated, rows, statuses

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import worked_reply

pytestmark = pytest.mark.postgres

LANES = 2
# Longer than a worker waits for its server.
OUTAGE = 9.0


def _slowly(seen: Seen) -> Reply:
    reply = worked_reply(seen)
    return Reply(reply.text, usage=reply.usage, silence=0.03)


class Work:
    """Workers one after the other in a few lanes, two new runs each, until `over` is set."""

    def __init__(self, forks: Forks, job: Job) -> None:
        self._forks = forks
        self._job = job
        self.runs = 0
        self.over = asyncio.Event()
        self.ends: list[Ended] = []

    async def lane(self) -> None:
        while not self.over.is_set():
            job = msgspec.structs.replace(self._job, first=self.runs, runs=2, alone=False)
            self.runs += 2
            self.ends.append(await self._forks.run(job, within=120))

    def gave_up(self) -> list[str]:
        """What workers said that did not wait for their server; one that is cut off while it opens it says so,
        and has accepted nothing."""
        return [end.said for end in self.ends if end.code and "taken up" in end.said]

    async def finish(self) -> None:
        """What a person would do after the trouble: start the command once more."""
        await self._forks.finish(msgspec.structs.replace(self._job, runs=self.runs), within=120)


def _disturbed(forks: Forks, url: str, home: Path, disturb: Callable[[Work], Awaitable[None]]) -> tuple[Work, int]:
    """The work while `disturb` goes on, and how many requests the provider saw by the end."""

    async def work() -> tuple[Work, int]:
        async with FakeAnthropic(default=_slowly) as server:
            going = Work(forks, Job(str(home), "real", server.base_url, database=url, laid=10))
            lanes = [asyncio.create_task(going.lane()) for _ in range(LANES)]
            try:
                await disturb(going)
            finally:
                going.over.set()
                await asyncio.gather(*lanes)
            await going.finish()
            assert server.problems == []
            return going, len(server.requests)

    return asyncio.run(work())


def _told(url: str, work: Work, sent: int) -> dict[str, int]:
    known = outcomes(url)
    accepted = {it.split()[1] for end in work.ends for it in end.said.splitlines() if it.startswith("accepted")}
    there = {str(row[0]) for row in rows(url, "SELECT run_id FROM runs")}
    return {
        "workers": len(work.ends),
        "workers that gave up": sum(end.code != 0 for end in work.ends),
        "runs": work.runs,
        "completed": statuses(url)["completed"],
        "lost": len(accepted - there),
        "steps repeated": repeated(url),
        "calls": known["done"],
        "extra calls paid": known.total() - known["done"],
        "calls paid twice": max(0, sent - known.total()),
    }


@pytest.mark.parametrize("drops", [12, pytest.param(250, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_dropped_connections_cost_nothing(
    *, forks: Forks, postgres: PostgresServer, postgres_url: str, tell: Tell, tmp_path: Path, drops: int
) -> None:
    """Every connection of the workers is cut again and again: all goes on by itself, and no call is paid again."""
    random = Random(drops)
    cut: Counter[str] = Counter()

    async def disturb(work: Work) -> None:
        while cut["connections"] < drops:
            await asyncio.sleep(random.uniform(0.05, 0.3))
            ended = await asyncio.to_thread(postgres.drop_connections, postgres_url)
            cut["connections"] += ended
            cut["moments"] += bool(ended)

    work, sent = _disturbed(forks, postgres_url, tmp_path, disturb)
    told = _told(postgres_url, work, sent)
    dropped = {"connections dropped": cut["connections"], "at moments": cut["moments"]}
    tell("promises", "connections cut while runs work", where="PostgreSQL", **dropped, **told)
    assert work.gave_up() == []
    assert faults(postgres_url) == []
    assert told["completed"] == told["runs"] > 0
    assert (told["lost"], told["steps repeated"], told["calls paid twice"], told["extra calls paid"]) == (0, 0, 0, 0)
    assert (sent, told["calls"]) == (CALLS * work.runs, CALLS * work.runs)
    assert cut["connections"] >= drops


@pytest.mark.parametrize("restarts", [1, pytest.param(20, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_a_server_that_is_restarted_costs_nothing(forks: Forks, tell: Tell, tmp_path: Path, restarts: int) -> None:
    """Stopped in good order and crashed in turn, and back within seconds: workers wait for it, reading and writing."""
    random = Random(restarts)
    cut = 0

    with running_postgres() as server:
        url = server.fresh_url()

        async def disturb(work: Work) -> None:
            nonlocal cut
            for number in range(restarts):
                await asyncio.sleep(random.uniform(0.3, 1.0))
                cut += len(await asyncio.to_thread(rows, url, _CONNECTIONS)) > 0
                await asyncio.to_thread(server.stop, ("immediate", "fast")[number % 2])
                await asyncio.sleep(random.uniform(0.0, 1.5))
                await asyncio.to_thread(server.start)

        work, sent = _disturbed(forks, url, tmp_path, disturb)
        told = _told(url, work, sent)
        met = {"restarts": restarts, "while workers were connected": cut}
        tell("promises", "the server is stopped or crashes, and comes back", where="PostgreSQL", **met, **told)
        assert faults(url) == []
        assert told["completed"] == told["runs"] > 0
        assert (told["lost"], told["steps repeated"], told["calls paid twice"]) == (0, 0, 0)
        assert work.gave_up() == []
        assert told["extra calls paid"] == 0
        assert cut > restarts // 2


@pytest.mark.chaos
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_an_outage_ends_workers_with_words_and_resume_goes_on(
    forks: Forks, tell: Tell, tmp_path: Path, how: str
) -> None:
    """A server that stays away ends the drive with what to do; nothing is lost, and the next command goes on."""
    with running_postgres() as server:
        url = server.fresh_url()

        async def disturb(work: Work) -> None:
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.stop, how)
            await asyncio.sleep(OUTAGE)
            work.over.set()
            await asyncio.to_thread(server.start)

        work, sent = _disturbed(forks, url, tmp_path, disturb)
        told = _told(url, work, sent)
        tell("promises", f"the server stays away for {OUTAGE:.0f} s ({how})", where="PostgreSQL", **told)
        assert faults(url) == []
        assert told["completed"] == told["runs"] > 0
        assert (told["lost"], told["steps repeated"], told["calls paid twice"]) == (0, 0, 0)
        given_up = [end.said for end in work.ends if end.code]
        assert given_up
        assert all("StoreUnavailableError" in said and _WAY_OUT.search(said) for said in given_up), given_up


# What each of the errors of a lost server ends in.
_WAY_OUT = re.compile("Check (that )?the server|Resume when the server is back")
_CONNECTIONS = (
    "SELECT 1 FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
    " AND pid <> pg_backend_pid()"
)
