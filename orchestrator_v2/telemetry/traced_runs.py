"""A run's drive and its tasks as spans: each stands around the part that does the work.

An agent's work is `agents/traced_agent.py`, a model call `llm/wrappers/traced.py`; without tracing none is there.
"""

from __future__ import annotations

from typing import Protocol

from orchestrator_v2.core.events import RunFailed
from orchestrator_v2.core.tracing import Span, Tracer, Value, total_attributes
from orchestrator_v2.engine.ports import RunContext, TaskRunner
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition, TaskOutcome

_WORKFLOW = "invoke_workflow"


class Driver(Protocol):
    async def drive(self, session: RunSession) -> ProjectState: ...

    def stop(self) -> None: ...


class TracedDriver:
    """`driver` with a trace for each drive, which outlives the request or command that asked for it.

    `tasks` puts a span around each task. It is placed by its run's id and not by where it was started: the driver
    starts some from what listens for signals, and that was begun by whichever run came first.
    """

    def __init__(self, driver: Driver, tracer: Tracer) -> None:
        self._driver = driver
        self._tracer = tracer
        self._under_way: dict[str, Span] = {}

    async def drive(self, session: RunSession) -> ProjectState:
        run_id, name = session.state.run_id, session.state.begun.workflow.name
        if run_id in self._under_way:
            return await self._driver.drive(session)  # which refuses it: one run has one drive
        carried = _of_run(session.state)
        operation = {"gen_ai.operation.name": _WORKFLOW}
        with self._tracer.span(f"{_WORKFLOW} {name}", operation, carried=carried, root=True) as span:
            self._under_way[run_id] = span
            try:
                return await self._driver.drive(session)
            finally:
                del self._under_way[run_id]
                _tell_end(span, session)

    def stop(self) -> None:
        self._driver.stop()

    def tasks(self, runner: TaskRunner) -> TaskRunner:
        """`runner` with a span around each task. A replay is no drive: each of its tasks is a trace of its own."""

        async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
            carried = _of_run(context.state) | {
                "orchestrator.phase": task.phase.id,
                "orchestrator.round": task.round,
                "orchestrator.attempt": task.attempt,
            }
            agent = {"orchestrator.agent": task.phase.agent}
            parent = self._under_way.get(task.run_id)
            with self._tracer.span(f"phase {task.phase.id}", agent, carried=carried, parent=parent) as span:
                outcome = await runner(task, context)
                span.set(_of_outcome(outcome))
                return outcome

        return run


def _of_run(state: ProjectState) -> dict[str, Value]:
    begun = state.begun
    return {
        "gen_ai.workflow.name": begun.workflow.name,
        "orchestrator.run.id": state.run_id,
        "orchestrator.project.id": begun.project_id,
        "orchestrator.mode": begun.mode,
    }


def _of_outcome(outcome: TaskOutcome) -> dict[str, Value]:
    missed = sum(not receipt.passed for receipt in outcome.receipts)
    return total_attributes(outcome.usage) | {
        "orchestrator.made_by": outcome.provenance.kind,
        "orchestrator.files": len(outcome.files),
        "orchestrator.gate.failures": len(outcome.failures) + missed,
    }


def _tell_end(span: Span, session: RunSession) -> None:
    """How the run stands after the drive; its totals are those of all drives so far."""
    state = session.state
    span.set({**total_attributes(state.usage), "orchestrator.run.status": state.status.value})
    if isinstance(session.stop, RunFailed):
        span.failed({"error.type": session.stop.code, "orchestrator.error.code": session.stop.code})
