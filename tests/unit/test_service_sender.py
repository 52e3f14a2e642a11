"""A server whose runs workers drive: what it tells them, once each, and that nothing it says has to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from walk_cases import HeldJournal, Watched, orchestrator_over

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import DriverUnavailableError
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.service.sender import Sender
from orchestrator_v2.testing.engines import Bench

A = [Phase("a", "developer")]


class Told:
    """Takes note of what is told; `away` is a Temporal that does not answer."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.runs: list[tuple[str, str]] = []

    async def check(self) -> None:
        if self.away:
            raise DriverUnavailableError("Temporal does not answer.")

    async def tell(self, run_id: str, kind: str, owner_id: str) -> None:
        await self.check()
        self.runs.append((run_id, kind))


def on(told: Told, work: Callable[[Sender, Bench, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, runner = SystemClock(), Watched()
        journal = HeldJournal(await open_journal("memory:", clock=clock))
        engine, orchestrator = await orchestrator_over(journal, runner, clock)  # type: ignore[arg-type]
        bench = Bench(journal, runner, clock)  # type: ignore[arg-type]
        bench.engine = engine
        await work(Sender(orchestrator, told), bench, orchestrator)
        assert runner.keys == []

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_run_is_given_back_and_told_of() -> None:
    """Nothing is driven here: the claim is free for a worker, who is told."""
    told = Told()

    async def work(sender: Sender, bench: Bench, orchestrator: Any) -> None:
        session = await bench.start(A)
        await sender.take(session)
        await sender.stop()
        assert told.runs == [(session.state.run_id, "driven")]
        assert await bench.journal.holder(session.state.run_id) == ""

    on(told, work)


def test_a_look_tells_of_each_run_that_waits_once() -> None:
    """A run begun in the background is told of; looking again repeats nothing."""
    told = Told()

    async def work(sender: Sender, bench: Bench, orchestrator: Any) -> None:
        runs = []
        for _ in range(2):
            session = await bench.start(A)
            await orchestrator.put_by(session)
            runs.append((session.state.run_id, "driven"))
            sender.look()
            await asyncio.sleep(0.02)
        assert told.runs == runs

    on(told, work)


def test_a_cancel_is_taken_here_whether_or_not_temporal_answers() -> None:
    """It waits for nobody's turn, and a telling that fails is logged and no more."""
    told = Told(away=True)

    async def work(sender: Sender, bench: Bench, orchestrator: Any) -> None:
        session = await bench.start(A)
        await sender.take(session)
        sender.attend(await orchestrator.wish(session.state.run_id, "cancel", by="ann"))
        await sender.stop()
        assert (await orchestrator.row(session.state.run_id)).status == RunStatus.CANCELLED

    on(told, work)
