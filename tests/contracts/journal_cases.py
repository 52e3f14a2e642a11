"""Small builders for the journal's tests: rows, events, calls, and one journal opened for one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestrator_v2.core.clock import Clock, ManualClock
from orchestrator_v2.core.events import Event, Recorded, TaskCompleted
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.engine.ports import Claim, RunRow
from orchestrator_v2.llm.ledger import CallIntent
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

T = TypeVar("T")


def row(run_id: str = "run_a", **changes: Any) -> RunRow:
    values: dict[str, Any] = {
        "run_no": 0,
        "project_id": "prj_a",
        "owner_id": "ann",
        "name": "a timer",
        "workflow": "default",
        "mode": "simulated",
        "status": "running",
        "created_at": 10.0,
        "updated_at": 10.0,
    }
    return RunRow(run_id=run_id, **(values | changes))


def at(seq: int, event: Event | None = None) -> Recorded:
    return Recorded(seq, 100.0 + seq, event or TaskCompleted("development", result=f"result {seq}"))


def intent(key: str = "development/act/1", request: str = "h1", reserved: int | None = 10) -> CallIntent:
    return CallIntent(key, request, "anthropic", "a-model", reserved)


async def new_run(journal: StoredJournal, run_id: str = "run_a", **changes: Any) -> Claim:
    return await journal.create_run(row(run_id, **changes), [at(1)], {}, owner="w1", lease=30)


def with_journal(
    url: str,
    work: Callable[[StoredJournal], Awaitable[T]],
    *,
    clock: Clock | None = None,
    probe: Probe = no_probe,
) -> T:
    """Opens the journal at `url` on a new loop, does `work` with it, and closes it."""

    async def whole() -> T:
        journal = await open_journal(url, clock=clock or ManualClock(), probe=probe)
        try:
            return await work(journal)
        finally:
            await journal.close()

    return asyncio.run(whole())
