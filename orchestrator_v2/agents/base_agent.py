"""`BaseAgent`: what every agent can do, and the one loop that acts on a plan step by step.

Who does the work of a step is `llm_agent.py` (a model) or `simulated_agent.py` (templates).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator_v2.agents.assignment import Assignment, assign
from orchestrator_v2.agents.context import AgentContext, TaskLike
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan, FileOutput
from orchestrator_v2.core.records import SIMULATED, Provenance
from orchestrator_v2.core.sync import run_sync
from orchestrator_v2.core.usage import NO_USAGE
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.state_models import ProjectState

# Does step `number` (from 1), and only it; the mapping holds the paths that earlier steps wrote, and their texts.
StepWork = Callable[[int, Mapping[str, str]], Awaitable[AgentOutput]]

# Of several calls the telling one names the whole: one fallback makes the work fallback, one live call makes it real.
_TELLING = {"fallback": 3, "real": 2, "replayed": 1}


class BaseAgent(ABC):
    """A role at work. Agents hold no state between calls: a plan carries what it is a plan for."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def initialize(self, project_state: ProjectState | None, context: AgentContext) -> None:
        """Checks what can be checked before any work. Raises `CredentialMissingError` in real mode without one."""
        _ = project_state, context.real

    async def plan(
        self,
        task: TaskLike | None,
        phase: Phase | str | None,
        project_state: ProjectState | None,
        context: AgentContext,
    ) -> AgentPlan:
        """1 to 12 steps for the task. Raises `InvalidOutputError`, and in real mode what the client raises."""
        return await self.plan_assignment(assign(task, phase, project_state, context, self.role), context)

    async def act(self, plan: AgentPlan, project_state: ProjectState | None, context: AgentContext) -> AgentOutput:
        """Acts on each step once, in order, and merges: a later step's file replaces an earlier one's.

        Raises `InvalidOutputError`, and in real mode what the client raises.
        """
        assignment = plan.assignment or assign(None, None, project_state, context, self.role)
        work = self.worker(plan, assignment, context)
        made: dict[str, str] = {}
        outputs: list[AgentOutput] = []
        for number in range(1, len(plan.steps) + 1):
            output = await work(number, made)
            _lay(made, output)
            outputs.append(output)
        return merged(outputs)

    @abstractmethod
    async def plan_assignment(self, assignment: Assignment, context: AgentContext) -> AgentPlan: ...

    @abstractmethod
    def worker(self, plan: AgentPlan, assignment: Assignment, context: AgentContext) -> StepWork:
        """Who does the steps of this plan, one call a step."""
        ...

    def initialize_sync(self, project_state: ProjectState | None, context: AgentContext) -> None:
        return run_sync(lambda: self.initialize(project_state, context))

    def plan_sync(
        self,
        task: TaskLike | None,
        phase: Phase | str | None,
        project_state: ProjectState | None,
        context: AgentContext,
    ) -> AgentPlan:
        return run_sync(lambda: self.plan(task, phase, project_state, context))

    def act_sync(self, plan: AgentPlan, project_state: ProjectState | None, context: AgentContext) -> AgentOutput:
        return run_sync(lambda: self.act(plan, project_state, context))


def _lay(made: dict[str, str], output: AgentOutput) -> None:
    for path in output.removed:
        made.pop(path, None)
    made.update({file.path: file.content for file in output.files})


def merged(outputs: Sequence[AgentOutput]) -> AgentOutput:
    """One output of all steps; the verdict is that of the last step that gave one."""
    files: dict[str, str] = {}
    removed: dict[str, None] = {}
    for output in outputs:
        _lay(files, output)
        removed.update(dict.fromkeys(output.removed))
        for file in output.files:
            removed.pop(file.path, None)
    verdicts = [output.approved for output in outputs if output.approved is not None]
    return AgentOutput.model_construct(  # of values that were validated one by one; the caps are for one answer
        summary="\n".join(output.summary for output in outputs),
        files=[FileOutput.model_construct(path=path, content=content) for path, content in files.items()],
        removed=list(removed),
        approved=verdicts[-1] if verdicts else None,
        notes=list(dict.fromkeys(note for output in outputs for note in output.notes)),
        usage=sum((output.usage for output in outputs), NO_USAGE),
        provenance=telling([output.provenance for output in outputs]),
    )


def telling(provenances: Sequence[Provenance]) -> Provenance:
    """The provenance that names the whole of several calls; of equals the last."""
    return max(reversed(provenances), key=lambda one: _TELLING.get(one.kind, 0), default=SIMULATED)
