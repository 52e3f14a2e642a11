"""What a process does while it is killed at a crash point: the scenarios, how often each passes where, and one kill.

That every point of every scenario is outlived is `test_crash_points.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
from forks import Forks
from killing import Job, assert_laid_out, git
from stored import faults, outcomes, repeated, rows, statuses

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.worked_answers import asked, worked_reply

# Of one diamond: its phases, its calls, and how many of those may be in flight when the process dies.
PHASES, CALLS, IN_FLIGHT = 4, 8, 2


_SIMULATED = {
    "migration-statement": 23,
    "accepted-before-commit": 1,
    "committed-before-response": 1,
    "parsed-before-commit": 4,
    "inside-result-transaction": 5,
    "committed-before-artifact": 2,
    "artifact-temp-written": 4,
    "artifact-renamed": 4,
}
_ASKED = {"intent-committed": 8, "request-sent": 8, "first-byte": 8, "last-byte-before-parse": 8, "budget-settle": 8}
_REFUSED = {"intent-committed": 16, "request-sent": 16, "budget-settle": 16, "retry-sleep": 8}
_BY_BATCH = {"batch-handed-in": 8, "parsed-before-commit": 6, "claimed": 4}


class Scenario(msgspec.Struct, frozen=True):
    """`passes`: how often an undisturbed process passes each point at least, for each run.

    `busy`: the server is overloaded once for each call, so that there is something to wait for.
    """

    mode: str
    passes: dict[str, int]
    runs: int = 1
    batch: bool = False
    busy: bool = False

    def job(self, home: Path, url: str, server: FakeAnthropicBatches) -> Job:
        base = server.base_url if self.mode == "real" else ""
        return Job(str(home), self.mode, base, runs=self.runs, batch=self.batch, database=url)

    def server(self) -> FakeAnthropicBatches:
        return FakeAnthropicBatches(_first_busy() if self.busy else worked_reply, polls=0)

    def times(self, point: str) -> int:
        return self.passes.get(point, 0) * (1 if point == "migration-statement" else self.runs)


SCENARIOS = {
    "simulated": Scenario("simulated", _SIMULATED),
    "two simulated": Scenario("simulated", _SIMULATED, runs=2),
    "real": Scenario("real", _SIMULATED | _ASKED),
    "two real": Scenario("real", _SIMULATED | _ASKED, runs=2),
    "busy": Scenario("real", _SIMULATED | _ASKED | _REFUSED, busy=True),
    "batch": Scenario("real", _ASKED | _BY_BATCH, batch=True),
}
# The commit that an undisturbed run ends in, by its mode.
Heads = dict[str, str]


class Case(msgspec.Struct, frozen=True):
    """A kill to be: at `point`, at a moment that `seed` picks, on a database of its own."""

    forks: Forks
    home: Path
    url: str
    point: str
    seed: int
    heads: Heads

    @property
    def random(self) -> Random:
        return Random(f"{self.point} {self.seed}")


class Outlived(msgspec.Struct, frozen=True):
    """What one kill, and the process after it, came to."""

    moment: tuple[str, int]
    kills: int
    runs: int
    ended: int
    lost: int
    repeated: int
    in_flight: int
    paid_twice: int
    faults: tuple[str, ...] = ()


async def undisturbed(forks: Forks, name: str, home: Path, url: str) -> tuple[dict[str, int], str]:
    """What a process passes that nobody kills, and how often; and the commit that its first run ends in."""
    scenario = SCENARIOS[name]
    async with scenario.server() as server:
        ended = await forks.run(msgspec.structs.replace(scenario.job(home, url, server), count=True), within=60)
    assert ended.code == 0, ended.said
    (told,) = (line.removeprefix("passed ") for line in ended.said.splitlines() if line.startswith("passed "))
    return msgspec.json.decode(told, type=dict[str, int]), git(home / "out-0", "rev-parse", "HEAD")


async def killed_on_the_way(case: Case) -> Outlived:
    """A process is killed at a passage and in a scenario that the seed picks; the next one ends it."""
    random, point = case.random, case.point
    name = random.choice([name for name, it in SCENARIOS.items() if it.times(point)])
    scenario = SCENARIOS[name]
    nth = random.randint(1, scenario.times(point))
    async with scenario.server() as server:
        job = scenario.job(case.home, case.url, server)
        first = await case.forks.run(job, f"{point}:{nth}")
        await case.forks.finish(job)
        sent = len(server.desk.batches) if scenario.batch else len(server.requests)
        seen = Told(first.said, int(first.killed), sent, server.problems)
    return await asyncio.to_thread(_looked_at, case, scenario, (name, nth), seen)


async def killed_while_recovering(case: Case) -> Outlived:
    """Three runs lose their process early; the next is killed while it takes them up, for every fifth seed three in a
    row; the last ends them."""
    random = case.random
    scenario = Scenario(random.choice(["simulated", "real"]), {}, runs=3)
    nth, deep = random.randint(1, 3), 1 if case.seed % 5 else 3
    async with scenario.server() as server:
        job = scenario.job(case.home, case.url, server)
        first = await case.forks.run(job, f"parsed-before-commit:{random.randint(1, 3)}")
        kills = [(await case.forks.run(job, f"{case.point}:{nth}")).killed for _ in range(deep)]
        await case.forks.finish(job)
        died = int(first.killed and all(kills))
        seen = Told(first.said, died, len(server.requests), server.problems)
    return await asyncio.to_thread(_looked_at, case, scenario, (f"{scenario.mode}, {deep} deep", nth), seen)


async def killed_while_cancelling(case: Case) -> Outlived:
    """Killed between reading the wish to cancel and recording it; the next process finds the wish."""
    random, url = case.random, case.url
    answers = random.randint(0, 5)
    async with FakeAnthropicBatches(_silent_after(answers), polls=0) as server:
        job = Job(str(case.home), "real", server.base_url, database=url)
        wish = msgspec.structs.replace(job, cancel=True, cancel_after=random.uniform(0.2, 0.6))
        first = await case.forks.run(wish, case.point)
        await case.forks.finish(job)
        sent = len(server.requests)
    known = outcomes(url)
    return Outlived(
        ("real", answers),
        int(first.killed),
        runs=1,
        ended=statuses(url)["cancelled"],
        lost=1 - len(rows(url, "SELECT 1 FROM runs")),
        repeated=repeated(url),
        in_flight=known["outcome_unknown"],
        paid_twice=max(0, sent - known.total()),
        faults=tuple(faults(url)),
    )


LATER = {"claimed": killed_while_recovering, "recovery": killed_while_recovering, "cancel": killed_while_cancelling}


class Told(msgspec.Struct, frozen=True):
    """What the first process said, whether all that were to die did, and what the provider saw."""

    said: str
    died: int
    sent: int
    problems: list[str]


def _looked_at(case: Case, scenario: Scenario, moment: tuple[str, int], told: Told) -> Outlived:
    url = case.url
    known = outcomes(url)
    accepted = {line.split()[1] for line in told.said.splitlines() if line.startswith("accepted ")}
    there = {str(row[0]) for row in rows(url, "SELECT run_id FROM runs")}
    found = [*faults(url), *told.problems]
    for number in range(scenario.runs):
        assert_laid_out(case.home / f"out-{number}", case.heads[scenario.mode])
    if known["done"] != (CALLS * scenario.runs if scenario.mode == "real" else 0):
        found.append(f"{known['done']} calls are done")
    return Outlived(
        moment,
        told.died,
        runs=scenario.runs,
        ended=statuses(url)["completed"],
        lost=len(accepted - there),
        repeated=repeated(url),
        in_flight=known["outcome_unknown"],
        paid_twice=max(0, told.sent - known.total()),
        faults=tuple(found),
    )


def _first_busy() -> Callable[[Seen], Reply]:
    met: Counter[object] = Counter()

    def answer(seen: Seen) -> Reply:
        wanted = asked(seen.prompt)
        met[wanted] += 1
        return Reply(status=529) if met[wanted] == 1 else worked_reply(seen)

    return answer


def _silent_after(answers: int) -> Callable[[Seen], Reply]:
    given = 0

    def answer(seen: Seen) -> Reply:
        nonlocal given
        given += 1
        return worked_reply(seen) if given <= answers else Reply(silence=30)

    return answer
