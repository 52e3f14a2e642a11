"""A process is killed with SIGKILL at every crash point; the next one goes on at once and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Fresh
from crash_scenarios import IN_FLIGHT, LATER, SCENARIOS, Case, Heads, Outlived, killed_on_the_way, undisturbed
from forks import Forks
from reliability_report import Tell
from stored import name_of

from orchestrator_v2.core.probe import CRASH_POINTS

SEEDS = 25
# So many processes at once: each waits now and then, and there are two cores.
AT_ONCE = 4
# No run passes these: `test_key_rotation.py` kills there.
ELSEWHERE = {"key-rotation-row"}
POINTS = [point for point in CRASH_POINTS if point not in ELSEWHERE]


@pytest.fixture(scope="module")
def heads(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Heads:
    """The commit that an undisturbed run ends in, by mode."""

    async def work() -> Heads:
        homes = {mode: tmp_path_factory.mktemp(mode) for mode in ("simulated", "real")}
        ends = [undisturbed(forks, mode, home, f"sqlite:///{home}/journal.db") for mode, home in homes.items()]
        return dict(zip(homes, [head for _, head in await asyncio.gather(*ends)], strict=True))

    return asyncio.run(work())


def test_every_crash_point_has_its_kill() -> None:
    """A new name in the list is passed by a scenario, or stands where it is killed at instead."""
    here = {point for it in SCENARIOS.values() for point in it.passes}
    assert here | set(LATER) | ELSEWHERE == set(CRASH_POINTS)
    assert all(name in (Path(__file__).parent / "test_key_rotation.py").read_text("utf-8") for name in ELSEWHERE)


@pytest.mark.chaos
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_undisturbed_process_passes_what_its_scenario_says(
    forks: Forks, fresh: Fresh, tmp_path: Path, name: str
) -> None:
    """A point that is passed less often than a seed may pick would be killed at nowhere."""
    counted, _ = asyncio.run(undisturbed(forks, name, tmp_path, fresh(tmp_path)))
    scenario = SCENARIOS[name]
    assert {point: counted.get(point, 0) < scenario.times(point) for point in scenario.passes} == dict.fromkeys(
        scenario.passes, False
    )


async def _outlived(
    forks: Forks, fresh: Fresh, heads: Heads, home: Path, cases: Sequence[tuple[str, int]]
) -> list[Outlived]:
    """Each (point, seed) on a database of its own, a few at once."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(point: str, seed: int) -> Outlived:
        async with turn:
            place = home / f"{point}-{seed}"
            place.mkdir()
            return await LATER.get(point, killed_on_the_way)(Case(forks, place, fresh(place), point, seed, heads))

    return await asyncio.gather(*(one(*case) for case in cases))


def _told(seen: Sequence[Outlived]) -> dict[str, int]:
    return {
        "died there": sum(it.kills for it in seen),
        "moments": len({it.moment for it in seen}),
        "runs": sum(it.runs for it in seen),
        "ended": sum(it.ended for it in seen),
        "lost": sum(it.lost for it in seen),
        "steps repeated": sum(it.repeated for it in seen),
        "calls in flight": sum(it.in_flight for it in seen),
        "calls paid twice": sum(it.paid_twice for it in seen),
    }


def _assert_outlived(seen: Sequence[Outlived]) -> None:
    told = _told(seen)
    assert [(it.moment, it.faults) for it in seen if it.faults] == []
    assert told["died there"] == len(seen), [it.moment for it in seen if not it.kills]
    assert told["ended"] == told["runs"]
    assert (told["lost"], told["steps repeated"], told["calls paid twice"]) == (0, 0, 0)
    assert all(it.in_flight <= IN_FLIGHT * it.runs for it in seen)


def test_a_kill_at_each_crash_point_is_outlived(forks: Forks, fresh: Fresh, heads: Heads, tmp_path: Path) -> None:
    """Each point once: runs end in the same commits as undisturbed ones, and only what was in flight is paid again."""
    _assert_outlived(asyncio.run(_outlived(forks, fresh, heads, tmp_path, [(point, 0) for point in POINTS])))


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", POINTS)
def test_kills_at_a_crash_point_are_outlived_whenever_they_come(
    *, forks: Forks, fresh: Fresh, heads: Heads, tell: Tell, tmp_path: Path, point: str
) -> None:
    """The same at the passages, in the modes and with the runs beside it that 25 seeds pick."""
    cases = [(point, seed) for seed in range(SEEDS)]
    seen = asyncio.run(_outlived(forks, fresh, heads, tmp_path, cases))
    told = _told(seen)
    tell("crash points", point, where=name_of(fresh(tmp_path)), seeds=SEEDS, **told)
    _assert_outlived(seen)
    assert told["moments"] > 1
