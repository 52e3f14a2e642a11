"""One whole run against one fault: what is counted of it, until it is mended and has ended well.

The faults are `raw_faults.py`, what has to hold over all of them is `test_provider_runs.py`.
"""

from __future__ import annotations

import re
import ssl
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import msgspec
from raw_faults import Row
from raw_provider import POISON, RawProvider
from real_mode import KEY, SHORT, opened, request, settings, stopped_as

from orchestrator_v2 import Orchestrator
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.events import Recorded, TaskCompleted, TaskFailed
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.provider import Timeouts

# Long enough for two busy cores, short enough for a hundred silences.
PATIENCE = Timeouts(connect=5.0, idle=0.8, total=2.0)


class Seen(msgspec.Struct, frozen=True):
    """What a fault did to a run: to be compared with what its row says, field by field.

    That nobody trusts a certificate is not mended: `mended` is then as it was.
    """

    status: str
    code: str
    sent: int
    costs: frozenset[str]
    says: bool
    parked_for: bool
    poison: int = 0
    keys: int = 0
    mended: str = ""
    asked_twice: int = 0


def expected(row: Row) -> Seen:
    mended = "failed" if row.tls else "completed"
    return Seen(row.status, row.code, row.sent, frozenset(row.cost.split(" and ")), True, True, mended=mended)


async def run_against(row: Row, home: Path, untrusted: ssl.SSLContext) -> Seen:
    """A run that meets the fault, stops, and is taken up again by another process when the provider is well."""
    tls = untrusted if row.tls else None
    async with RawProvider(row.attack, after=row.after, tls=tls) as provider:
        async with _open(home, provider) as orchestrator:
            began = time.time()
            state = await orchestrator.run(request(workflow=SHORT))
            first = await stopped_as(orchestrator, state)
            run_id = state.run_id
            events = await orchestrator.events(run_id)
            calls = await orchestrator.calls(run_id)
            bodies = await _kept(orchestrator, run_id)
        failed = [entry.event for entry in events if isinstance(entry.event, TaskFailed)]
        read = " ".join(f"{event.what} {event.why} {event.do}" for event in failed)
        sent, provider.attack = provider.spoilt, None
        async with _open(home, provider) as later:
            mended = await stopped_as(later, await _mended(later, state, row))
            bodies += await _kept(later, run_id)
            recorded = await later.events(run_id)
        return Seen(
            status=first,
            code=failed[-1].code if failed else "",
            sent=sent,
            costs=frozenset(_cost(call) for call in calls[row.after :]),
            says=bool(re.search(row.says, read)),
            parked_for=_parked_for(row, state.resume_at, began, events),
            poison=sum(POISON.encode() in body for body in bodies),
            keys=(repr(recorded) + repr(calls) + repr(bodies)).count(KEY),
            mended=mended,
            asked_twice=sum(count - 1 for count in provider.good.values()),
        )


async def _mended(orchestrator: Orchestrator, state: ProjectState, row: Row) -> ProjectState:
    """The run's end; one that took itself for completed has it already, rightly or not."""
    if state.status == "completed":
        return state
    if row.code == "refusal":
        return await orchestrator.retry(state.run_id, "second")
    return await orchestrator.resume(state.run_id)


async def _kept(orchestrator: Orchestrator, run_id: str) -> list[bytes]:
    """All that a run has made so far: its files, and what its tasks said that they did."""
    files = [await orchestrator.read(run_id, path) for path in await orchestrator.artifacts(run_id)]
    said = [entry.event for entry in await orchestrator.events(run_id) if isinstance(entry.event, TaskCompleted)]
    return [*files, *(repr(event).encode() for event in said)]


def _open(home: Path, provider: RawProvider) -> AbstractAsyncContextManager[Orchestrator]:
    loaded = settings(home, base_url=provider.base_url)
    environ = {name: secret.reveal() for name, secret in loaded.keys.items()}
    factory = LLMFactory(
        clock=SystemClock(), random=Random(1), environ=environ, catalog=loaded.catalog, timeouts=PATIENCE
    )
    return opened(home, provider, parts={"factory": factory})  # type: ignore[arg-type]


def _cost(call: CallRow) -> str:
    if call.outcome == "done":
        return "paid"
    return {0: "free", call.reserved: "kept"}.get(call.charged, f"{call.outcome} {call.charged}")


def _parked_for(row: Row, resume_at: float | None, began: float, events: list[Recorded]) -> bool:
    """Whether the run waits as long as it was told to, within ten minutes; a short pause is waited out in the run."""
    if row.waits <= 120:
        waited = events[-1].at - events[0].at
        return waited >= row.waits * (row.sent - 1)
    return resume_at is not None and abs(resume_at - began - row.waits) < 600
