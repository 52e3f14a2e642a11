"""Whole runs against a provider and a judge that are not ours: `llmock` breaks its answers and says how we took it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from llmock_server import fetch, running_llmock
from real_mode import SHORT, request, settings, stopped_as
from reliability_report import Tell

from orchestrator_v2 import open_orchestrator
from orchestrator_v2.testing.worked_answers import worked_answer

_PROMPTS = ("(phase `first`)", "(phase `first`)\n# Do step 1 of the plan", "(phase `second`)")
ANSWERS = [worked_answer(prompt) for prompt in (*_PROMPTS, "(phase `second`)\n# Do step 1 of the plan")]
# The judge takes the last attempt at a stream that is always cut for an accepted one, as nothing follows it.
UNSEEN = {"truncated_stream_accepted", "malformed_chunk_ignored"}


class Case(msgspec.Struct, frozen=True):
    """What llmock does to the third of a run's four calls, how the run ends, and how often that call arrives."""

    behavior: dict[str, Any]
    status: str
    sent: int
    allowed: frozenset[str] = frozenset()


def _fail(status: int, ends: str, sent: int, **more: Any) -> Case:
    return Case({"type": "fail", "status": status, "times": None, **more}, ends, sent)


def _stream(kind: str, ends: str, sent: int, **more: Any) -> Case:
    behavior = {"type": "stream_fault", "kind": kind, "after_chunks": 1, "times": None, **more}
    return Case(behavior, ends, sent, frozenset(UNSEEN))


CASES = {
    **{
        f"{status}, always": _fail(status, "waiting_provider", 3) for status in (408, 409, 429, 500, 502, 503, 504, 529)
    },
    **{f"{status}, always": _fail(status, "failed", 1) for status in (400, 404, 413, 422)},
    **{f"{status}, always": _fail(status, "needs_credential", 1) for status in (401, 403)},
    "402, always": _fail(402, "needs_attention", 1),
    "429, once, after 0.3 s": _fail(429, "completed", 2, times=1, retry_after=0.3),
    "529, twice": _fail(529, "completed", 3, times=2),
    "503, once": _fail(503, "completed", 2, times=1),
    **{f"{kind}, always": _stream(kind, "waiting_provider", 3) for kind in ("disconnect", "truncate", "malformed")},
    **{f"{kind}, once": _stream(kind, "completed", 2, times=1) for kind in ("disconnect", "truncate", "malformed")},
}


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with running_llmock() as url:
        yield url


class Met(msgspec.Struct, frozen=True):
    """What came of a case; `sent` is how often the run's first call arrived at the mock."""

    status: str
    sent: int
    complaints: frozenset[str] = frozenset()
    mended: str = "completed"


async def _met(url: str, case: Case, home: Path) -> Met:
    """A run whose first call is spoilt, and that is taken up again where the fault lasts."""
    loaded = settings(home, base_url=f"{url}/anthropic", retry_initial=0.2, retry_max_delay=1.0)
    once = case.behavior["times"]
    # A stream that breaks uses its answer up, an error does not.
    lost = [ANSWERS[0]] * (case.sent - 1 if case.behavior["type"] == "stream_fault" else 0)
    async with await open_orchestrator(loaded) as orchestrator:
        await _scenario(url, [*lost, *ANSWERS], case.behavior)
        state = await orchestrator.run(request(workflow=SHORT))
        status = await stopped_as(orchestrator, state)
        sent = len(await asyncio.to_thread(_arrivals, url)) - (3 if once else 0)
        complaints = await asyncio.to_thread(_complaints, url, case.allowed)
    if not once:
        await _scenario(url, ANSWERS)
        # Another process: in this one the origin may be counted as not answering.
        async with await open_orchestrator(loaded) as later:
            state = await later.resume(state.run_id)
            await stopped_as(later, state)
    return Met(status, sent, complaints, state.status)


async def _scenario(url: str, answers: list[str], *faults: dict[str, Any]) -> None:
    """Forgets all that was before."""
    replies = [{"type": "reply", "text": text} for text in answers]
    await asyncio.to_thread(fetch, f"{url}/_llmock/reset", {})
    await asyncio.to_thread(fetch, f"{url}/_llmock/scenario", {"behaviors": [*replies, *faults]})


def _arrivals(url: str) -> list[Any]:
    return list(fetch(f"{url}/_llmock/requests")["requests"])


def _complaints(url: str, allowed: frozenset[str]) -> frozenset[str]:
    """Once the judge has noted the end of the last attempt, which it does a moment after we have it."""
    found: frozenset[str] = frozenset()
    for _ in range(20):
        findings = fetch(f"{url}/_llmock/verdict").get("findings", [])
        found = frozenset(finding["code"] for finding in findings) - allowed
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("429, once, after 0.3 s", "403, always", "truncate, always"), id="few"),
        pytest.param(tuple(CASES), id="all", marks=pytest.mark.chaos),
    ],
)
@pytest.mark.timeout(300)
def test_another_mocks_faults_stop_runs_by_the_rule_and_its_judge_is_content(
    names: tuple[str, ...], mock_url: str, tmp_path: Path, tell: Tell
) -> None:
    """Each run ends as it has to after as many sendings as it may make, goes on when mended, and nothing is found."""

    async def whole() -> dict[str, Met]:
        return {name: await _met(mock_url, CASES[name], tmp_path / f"{at}") for at, name in enumerate(names)}

    found = asyncio.run(whole())
    wanted = {name: Met(CASES[name].status, CASES[name].sent) for name in names}
    tell(
        "providers",
        "faults of an independent mock against a whole run",
        where="llmock, SQLite",
        faults=len(found),
        runs=len(found),
        falsely_completed=sum(
            met.status == "completed" and wanted[name].status != "completed" for name, met in found.items()
        ),
        calls_beyond_the_rule=sum(max(0, met.sent - CASES[name].sent) for name, met in found.items()),
        complaints_of_the_judge=sum(len(met.complaints) for met in found.values()),
        ended_well_when_mended=sum(met.mended == "completed" for met in found.values()),
    )
    assert found == wanted
