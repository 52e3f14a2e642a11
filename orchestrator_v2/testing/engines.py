"""An engine over a journal for tests: real walks with a task runner that the test writes.

The journal is the in-memory twin unless another is given; nothing here fakes the engine itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.engine.engine import NewRun, WorkflowEngine
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Journal, RunContext
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition, TaskOutcome
from orchestrator_v2.persistence.journal import open_journal

Runner = Callable[[TaskDefinition, RunContext], Awaitable[TaskOutcome]]


class Bench:
    """A journal, an engine and the embedded driver over one task runner; `told` collects what was committed."""

    def __init__(self, journal: Journal, runner: Runner, clock: Clock, *, worker: str = "worker") -> None:
        self.journal = journal
        self.told: list[Recorded] = []
        self.engine = WorkflowEngine(
            journal, runner, clock, CountingIds(), worker=worker, subscriber=lambda _, events: self.told.extend(events)
        )
        self.driver = EmbeddedDriver(journal, clock)

    async def start(self, phases: Sequence[Phase], **more: object) -> RunSession:
        """A new run of these phases, claimed and not driven yet."""
        new = NewRun(name="test", brief="a brief", graph=PhaseGraph(Workflow("test", tuple(phases))), **more)  # type: ignore[arg-type]
        return await self.engine.create_project(new)

    async def walk(self, phases: Sequence[Phase], **more: object) -> ProjectState:
        """A new run, driven until it ends or stands still."""
        return await self.driver.drive(await self.start(phases, **more))

    async def reopen(self, run_id: str) -> RunSession:
        """The run, claimed anew. Raises ValueError when somebody else has it."""
        session = await self.engine.open(run_id)
        if session is None:
            raise ValueError(f"{run_id} is claimed")
        return session


async def open_bench(runner: Runner, *, journal: Journal | None = None, clock: Clock | None = None) -> Bench:
    """A bench on the in-memory journal, or on the one given."""
    clock = clock or SystemClock()
    return Bench(journal or await open_journal("memory:", clock=clock), runner, clock)
