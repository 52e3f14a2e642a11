"""An agent's work as spans: one for its plan and one for each step of it, around whoever does the work.

A model call inside is `llm/wrappers/traced.py`, the task around it `telemetry/traced_runs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.base_agent import BaseAgent, StepWork
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan
from orchestrator_v2.core.tracing import Span, Tracer, Value, total_attributes
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.llm.wrappers.traced import model_attributes

_OPERATION = "invoke_agent"


class TracedAgent(BaseAgent):
    def __init__(self, inner: BaseAgent, tracer: Tracer) -> None:
        super().__init__(inner.role)
        self._inner = inner
        self._tracer = tracer

    async def initialize(self, project_state: ProjectState | None, context: AgentContext) -> None:
        await self._inner.initialize(project_state, context)

    async def plan_assignment(self, assignment: Assignment, context: AgentContext) -> AgentPlan:
        with self._span("plan", context) as span:
            plan = await self._inner.plan_assignment(assignment, context)
            span.set({**total_attributes(plan.usage), "orchestrator.plan.steps": len(plan.steps)})
            return plan

    def worker(self, plan: AgentPlan, assignment: Assignment, context: AgentContext) -> StepWork:
        work = self._inner.worker(plan, assignment, context)

        async def traced(number: int, made: Mapping[str, str]) -> AgentOutput:
            with self._span(f"act/{number}", context) as span:
                output = await work(number, made)
                span.set({**total_attributes(output.usage), "orchestrator.files": len(output.files)})
                return output

        return traced

    def _span(self, step: str, context: AgentContext) -> AbstractContextManager[Span]:
        attributes: dict[str, Value] = {"gen_ai.operation.name": _OPERATION, "orchestrator.step": step}
        if context.client is not None:
            attributes |= model_attributes(context.client)
        carried = {"gen_ai.agent.name": self.role.name}
        return self._tracer.span(f"{_OPERATION} {self.role.name}", attributes, carried=carried)


def traced_agents(create: Callable[[str], BaseAgent], tracer: Tracer) -> Callable[[str], BaseAgent]:
    """`create`, with spans around what the agents do."""
    return lambda name: TracedAgent(create(name), tracer)
