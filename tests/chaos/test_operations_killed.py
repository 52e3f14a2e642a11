"""An agentic operation is killed with SIGKILL in its middle; asked again with its key it goes on and pays once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet
from killing import assert_no_task_twice, assert_sound, rows, statuses

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic

HERE = Path(__file__).parent
GOOD = json.dumps({"words": 2, "longest": "hello"})
VIEW = json.dumps({"summary": "Seen.", "findings": [], "disagreements": []})
# What the operation asks when nothing goes wrong: three agents, twice, and one who sums up.
CALLS = 7
# How many agents are asked at once, and so how many calls may be in flight when the process dies.
IN_FLIGHT = 2


def answer(seen: Seen) -> str:
    return VIEW if "Several specialists" in seen.prompt else GOOD


async def asked(home: Path, url: str, crash_at: str = "") -> tuple[int, Any]:
    """How the process ended, and what it said."""
    paths = os.pathsep.join([str(HERE.parent / "unit"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "CRASH_AT": crash_at}
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, str(HERE / "operation_worker.py"), str(home), url)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    code = process.returncode or 0
    assert code in (0, -signal.SIGKILL), errors.decode()
    return code, json.loads(out) if out else None


def _long(*points: str) -> list[ParameterSet]:
    """Further passages of points that have their case already."""
    return [pytest.param(point, marks=pytest.mark.chaos) for point in points]


@pytest.mark.parametrize(
    "point",
    [
        "committed-before-response",
        "intent-committed:4",
        "last-byte-before-parse:5",
        "parsed-before-commit:4",
        *_long("accepted-before-commit", "request-sent:2", "budget-settle:3", "inside-result-transaction:3"),
        *_long("parsed-before-commit:7"),
    ],
)
def test_a_killed_operation_goes_on_and_is_charged_once(point: str, tmp_path: Path) -> None:
    """What was answered and recorded is not sent again; at most the calls in flight are sent twice, and are charged."""

    async def work() -> tuple[Any, list[Seen]]:
        async with FakeAnthropic(default=answer) as server:
            code, _ = await asked(tmp_path, server.base_url, point)
            assert code == -signal.SIGKILL, f"{point} was not reached"
            code, said = await asked(tmp_path, server.base_url)
            assert code == 0
            before = len(server.requests)
            again = await asked(tmp_path, server.base_url)
            assert again[1]["metadata"]["replayed"] and len(server.requests) == before
            assert server.problems == []
            return said, server.requests

    said, requests = asyncio.run(work())
    assert said["success"] and said["results"] == {"words": 2, "longest": "hello"}
    assert said["metadata"]["agents_used"] == ["counter", "measurer", "doubter"]
    assert statuses(tmp_path) == ["completed"]
    assert assert_no_task_twice(tmp_path) == CALLS
    assert_sound(tmp_path)
    ledger = Counter(outcome for (outcome,) in rows(tmp_path, "SELECT outcome FROM model_calls"))
    assert ledger["done"] == CALLS
    assert CALLS <= len(requests) <= CALLS + IN_FLIGHT
    assert ledger["outcome_unknown"] <= IN_FLIGHT and ledger["intent"] == 0
