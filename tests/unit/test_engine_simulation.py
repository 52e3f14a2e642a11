"""Runs under a seed: random graphs, results, signals, kills, take-overs and failing writes, held to the run's laws.

There is no real time in it: the test is the scheduler, one step of the loop at a time, so a seed tells one story and
a walk that waits for nothing is seen as one that has used up its steps.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from run_laws import Laws, random_phases

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    BudgetExceededError,
    FencedError,
    InvalidOutputError,
    RateLimitedError,
    StoreError,
    StoreUnavailableError,
)
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.durable.embedded import Walk
from orchestrator_v2.engine.engine import LEASE
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Claim, Journal, RunContext
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import (
    SETTLED,
    TERMINAL,
    OutputFile,
    PhaseStatus,
    ProjectState,
    RunStatus,
    TaskDefinition,
    TaskOutcome,
)
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.testing.engines import Bench

# A walk of nine phases takes some hundred steps; one that has not ended after so many never will.
STEPS = 4000
# After so many lives nothing goes wrong any more, and the run has to end.
TROUBLED = 20
LIVES = 60
# A block is what one of the workers of a test run does at a time.
SEEDS, BLOCK = 2_000, 250
# What has to have happened in a block, a tenth as often as there are seeds at least.
WANTED = (
    "killed",
    "taken over",
    "fenced",
    "write failed",
    "gate failed",
    "rejected",
    "pause",
    "gone back",
    "error",
    "clock moved",
    "waited",
    "turns",
)


class ShakyJournal:
    """Appends that are acknowledged late, and some that fail and write nothing."""

    def __init__(self, journal: Journal, world: World) -> None:
        self._journal = journal
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, claim: Claim, events: Sequence[e.Recorded], **parts: Any) -> None:
        source = self._world.source
        if self._world.happens(0.01, "write failed"):
            raise StoreUnavailableError("The database was away.")
        try:
            await self._journal.append(claim, events, **parts)
        except FencedError:
            self._world.seen["fenced"] += 1
            raise
        for _ in range(source.choice((0, 0, 1, 3, 8))):
            await asyncio.sleep(0)


class World:
    """One run, the workers that drive it one after the other (and some that do not know yet), and what happened."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.troubled = True
        self.clock = ManualClock()
        self.claimed_until = [self.clock.now() + LEASE]
        self.phases = random_phases(self.source, reviewed=self.source.random() < 0.6)
        self.graph = PhaseGraph(Workflow("test", tuple(self.phases)))
        self.strays: list[tuple[Walk, asyncio.Task[None]]] = []

    def happens(self, chance: float, what: str) -> bool:
        """Draws whether a trouble happens, and counts it."""
        drawn = self.troubled and self.source.random() < chance
        self.seen[what] += drawn
        return drawn

    async def run_task(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        assert all(context.state.phase(need).status in SETTLED for need in task.phase.needs), task.key
        self.seen["tasks"] += 1
        for _ in range(self.source.choice((0, 1, 2, 5, 20))):
            await asyncio.sleep(0)
        if self.happens(0.2, "gate failed"):
            return TaskOutcome("no", files=(OutputFile(task.phase.id, b"bad"),), failures=("bad",))
        for error in (BudgetExceededError("x"), InvalidOutputError("x"), ValueError("x"), RateLimitedError("x")):
            if self.happens(0.02, "error"):
                raise error
        return TaskOutcome("ok", files=(OutputFile(task.phase.id, task.key.encode()),))

    async def walk_to_its_end(self) -> ProjectState:
        self.journal = ShakyJournal(await open_journal("memory:", clock=self.clock), self)
        self.bench = Bench(self.journal, self.run_task, self.clock)  # type: ignore[arg-type]
        session: RunSession | None = await self.bench.start(self.phases, parallelism=self.source.randint(1, 4))
        assert session is not None
        run_id = session.state.run_id
        self.laws = Laws(self.graph, run_id)
        for life in range(LIVES):
            self.troubled = life < TROUBLED
            if session is not None:
                await self.live(session)
            state = await self.what_happened()
            await self.comes_up_when_due(state)
            await self.journal.blobs([it.hash for phase in state.phases.values() for it in phase.artifacts])
            if state.status in {RunStatus.COMPLETED, RunStatus.CANCELLED} and not self.happens(0.3, "gone back"):
                break
            session = await self.next_life(run_id, state)
        await self.strays_end(run_id)
        assert await self.journal.events(run_id) == self.laws.events, "what was once read has changed"
        self.seen["turns"] += self.laws.queue.overtakings_looked_for
        state = await self.bench.engine.state(run_id)
        assert state == self.laws.state
        return state

    async def what_happened(self) -> ProjectState:
        """The state that the events make; those that are new are held to the laws."""
        held = self.laws.state
        return self.laws.hold(await self.journal.events(held.run_id, held.seq))

    async def live(self, session: RunSession) -> None:
        """One worker's time with the run: until the walk ends, it is killed, or another worker takes the run."""
        walk = Walk(session)
        drive = asyncio.create_task(walk.run())
        watcher: asyncio.Task[None] | None = None
        drained = False
        for _ in range(STEPS):
            await asyncio.sleep(0)
            if drive.done():
                break
            if watcher is None or watcher.done():
                heard = self.source.choice([walk, walk, *(stray for stray, _ in self.strays)])
                watcher = asyncio.create_task(heard.attempt_receive()) if self.source.random() < 0.2 else None
            await self.somebody_wishes(session.state)
            if self.happens(0.003, "taken over"):
                self.strays.append((walk, drive))
                return
            if self.happens(0.006, "killed"):
                drive.cancel()
            if self.happens(0.002, "drained"):
                drained = True
                walk.stop()
        assert drive.done(), f"hangs: {walk.session.state.status}"
        await self.said_why(drive, session, drained)

    async def somebody_wishes(self, seen: ProjectState) -> None:
        run_id, waits = seen.run_id, PhaseStatus.WAITING_REVIEW
        if self.source.random() < 0.05 and any(phase.status is waits for phase in seen.phases.values()):
            await self.review(run_id)
        if self.happens(0.003, "pause"):
            await self.journal.send_signal(run_id, "pause", b"{}")
        if self.happens(0.01, "clock moved"):
            self.clock.advance(self.source.choice((-3_600.0, -1.0, 1.0, 31.0, 61.0, 90_000.0)))
        if self.happens(0.0005, "cancel"):
            await self.journal.send_signal(run_id, "cancel", b"{}")
        if self.happens(0.002, "unknown signal"):
            await self.journal.send_signal(run_id, "dance", b"")

    async def review(self, run_id: str) -> None:
        state = await self.bench.engine.state(run_id)
        for name in self.graph.order if state.status not in TERMINAL else ():
            phase = state.phase(name)
            if phase.status is PhaseStatus.WAITING_REVIEW:
                approved = not self.happens(0.3, "rejected")
                await self.bench.engine.decide(
                    run_id, name, approved=approved, by="me", content=phase.reviewed, reason="no"
                )

    async def said_why(self, drive: asyncio.Task[None], session: RunSession, drained: bool) -> None:
        """A walk that came back by itself left the run at an end, or where it says what it waits for."""
        if drive.cancelled():
            return
        error = drive.exception()
        if error is not None:
            assert isinstance(error, StoreUnavailableError), error
            return
        state = await self.what_happened()
        row = await self.journal.run(state.run_id)
        assert state == session.state
        assert row.status == state.status
        if not drained:
            assert state.status is not RunStatus.RUNNING
            assert state.stopped or state.status in TERMINAL
            assert "the graph is not done" not in state.stopped, "a lost wake-up"
            under_way = [name for name, phase in state.phases.items() if phase.status is PhaseStatus.RUNNING]
            assert not under_way or state.status in TERMINAL, under_way

    async def next_life(self, run_id: str, state: ProjectState) -> RunSession | None:
        """The run in another worker's hands; None when that one could not write its first word."""
        engine, name = self.bench.engine, self.source.choice(self.phases).id
        if not self.troubled:
            await self.review(run_id)
        session = await self.bench.reopen(run_id)
        self.claimed_until.append(self.clock.now() + LEASE)
        over = state.status in {RunStatus.COMPLETED, RunStatus.CANCELLED}
        try:
            if over or self.happens(0.1, "gone back"):
                if self.source.random() < 0.5:
                    await engine.rollback(session, name, {})
                else:
                    await engine.retry(session, name, by="me")
            elif state.status in {RunStatus.RUNNING, RunStatus.WAITING_REVIEW}:
                await engine.recover(session)
            else:
                await engine.resume(session, by="me")
        except StoreUnavailableError:
            return None
        return session

    async def comes_up_when_due(self, state: ProjectState) -> None:
        """A run that waits for its provider is found once that moment is there, and not before."""
        if state.status is not RunStatus.WAITING_PROVIDER:
            return
        assert state.resume_at is not None
        self.seen["waited"] += 1
        after = max(state.resume_at, *self.claimed_until)  # this worker's claim is not given back
        found = [await self.journal.due(at) for at in (state.resume_at - 0.5, after)]
        assert found == [[], [(state.run_id, "local")]], state.resume_at

    async def strays_end(self, run_id: str) -> None:
        """Workers that lost the run find that out, and not a word of theirs is in it."""
        before = await self.journal.events(run_id)
        for _ in range(STEPS):
            if all(drive.done() for _, drive in self.strays):
                break
            await asyncio.sleep(0)
        for _, drive in self.strays:
            assert drive.done(), "a worker without a run hangs"
            error = None if drive.cancelled() else drive.exception()
            assert error is None or isinstance(error, StoreError), error
        assert await self.journal.events(run_id) == before


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_every_run_comes_to_an_end_and_keeps_its_laws(block: int, caplog: pytest.LogCaptureFixture) -> None:
    """Two thousand runs: no start before its needs, one result a round, no gap, no turn lost; each ends or says why."""
    caplog.set_level(logging.CRITICAL, "orchestrator_v2")
    seen, ended = Counter[str](), Counter[str]()
    for seed in range(block * BLOCK, block * BLOCK + BLOCK):
        world = World(seed)
        try:
            state = asyncio.run(asyncio.wait_for(world.walk_to_its_end(), 60))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        assert state.status in {RunStatus.COMPLETED, RunStatus.CANCELLED}, f"seed {seed}: {state.stopped}"
        seen.update(world.seen)
        ended[state.status.value] += 1
    assert ended["completed"] >= 0.7 * BLOCK
    assert seen["tasks"] >= 8 * BLOCK
    assert all(seen[trouble] >= 0.1 * BLOCK for trouble in WANTED), seen
