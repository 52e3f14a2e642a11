"""`SimulatedAgent`: an agent without a model; its steps come from the deterministic templates, free and marked so.

The templates and what they derive from a brief are `simulated/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.base_agent import BaseAgent, StepWork
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.paths import path_problem
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan, FileOutput, PlanStep


class SimulatedStep(Protocol):
    """One step of the templates' work: its title, what it did, the files it wrote, its verdict; it may have `notes`."""

    @property
    def title(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def approved(self) -> bool | None: ...


class Simulate(Protocol):
    """The templates' one entry point; the same arguments give the same steps."""

    def __call__(
        self, role: str, phase: str, *, brief: str, answers: Mapping[str, str], inputs: Mapping[str, str], feedback: str
    ) -> Sequence[SimulatedStep]: ...


class SimulatedAgent(BaseAgent):
    def __init__(self, role: Role, simulate: Simulate) -> None:
        super().__init__(role)
        self._simulate = simulate

    async def plan_assignment(self, assignment: Assignment, context: AgentContext) -> AgentPlan:
        steps = [PlanStep(title=step.title, files=list(step.files)) for step in self._steps(assignment, context)]
        return AgentPlan(summary=f"Simulated plan of the {self.role.name}.", steps=steps, assignment=assignment)

    def worker(self, plan: AgentPlan, assignment: Assignment, context: AgentContext) -> StepWork:
        steps = self._steps(assignment, context)

        async def work(number: int, made: Mapping[str, str]) -> AgentOutput:
            if number > len(steps):
                title = plan.steps[number - 1].title
                return AgentOutput(summary=f"{title}: nothing to simulate.", notes=[f"No template makes '{title}'."])
            return _output(steps[number - 1], assignment, context)

        return work

    def _steps(self, assignment: Assignment, context: AgentContext) -> Sequence[SimulatedStep]:
        return self._simulate(
            self.role.name,
            assignment.phase.id,
            brief=context.brief or assignment.description,
            answers=context.answers,
            inputs=context.upstream,
            feedback=assignment.feedback,
        )


def _output(step: SimulatedStep, assignment: Assignment, context: AgentContext) -> AgentOutput:
    # A workflow of the user's own may declare other outputs than the templates write: those files are left out, loudly.
    problems = {path: path_problem(path, assignment.phase.outputs, context.upstream) for path in step.files}
    left_out = (f"Simulated file left out: {problem}." for problem in problems.values() if problem)
    return AgentOutput(
        summary=step.summary or step.title,
        files=[FileOutput(path=path, content=text) for path, text in step.files.items() if not problems[path]],
        approved=step.approved,
        notes=[*getattr(step, "notes", ()), *left_out],
    )
