"""`create_agent` makes an agent, `run_agent` takes it through one task, `agent_runner` fits it to the engine.

What an agent does is `base_agent.py`; which client a run uses is bootstrap's choice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import SystemRandom

import msgspec

from orchestrator_v2.agents.assignment import direct_paths
from orchestrator_v2.agents.base_agent import BaseAgent, telling
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.llm_agent import Agent, LlmAgent, OpenClient
from orchestrator_v2.agents.prompt_builder import PromptBuilder
from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.agents.simulated_agent import Simulate, SimulatedAgent
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.records import SIMULATED, Provenance
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.state_models import OutputFile, TaskDefinition, TaskOutcome
from orchestrator_v2.engine.task_runner import AgentCall, AgentInput
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.types import LLMConfig

ClientForTask = Callable[[TaskDefinition, RunContext], Awaitable[Invoker]]


class AgentWork(msgspec.Struct, frozen=True):
    """What an agent made of one task, before anything is measured."""

    result: str
    files: tuple[OutputFile, ...] = ()
    removed: tuple[str, ...] = ()
    approved: bool | None = None
    usage: Usage = NO_USAGE
    provenance: Provenance = SIMULATED
    notes: tuple[str, ...] = ()


def create_agent(
    name: str,
    *,
    prompts: PromptBuilder | None = None,
    simulate: Simulate | None = None,
    open_client: OpenClient | None = None,
) -> BaseAgent:
    """The agent of that role or alias; it works with a model where its context has one, simulated otherwise.

    `prompts` replaces the shipped templates, `simulate` the shipped simulation, `open_client` how a client is
    opened for a context that holds only a key. Raises `UnknownNameError`.
    """
    role = resolve_role(name)
    return Agent(
        role,
        real=lambda: LlmAgent(role, prompts or PromptBuilder(), open_client or _client_from_key),
        simulated=lambda: SimulatedAgent(role, simulate or _shipped_simulation()),
    )


async def run_agent(task: TaskDefinition, context: AgentContext, agent: BaseAgent | None = None) -> AgentWork:
    """Plans the task and acts on each step of the plan. Raises what the agent raises."""
    agent = agent or create_agent(task.phase.agent)
    await agent.initialize(context.project_state, context)
    plan = await agent.plan(task, task.phase, context.project_state, context)
    output = await agent.act(plan, context.project_state, context)
    provenance = telling([plan.provenance, output.provenance])
    return AgentWork(
        result=output.summary,
        files=tuple(OutputFile(file.path, file.content.encode(), output.provenance) for file in output.files),
        removed=tuple(output.removed),
        approved=output.approved,
        usage=plan.usage + output.usage,
        provenance=provenance,
        notes=tuple(dict.fromkeys((*plan.remarks, *output.notes))),
    )


def agent_runner(client_for: ClientForTask, agents: Callable[[str], BaseAgent] = create_agent) -> AgentCall:
    """The engine's way to the agents: a task and its texts in, an outcome without evidence out.

    `client_for` is asked only in runs that are not simulated; `agents` gives the agent for a name.
    """

    async def work(task: TaskDefinition, given: AgentInput) -> TaskOutcome:
        begun = given.context.state.begun
        simulated = begun.mode == "simulated"
        brief = (await given.context.read([begun.brief]))[begun.brief]
        context = AgentContext(
            project_state=given.context.state,
            task=task,
            mode="simulated" if simulated else "real",
            client=None if simulated else await client_for(task, given.context),
            brief=brief.decode("utf-8", "replace"),
            answers=begun.answers,
            upstream=given.upstream,
            direct=direct_paths(task.phase, given.context.state),
            current=given.current,
            feedback=task.feedback,
        )
        done = await run_agent(task, context, agents(task.phase.agent))
        return TaskOutcome(
            result=done.result,
            files=done.files,
            removed=done.removed,
            approved=done.approved,
            usage=done.usage,
            provenance=done.provenance,
            notes=done.notes,
        )

    return work


def _shipped_simulation() -> Simulate:
    from orchestrator_v2.agents.simulated import simulate

    return simulate


@asynccontextmanager
async def _client_from_key(context: AgentContext) -> AsyncIterator[Invoker]:
    from orchestrator_v2.llm.factory import LLMFactory

    models = LLMFactory(clock=SystemClock(), random=SystemRandom())
    try:
        yield models.create_client(LLMConfig(context.llm_provider, context.model, context.credential, context.base_url))
    finally:
        await models.aclose()
