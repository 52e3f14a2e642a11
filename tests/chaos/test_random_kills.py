"""Kills at any time, over many runs at once: nothing that was accepted is lost, and all of it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from killing import (
    Job,
    assert_laid_out,
    assert_no_task_twice,
    assert_sound,
    finish,
    git,
    rows,
    run_worker,
    spawn,
    statuses,
)

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import worked_reply

RUNS = 10
KILLS = 20


async def _killed_after(job: Job, seconds: float) -> tuple[bool, str]:
    """Whether the worker was still at work then, and what it had said."""
    process = await spawn(job)
    assert process.stdout is not None
    said = await process.stdout.readline()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
    out, errors = await process.communicate()
    assert process.returncode in {0, -9}, errors.decode()
    return process.returncode == -9, (said + out).decode()


def _in_flight(home: Path) -> bool:
    return bool(rows(home, "SELECT 1 FROM runs WHERE status = 'running' LIMIT 1"))


def _gently(seen: Seen) -> Reply:
    reply = worked_reply(seen)
    return Reply(reply.text, usage=reply.usage, silence=0.03)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("mode", "workflow", "longest"),
    [pytest.param("simulated", "default", 3.0, marks=pytest.mark.chaos), ("real", "diamond", 0.6)],
)
def test_twenty_kills_over_ten_runs_lose_nothing(mode: str, workflow: str, longest: float, tmp_path: Path) -> None:
    """A run more after every second kill: each is kept, the file stays sound, and in the end all are completed."""
    random = Random(20)
    accepted: set[str] = set()
    hits = 0

    async def work() -> int:
        nonlocal hits
        async with FakeAnthropic(default=_gently) as server:
            url = server.base_url if mode == "real" else ""
            for kill in range(KILLS):
                job = Job(str(tmp_path), mode, url, workflow, runs=1 + kill // 2)
                was_killed, said = await _killed_after(job, random.uniform(0.02, longest))
                accepted.update(line.split()[1] for line in said.splitlines() if line.startswith("accepted"))
                hits += was_killed and _in_flight(tmp_path)
                assert_sound(tmp_path)
                assert accepted <= {str(row[0]) for row in rows(tmp_path, "SELECT run_id FROM runs")}
            # Under load one phase may meet more deaths than a step is given; then a person has the last word.
            await finish(Job(str(tmp_path), mode, url, workflow, runs=RUNS, insist=True), within=120)
            return len(server.requests)

    sent = asyncio.run(work())
    assert hits >= 5
    assert statuses(tmp_path) == ["completed"] * RUNS
    assert assert_no_task_twice(tmp_path) == (4 if workflow == "diamond" else 12) * RUNS
    assert_sound(tmp_path)
    set_aside = "SELECT DISTINCT id >> 32 FROM events WHERE type = 'RunParked'"
    straight = rows(tmp_path, f"SELECT out FROM runs WHERE run_no NOT IN ({set_aside})")
    assert len({git(Path(str(out)), "rev-parse", "HEAD") for (out,) in straight}) == 1
    for number in range(RUNS):
        assert_laid_out(tmp_path / f"out-{number}")
    outcomes = dict(rows(tmp_path, "SELECT outcome, count(*) FROM model_calls GROUP BY 1"))
    lost = outcomes.pop("outcome_unknown", 0)
    assert sum(outcomes.values()) <= sent <= sum(outcomes.values()) + lost
    assert outcomes.get("done", 0) >= (8 * RUNS if mode == "real" else 0)


@pytest.mark.slow
def test_a_step_that_kills_its_worker_is_set_aside_and_other_runs_go_on(tmp_path: Path) -> None:
    """Five deaths in one phase park that run as needing attention; the sixth process does not die of it."""

    async def work() -> None:
        job = Job(str(tmp_path))
        for _ in range(5):
            assert (await run_worker(job, "parsed-before-commit")).killed
        await finish(Job(str(tmp_path), runs=2))

    asyncio.run(work())
    assert statuses(tmp_path) == ["needs_attention", "completed"]
    assert_sound(tmp_path)
