"""`Assignment`: a task in the one shape the agents work on, made from whatever the caller had.

The engine hands in a `TaskDefinition`; people who use an agent alone hand in a sentence or a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator_v2.agents.context import AgentContext, TaskLike
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition


class Assignment(msgspec.Struct, frozen=True):
    """What is to be done: in which phase, under which call key, in which round, and why again."""

    phase: Phase
    key: str
    description: str = ""
    round: int = 1
    feedback: str = ""


def assign(
    task: TaskLike | None, phase: Phase | str | None, state: ProjectState | None, context: AgentContext, role: Role
) -> Assignment:
    """The assignment that the arguments mean; what is not said comes from the context, then from the role."""
    task = context.task if task is None else task
    state = context.project_state if state is None else state
    if isinstance(task, TaskDefinition):
        chosen = task.phase if phase is None or phase == task.phase.id else _phase(phase, state, role)
        return Assignment(chosen, task.key, "", task.round, context.feedback or task.feedback)
    chosen = _phase(role.home if phase is None else phase, state, role)
    return Assignment(chosen, context.key_prefix or chosen.id, _description(task), 1, context.feedback)


def _phase(phase: Phase | str, state: ProjectState | None, role: Role) -> Phase:
    if isinstance(phase, Phase):
        return phase
    known = state.started.workflow.phases if state is not None and state.started is not None else ()
    return next((one for one in known if one.id == phase), Phase(id=phase, agent=role.name))


def _description(task: str | Mapping[str, object] | None) -> str:
    if task is None:
        return ""
    if isinstance(task, str):
        return task.strip()
    return "\n".join(f"{name}: {value}" for name, value in task.items())


def direct_paths(phase: Phase, state: ProjectState | None) -> frozenset[str]:
    """The files made by the phases this one needs; they matter most to it."""
    if state is None:
        return frozenset()
    return frozenset(artifact.path for need in phase.needs for artifact in state.phase(need).artifacts)
