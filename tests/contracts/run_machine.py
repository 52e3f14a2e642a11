"""Everything that may happen to runs, in any order, and what a user may expect of them after each thing.

The workers, the database's faults and the provider are `run_world.py`; the laws of a run's events `run_laws.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, ClassVar, TypeVar

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from run_laws import Laws, random_phases
from run_world import Worker, World
from virtual_time import VirtualTimeLoop

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import RunStateError, StoreUnavailableError
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.persistence.journal import open_journal

T = TypeVar("T")
# Nano-dollars: a call reserves about two million and costs a part of that.
BUDGETS = (None, 1_000_000, 4_000_000, 9_000_000)
MORE = 40_000_000
MOST_RUNS = 4
OVER = frozenset({RunStatus.COMPLETED, RunStatus.CANCELLED})
GOES_ON = frozenset({RunStatus.RUNNING, RunStatus.WAITING_REVIEW})
any_number = st.integers(0, 11)


class Known:
    """What the model knows of a run: that it was accepted, the most that it may spend, and its events so far."""

    def __init__(self, run_id: str, graph: PhaseGraph, budget: int | None) -> None:
        self.run_id = run_id
        self.laws = Laws(graph, run_id)
        self.budget = budget
        self.cancelled = False


class RunMachine(RuleBasedStateMachine):
    """`url`, `ids` and `seen` are given by `machine_on`; the database may be used by many machines after each other."""

    url: ClassVar[str]
    ids: ClassVar[CountingIds]
    seen: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        # In memory nothing but the loop works, so that time can be the loop's own and a story is told the same twice.
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop if self.url == "memory:" else None)
        self.known: list[Known] = []
        self.do(self._open())

    async def _open(self) -> None:
        clock = ManualClock()
        self.journal = await open_journal(self.url, clock=clock, durability="normal")
        self.world = World(self.journal, clock, self.ids, self.seen)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def then(self, what: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """A step of somebody whose database may be away: what fails so is not done, and nothing else may fail."""

        async def step() -> None:
            try:
                done = await work()
                self.seen[what] += done is not False
                event(what)
            except StoreUnavailableError:
                self.seen[f"{what}: database away"] += 1
            await self.world.calm()

        self.do(step())

    def worker(self, number: int) -> Worker:
        return self.world.workers[number % len(self.world.workers)]

    def run(self, number: int) -> Known:
        return self.known[number % len(self.known)]

    def busy(self, number: int) -> Worker:
        """One that has a run under way, where there is one: what happens to the others shows little."""
        busy = [worker for worker in self.world.workers if worker.under_way()] or self.world.workers
        return busy[number % len(busy)]

    # What a user does.

    @precondition(lambda self: len(self.known) < MOST_RUNS)
    @rule(
        number=any_number,
        seed=st.integers(0, 200),
        budget=st.sampled_from(BUDGETS),
        parallelism=st.integers(1, 3),
        held=st.booleans(),
    )
    def create(self, number: int, seed: int, budget: int | None, parallelism: int, held: bool) -> None:
        self.hold(held)
        graph = PhaseGraph(Workflow("test", tuple(random_phases(Random(seed)))))
        run_id = self.ids.new("run")
        new = NewRun(
            name="test",
            brief="a brief",
            graph=graph,
            mode="real",
            budget=budget,
            parallelism=parallelism,
            run_id=run_id,
        )
        known = Known(run_id, graph, budget)

        async def work() -> None:
            worker = self.worker(number)
            try:
                worker.drive(await worker.engine.create_project(new))
            finally:
                # Accepted, or committed before the answer was lost: both must be kept.
                if await self.journal.run(run_id) is not None:
                    self.known.append(known)

        self.then("create", work)

    def hold(self, held: bool) -> None:
        """Whether the provider keeps its answers to itself from now on."""
        (self.world.provider.open.clear if held else self.world.provider.open.set)()

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, held=st.booleans())
    def take_up(self, number: int, which: int, held: bool) -> None:
        """As the keeper does: only what could go on by itself."""
        self.hold(held)

        def goes_on(state: ProjectState) -> bool:
            waited = state.status is RunStatus.WAITING_PROVIDER and (state.resume_at or 0) <= self.world.clock.now()
            return state.status in GOES_ON or waited

        self._open_and("take up", number, which, goes_on, lambda worker, session: worker.engine.recover(session))

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, more=st.booleans())
    def resume(self, number: int, which: int, more: bool) -> None:
        """A person goes on with it, with more money where that is wanted."""
        known = self.run(which)
        budget = None if known.budget is None or not more else known.budget + MORE

        async def go_on(worker: Worker, session: RunSession) -> None:
            known.budget = budget or known.budget
            self.seen["budget raised"] += budget is not None
            await worker.engine.resume(session, by="me", budget=budget)

        self._open_and("resume", number, which, lambda state: state.status not in OVER, go_on)

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, phase=any_number, held=st.booleans())
    def retry(self, number: int, which: int, phase: int, held: bool) -> None:
        self.hold(held)

        async def again(worker: Worker, session: RunSession) -> None:
            await worker.engine.retry(session, self._phase(which, phase), by="me")

        self._open_and("retry", number, which, lambda state: bool(state.phases), again)

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, phase=any_number)
    def rollback(self, number: int, which: int, phase: int) -> None:
        async def back(worker: Worker, session: RunSession) -> None:
            await worker.engine.rollback(session, self._phase(which, phase), {})

        self._open_and("rollback", number, which, lambda state: bool(state.phases), back)

    def _phase(self, which: int, phase: int) -> str:
        order = self.run(which).laws.graph.order
        return order[phase % len(order)]

    def _open_and(
        self,
        what: str,
        number: int,
        which: int,
        may: Callable[[ProjectState], bool],
        begin: Callable[[Worker, RunSession], Coroutine[Any, Any, None]],
    ) -> None:
        async def work() -> bool:
            worker, run_id = self.worker(number), self.run(which).run_id
            session = None if run_id in worker.under_way() else await worker.engine.open(run_id)
            if session is None:
                self.seen["somebody else has it"] += 1
                return False
            if not may(session.state):
                await worker.journal.release(session.claim)
                return False
            await begin(worker, session)
            worker.drive(session)
            return True

        self.then(what, work)

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, kind=st.sampled_from(("cancel", "pause", "pause", "pause")))
    def wish(self, number: int, which: int, kind: str) -> None:
        known = self.run(which)

        async def work() -> bool:
            try:
                known.cancelled = known.cancelled or kind == "cancel"
                await self.worker(number).engine.wish(known.run_id, kind, by="me")
            except RunStateError:
                return False
            await asyncio.sleep(0.003)  # whoever drives it asks for signals now and then
            return True

        self.then(kind, work)

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number, approved=st.booleans())
    def review(self, number: int, which: int, approved: bool) -> None:
        async def work() -> bool:
            return await self._review(self.worker(number), self.run(which).run_id, approved)

        self.then("approve" if approved else "reject", work)

    async def _review(self, worker: Worker, run_id: str, approved: bool) -> bool:
        state = await worker.engine.state(run_id)
        if state.status in TERMINAL:
            return False
        waits = [(name, it) for name, it in state.phases.items() if it.status is PhaseStatus.WAITING_REVIEW]
        for name, entry in waits:
            await worker.engine.decide(
                run_id, name, approved=approved, by="me", content=entry.reviewed, reason="no" * (not approved)
            )
        await asyncio.sleep(0.003)
        return bool(waits)

    # What goes wrong.

    @precondition(lambda self: self.known)
    @rule(number=any_number)
    def kill(self, number: int) -> None:
        """The process is gone, and another stands in its place; its claims stay until they run out."""

        async def work() -> None:
            worker = self.busy(number)
            self.world.workers[self.world.workers.index(worker)] = self.world.hired()
            await worker.die()

        self.then("kill", work)

    @precondition(lambda self: self.known)
    @rule(number=any_number, which=any_number)
    def taken_back(self, number: int, which: int) -> None:
        """Somebody holds the run's worker for dead, rightly or not, and goes on with the run."""

        async def work() -> bool:
            robbed = self.busy(number)
            held = robbed.under_way() or [self.run(which).run_id]
            run_id = held[which % len(held)]
            holder = await self.journal.holder(run_id)
            worker = next(it for it in self.world.workers if it is not robbed)
            # One that was robbed of the run itself may not have noticed yet, and drives a run once.
            if not holder or holder == worker.name or run_id in worker.under_way():
                return False
            self.world.gone.add(holder)
            try:
                session = await worker.engine.open(run_id)
            finally:
                self.world.gone.clear()
            if session is None:
                # On a database the others go on while it is asked: the run may have changed hands meanwhile.
                assert await self.journal.holder(run_id) != holder, "nobody takes it from one that is gone"
                return False
            if session.state.status in GOES_ON:
                await worker.engine.recover(session)
                worker.drive(session)
            return True

        self.then("taken back", work)

    @rule(seconds=st.sampled_from((-3_600.0, 1.0, 31.0, 400.0, 90_000.0)))
    def clock_moves(self, seconds: float) -> None:
        async def work() -> None:
            self.world.clock.advance(seconds)
            await asyncio.sleep(0.003)

        self.then("clock back" if seconds < 0 else "clock on", work)

    @precondition(lambda self: self.known)
    @rule(calls=st.integers(1, 4))
    def database_goes_away(self, calls: int) -> None:
        self.world.away = calls

    @precondition(lambda self: self.known)
    @rule()
    def an_answer_is_lost(self) -> None:
        self.world.deaf = 1

    @rule(held=st.booleans())
    def provider_is_slow(self, held: bool) -> None:
        async def work() -> None:
            self.hold(held)

        self.then("provider held" if held else "provider let go", work)

    @precondition(lambda self: self.known)
    @rule(full=st.booleans())
    def work_goes_wrong(self, full: bool) -> None:
        if full:
            self.world.provider.full = 1
        else:
            self.world.bad_work = 1

    # What must hold.

    @invariant()
    def keeps_its_word(self) -> None:
        self.do(self._look())

    async def _look(self) -> None:
        assert not self.world.broken, self.world.broken[0]
        for known in self.known:
            state = await self._state(known)
            assert state.status is not RunStatus.CANCELLED or known.cancelled, "nobody wanted that"
            assert known.budget is None or (state.budget or 0) <= known.budget, "money that nobody gave"
            await self._agree(known)

    async def _agree(self, known: Known) -> None:
        """Row, events and ledger say the same; they are read one after the other, so a worker may get in between."""
        for more in reversed(range(40)):
            try:
                row = await self.journal.run(known.run_id, owner_id="local")
                assert row is not None, f"{known.run_id} was accepted, and is lost"
                status = (await self._state(known)).status
                assert row.status == status, f"{known.run_id}: the row says {row.status}, its events {status}"
                await self._money(known, row.spent)
                break
            except AssertionError:
                if not more or self.url == "memory:":
                    raise
                await asyncio.sleep(0.005)

    async def _money(self, known: Known, spent: int | None) -> None:
        rows = await self.journal.recorded_calls(known.run_id)
        said = [row.reserved if row.outcome == "intent" else row.charged for row in rows]
        counted = sum(amount for amount in said if amount is not None)
        assert None not in said
        assert spent == counted, f"{known.run_id}: the row says {spent}, its calls {counted}"
        assert known.budget is None or counted <= known.budget, f"{known.run_id}: {counted} of {known.budget}"
        cheapest = min((row.charged for row in rows if row.outcome == "done" and row.charged), default=0)
        assert counted >= cheapest * self.world.provider.answered[known.run_id], "less is booked than was billed"
        for (run_id, name), sent in self.world.provider.sent.items():
            if run_id == known.run_id:
                begun = [row for row in rows if row.key == f"{run_id}/{name}"]
                assert sent <= len(begun), f"{name} of {run_id} was sent {sent} times"
                assert [row.outcome for row in begun].count("done") <= 1, begun

    def teardown(self) -> None:
        try:
            self.do(self._everything_ends())
        finally:
            self.do(self._close())
            self.runner.close()

    async def _everything_ends(self) -> None:
        """With nothing going wrong any more, what was not cancelled comes to its end."""
        world = self.world
        world.away = world.deaf = world.provider.full = world.bad_work = 0
        world.provider.open.set()
        await world.calm()
        for known in self.known:
            for _ in range(40):
                world.clock.advance(100_000.0)
                await asyncio.sleep(0.002)
                if (await self._state(known)).status in OVER:
                    break
                await self._step(known, world.hired())
            state = await self._state(known)
            assert state.status in OVER, f"{known.run_id} does not end: {state.status} {state.stopped}"
            self.seen[f"ended {state.status}"] += 1
            event(f"ended {state.status}")
        await self._look()

    async def _state(self, known: Known) -> ProjectState:
        return known.laws.hold(await self.journal.events(known.run_id, known.laws.state.seq))

    async def _step(self, known: Known, worker: Worker) -> None:
        """As far as it goes now: reviews are given, money is there, and whoever had the run is out of time."""
        await self._review(worker, known.run_id, approved=True)
        session = await worker.engine.open(known.run_id)
        if session is None:
            return
        if session.state.status in GOES_ON:
            await worker.engine.recover(session)
        else:
            known.budget = None if known.budget is None else known.budget + MORE
            await worker.engine.resume(session, by="me", budget=known.budget)
        worker.drive(session)
        drive = worker.drives[known.run_id]
        await asyncio.wait([drive], timeout=30)
        assert drive.done(), f"{known.run_id} hangs"
        drive.result()

    async def _close(self) -> None:
        await self.world.end()
        await self.journal.close()


def machine_on(database: str) -> type[RunMachine]:
    """A machine whose runs lie in `database`; `seen` counts what happened in all its examples."""
    return type("Machine", (RunMachine,), {"url": database, "ids": CountingIds(), "seen": Counter()})
