"""This project as a subject: the engine, the embedded driver and the SQLite journal, durability `full`.

The peer is `langgraph_peer.py`; the commands are `child.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from child import obey
from raw import Cost, Stopwatch
from subject import Shape, Step

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.events import TaskCompleted
from orchestrator_v2.core.ids import RandomIds
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.engine.engine import NewRun, WorkflowEngine
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Journal, RunContext
from orchestrator_v2.engine.state_models import RunStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.persistence.journal import open_journal


class Ours:
    imports = "import orchestrator_v2; orchestrator_v2.open_orchestrator, orchestrator_v2.RunRequest"

    def __init__(self, url: str = "") -> None:
        """`url` is the journal's; by default a SQLite file in the folder at hand."""
        self._url = url

    async def walk(self, folder: Path, shapes: Sequence[Shape], step: Step) -> Cost:
        journal = await self._journal(folder)
        engine, driver = _parts(journal, step)
        graphs = [_graph(shape) for shape in shapes]

        async def one(graph: PhaseGraph) -> RunStatus:
            new = NewRun(name="bench", brief="a brief", graph=graph, parallelism=max(1, len(graph.phases)))
            return (await driver.drive(await engine.create_project(new))).status

        watch = Stopwatch()
        statuses = await asyncio.gather(*(one(graph) for graph in graphs))
        cost = watch.read()
        await journal.close()
        if others := set(statuses) - {RunStatus.COMPLETED}:
            raise AssertionError(f"not all runs completed, some are {others}")
        return cost

    async def finished(self, folder: Path, shape: Shape) -> list[str]:
        journal = await self._journal(folder)
        run_id = (await journal.runs())[0].run_id
        events = await journal.events(run_id)
        await journal.close()
        return [entry.event.phase for entry in events if isinstance(entry.event, TaskCompleted)]

    async def resume(self, folder: Path, shape: Shape, step: Step) -> Cost:
        watch = Stopwatch()
        journal = await self._journal(folder)
        engine, driver = _parts(journal, step)
        session = await engine.open((await journal.runs())[0].run_id)
        if session is None:
            raise AssertionError("the killed worker's run could not be taken over")
        await engine.recover(session)
        status = (await driver.drive(session)).status
        cost = watch.read()
        await journal.close()
        if status is not RunStatus.COMPLETED:
            raise AssertionError(f"the resumed run is {status}")
        return cost

    async def _journal(self, folder: Path) -> Journal:
        return await open_journal(self._url or f"sqlite:///{folder / 'ours.db'}", clock=SystemClock())


def _parts(journal: Journal, step: Step) -> tuple[WorkflowEngine, EmbeddedDriver]:
    async def runner(task: TaskDefinition, context: RunContext) -> TaskOutcome:
        return TaskOutcome(result=await step(task.phase.id))

    clock = SystemClock()
    engine = WorkflowEngine(journal, runner, clock, RandomIds(), worker="bench", is_gone=lambda worker: True)
    return engine, EmbeddedDriver(journal, clock)


def _graph(shape: Shape) -> PhaseGraph:
    return PhaseGraph(Workflow("bench", tuple(Phase(task.name, "bench", needs=task.needs) for task in shape)))


if __name__ == "__main__":
    obey(Ours, sys.argv[1:])
