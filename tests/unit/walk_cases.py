"""For tests of walks: a journal whose appends can be held back or refused, and small steps of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.durable.embedded import Walk
from orchestrator_v2.engine.ports import Claim, Journal, RunContext
from orchestrator_v2.engine.state_models import SETTLED, TaskDefinition, TaskOutcome
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.testing.engines import Bench, Runner

Answer = Callable[[TaskDefinition], TaskOutcome]


def word(event: e.Event) -> str:
    """An event in a word or two: `TaskCompleted build`, `RunParked`."""
    return f"{e.event_type(event)} {getattr(event, 'phase', '')}".strip()


class HeldJournal:
    """The in-memory journal behind three doors that a test opens and closes.

    An append with an event named in `refused` (see `word`) fails once and writes nothing; one named in `held` is
    durable at once and acknowledged when that asyncio event is set. `consumed` in `held` is an append that takes a
    signal, `signals` the reading of them. `tried` has the words of every append.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.held: dict[str, asyncio.Event] = {}
        self.refused: dict[str, Exception] = {}
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(
        self, claim: Claim, events: Sequence[e.Recorded], *, consumed: Sequence[int] = (), **parts: Any
    ) -> None:
        words = [word(it.event) for it in events] + ["consumed"] * bool(consumed)
        self.tried += words
        for name in words:
            if name in self.refused:
                raise self.refused.pop(name)
        await self._journal.append(claim, events, consumed=consumed, **parts)
        for name in words:
            if name in self.held:
                await self.held[name].wait()

    async def signals(self, run_id: str) -> Any:
        found = await self._journal.signals(run_id)
        if found and "signals" in self.held:
            await self.held["signals"].wait()
        return found


class Watched:
    """A runner that keeps the keys of its tasks, and those that began before what they need was settled.

    `answers` has an answer for a task's key or phase, `gates` an asyncio event that the task waits for first.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.gates: dict[str, asyncio.Event] = {}
        self.keys: list[str] = []
        self.attempts: list[int] = []
        self.too_early: list[str] = []

    async def __call__(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        self.keys.append(task.key)
        self.attempts.append(task.attempt)
        self.too_early += [task.key for need in task.phase.needs if context.state.phase(need).status not in SETTLED]
        await asyncio.sleep(0)
        if task.key in self.gates:
            await self.gates[task.key].wait()
        answer = self.answers.get(task.phase.id)
        return answer(task) if answer else TaskOutcome("ok")


def bad_once(task: TaskDefinition) -> TaskOutcome:
    """An answer that fails its gate in the first round only."""
    return TaskOutcome("bad", failures=("it is wrong",)) if task.round == 1 else TaskOutcome("ok")


def raising(error: BaseException) -> Answer:
    def answer(task: TaskDefinition) -> TaskOutcome:
        raise error

    return answer


def held_bench(runner: Runner, work: Callable[[Bench, HeldJournal], Awaitable[None]]) -> None:
    """Does `work` on a bench over a held journal; five seconds without an end are a hang."""

    async def main() -> None:
        clock = SystemClock()
        journal = HeldJournal(await open_journal("memory:", clock=clock))
        await work(Bench(journal, runner, clock), journal)  # type: ignore[arg-type]

    asyncio.run(asyncio.wait_for(main(), 5))


async def quiet() -> None:
    """Lets everything go on that can go on by itself."""
    for _ in range(100):
        await asyncio.sleep(0)


async def walking(bench: Bench, phases: Sequence[Phase], **more: object) -> tuple[Walk, asyncio.Task[None]]:
    """A new run under way, without the watcher, until all of it waits for something."""
    walk = Walk(await bench.start(phases, **more))
    drive = asyncio.create_task(walk.run())
    await quiet()
    return walk, drive


async def killed(drive: asyncio.Task[Any]) -> None:
    """The worker dies here: nothing more is recorded of what was under way."""
    drive.cancel()
    await asyncio.gather(drive, return_exceptions=True)
    assert drive.cancelled()


async def orchestrator_over(journal: Journal, runner: Runner, clock: Clock, *, worker: str = "worker") -> Any:
    """An `Orchestrator` whose runs have no folder to be laid out in."""
    from orchestrator_v2.core.ids import CountingIds
    from orchestrator_v2.durable.embedded import EmbeddedDriver
    from orchestrator_v2.engine.engine import WorkflowEngine
    from orchestrator_v2.orchestrator import Orchestrator
    from orchestrator_v2.parts import Parts

    async def nothing(*_: object) -> Any:
        return []

    engine = WorkflowEngine(journal, runner, clock, CountingIds(), worker=worker)

    parts = Parts(
        abandon=nothing,  # type: ignore[arg-type]
        pack=nothing,
        engine=engine,
        journal=journal,
        driver=EmbeddedDriver(journal, clock),
        clock=clock,
        settle=lambda request: request,  # type: ignore[arg-type,return-value]
        lay_out=nothing,
        check_out=nothing,
        calls=nothing,
        estimate=nothing,  # type: ignore[arg-type]
        close=journal.close,
    )
    return engine, Orchestrator(parts)
