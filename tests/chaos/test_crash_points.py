"""A process is killed with SIGKILL at every crash point; the next one goes on at once and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from _pytest.mark.structures import ParameterSet
from killing import (
    Job,
    assert_laid_out,
    assert_no_task_twice,
    assert_sound,
    finish,
    git,
    killed_at,
    rows,
    statuses,
)

from orchestrator_v2.core.probe import CRASH_POINTS
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.worked_answers import asked, worked_reply

# How many calls of the diamond may be in flight when the process dies.
IN_FLIGHT = 2


def _often(*points: str) -> list[ParameterSet]:
    """Further passages of points that have their case already."""
    return [pytest.param(point, marks=pytest.mark.slow) for point in points]


# Where a simulated run of the diamond passes, and at which passages it is killed.
SIMULATED = [
    "migration-statement:3",
    "accepted-before-commit",
    "committed-before-response",
    "parsed-before-commit:2",
    "inside-result-transaction:3",
    "committed-before-artifact",
    "artifact-temp-written:3",
    "artifact-renamed:2",
]
SIMULATED_MORE = _often(
    "inside-result-transaction",
    "inside-result-transaction:5",
    "artifact-temp-written",
    "artifact-renamed",
    "artifact-renamed:4",
)
# Where a real run passes besides: on the way to the provider and back.
REAL = [
    "intent-committed:5",
    "request-sent:2",
    "first-byte:4",
    "last-byte-before-parse:3",
    "budget-settle:6",
    "parsed-before-commit:3",
    "retry-sleep",
]
REAL_MORE = _often("intent-committed", "budget-settle", "request-sent", "first-byte:8", "last-byte-before-parse:8")
# Where a run by batches passes besides, or passes otherwise.
BATCH = ["batch-handed-in:3", "intent-committed:3", "budget-settle:3"]
# Where only a second process passes, or one that is told to cancel.
LATER = ["claimed", "recovery", "cancel"]


def _first_busy() -> Callable[[Seen], Reply]:
    """A server that is overloaded once for each call, so that there is something to wait for."""
    met: set[object] = set()

    def answer(seen: Seen) -> Reply:
        wanted = asked(seen.prompt)
        if wanted.phase == "right" and wanted not in met:
            met.add(wanted)
            return Reply(status=529)
        return worked_reply(seen)

    return answer


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The commit that an undisturbed run ends in, by mode."""
    found: dict[str, str] = {}

    async def work() -> None:
        async with FakeAnthropic(default=worked_reply) as server:
            for mode, url in (("simulated", ""), ("real", server.base_url)):
                home = tmp_path_factory.mktemp(mode)
                await finish(Job(str(home), mode, url))
                assert statuses(home) == ["completed"]
                found[mode] = git(home / "out-0", "rev-parse", "HEAD")

    asyncio.run(work())
    return found


def _whole(home: Path, head: str) -> None:
    assert statuses(home) == ["completed"]
    assert assert_no_task_twice(home) == 4
    assert_sound(home)
    assert_laid_out(home / "out-0", head)


# No run passes these: `test_key_rotation.py` kills there.
ELSEWHERE = {"key-rotation-row"}


def test_every_crash_point_has_its_kill() -> None:
    """A new name in the list is a new case here, or stands where it is killed at instead."""
    here = {point.partition(":")[0] for point in (*SIMULATED, *REAL, *BATCH, *LATER)}
    assert here | ELSEWHERE == set(CRASH_POINTS)
    assert all(name in (Path(__file__).parent / "test_key_rotation.py").read_text("utf-8") for name in ELSEWHERE)


@pytest.mark.parametrize("point", [*SIMULATED, *SIMULATED_MORE])
def test_a_simulated_run_outlives_a_kill(point: str, tmp_path: Path, heads: dict[str, str]) -> None:
    """Killed there, the run is taken up at once by the next process and ends in the same commits."""
    job = Job(str(tmp_path))

    async def work() -> None:
        await killed_at(job, point)
        await finish(job)

    asyncio.run(work())
    _whole(tmp_path, heads["simulated"])


@pytest.mark.parametrize("point", [*REAL, *REAL_MORE])
def test_a_real_run_outlives_a_kill_and_pays_for_nothing_twice(
    point: str, tmp_path: Path, heads: dict[str, str]
) -> None:
    """What was answered and recorded is not sent again; what was in flight is in the ledger as unknown, and charged."""

    async def work() -> int:
        async with FakeAnthropic(default=_first_busy() if point == "retry-sleep" else worked_reply) as server:
            job = Job(str(tmp_path), "real", server.base_url)
            await killed_at(job, point)
            await finish(job)
            return len(server.requests)

    sent = asyncio.run(work())
    _whole(tmp_path, heads["real"])
    outcomes = dict(rows(tmp_path, "SELECT outcome, count(*) FROM model_calls GROUP BY 1"))
    assert outcomes.pop("done") == 8
    lost = outcomes.pop("outcome_unknown", 0)
    assert isinstance(lost, int) and lost <= IN_FLIGHT
    failed = outcomes.pop("failed", 0)
    assert outcomes == {}
    assert isinstance(failed, int) and 8 + failed <= sent <= 8 + failed + lost
    unknown = "SELECT count(*) FROM model_calls WHERE outcome = 'outcome_unknown' AND charged IS NOT reserved"
    assert rows(tmp_path, unknown) == [(0,)]


@pytest.mark.parametrize("point", BATCH)
def test_a_run_by_batches_outlives_a_kill(point: str, tmp_path: Path, heads: dict[str, str]) -> None:
    """A batch whose name is in the ledger is collected by the next process; only one that is not is handed in anew."""

    async def work() -> int:
        async with FakeAnthropicBatches(worked_reply, polls=0) as server:
            job = Job(str(tmp_path), "real", server.base_url, batch=True)
            await killed_at(job, point)
            await finish(job)
            assert server.problems == []
            return len(server.desk.batches)

    handed_in = asyncio.run(work())
    _whole(tmp_path, heads["real"])
    outcomes = dict(rows(tmp_path, "SELECT outcome, count(*) FROM model_calls GROUP BY 1"))
    assert outcomes.pop("done") == 8
    lost = outcomes.pop("outcome_unknown", 0)
    assert outcomes == {}
    assert isinstance(lost, int) and lost <= IN_FLIGHT
    assert lost or point.startswith("budget-settle")
    assert 8 <= handed_in <= 8 + lost


@pytest.mark.parametrize("point", ["claimed", "recovery"])
def test_a_recovery_that_is_killed_three_times_is_recovered(point: str, tmp_path: Path, heads: dict[str, str]) -> None:
    """Three processes die while they take the run up; the fourth finishes it, without any waiting for leases."""
    job = Job(str(tmp_path))

    async def work() -> None:
        await killed_at(job, "inside-result-transaction:3")
        for _ in range(3):
            await killed_at(job, point)
        await finish(job)

    asyncio.run(work())
    _whole(tmp_path, heads["simulated"])


def test_a_cancel_outlives_a_kill(tmp_path: Path) -> None:
    """Killed between reading the wish and recording it, the next process finds the wish and cancels the run."""

    async def work() -> None:
        slow = Reply(silence=30)
        async with FakeAnthropic(default=slow) as server:
            job = Job(str(tmp_path), "real", server.base_url, cancel=True)
            await killed_at(job, "cancel")
            assert statuses(tmp_path) == ["running"]
            await finish(Job(str(tmp_path), "real", server.base_url))

    asyncio.run(work())
    assert statuses(tmp_path) == ["cancelled"]
    assert_sound(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_default_workflow_outlives_kills_at_any_passage(seed: int, tmp_path: Path) -> None:
    """Three kills at passages that a seed picks, over all points of a real run, then the run completes."""
    random = Random(seed)
    often = {
        "intent-committed": 20,
        "request-sent": 20,
        "first-byte": 20,
        "last-byte-before-parse": 20,
        "budget-settle": 20,
        "parsed-before-commit": 9,
        "inside-result-transaction": 15,
        "artifact-temp-written": 12,
        "artifact-renamed": 12,
    }
    kills = 0

    async def work() -> int:
        nonlocal kills
        async with FakeAnthropic(default=worked_reply) as server:
            job = Job(str(tmp_path), "real", server.base_url, "default")
            for _ in range(3):
                name = random.choice(list(often))
                try:
                    await killed_at(job, f"{name}:{random.randint(1, often[name])}")
                except AssertionError:
                    continue
                kills += 1
            await finish(job)
            return len(server.requests)

    sent = asyncio.run(work())
    assert kills >= 1
    assert statuses(tmp_path) == ["completed"]
    assert assert_no_task_twice(tmp_path) == 12
    assert_sound(tmp_path)
    outcomes = dict(rows(tmp_path, "SELECT outcome, count(*) FROM model_calls GROUP BY 1"))
    assert outcomes["done"] == 27
    assert sent <= 27 + kills * 4
    assert git(tmp_path / "out-0", "fsck", "--strict", "--no-dangling") == ""
