"""`LlmAgent` works through a model, `Agent` decides for each call whether a model or the templates do the work.

How a model is asked is `llm_agent_mixin.py`; how agents are made is `factory.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.base_agent import BaseAgent, StepWork
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.llm_agent_mixin import LlmAgentMixin
from orchestrator_v2.agents.prompt_builder import PromptBuilder
from orchestrator_v2.agents.response_parser import ResponseParser
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan
from orchestrator_v2.llm.base import Invoker

OpenClient = Callable[[AgentContext], AbstractAsyncContextManager[Invoker]]


class LlmAgent(LlmAgentMixin, BaseAgent):
    """Asks the model behind the context's client; `open_client` opens one where the context holds only a key."""

    def __init__(self, role: Role, prompts: PromptBuilder, open_client: OpenClient) -> None:
        super().__init__(role)
        self.prompts = prompts
        self.parser = ResponseParser()
        self._open_client = open_client

    async def plan_assignment(self, assignment: Assignment, context: AgentContext) -> AgentPlan:
        async with self._client(context) as client:
            return await self._llm_plan(client, assignment, context)

    def worker(self, plan: AgentPlan, assignment: Assignment, context: AgentContext) -> StepWork:
        async def work(number: int, made: Mapping[str, str]) -> AgentOutput:
            async with self._client(context) as client:
                return await self._llm_act(client, plan, number, made, assignment=assignment, context=context)

        return work

    @asynccontextmanager
    async def _client(self, context: AgentContext) -> AsyncIterator[Invoker]:
        """The context's client, or one opened with its key and closed again: an agent keeps no connection."""
        if context.client is not None:
            yield context.client
            return
        async with self._open_client(context) as client:
            yield client


class Agent(BaseAgent):
    """An agent in either mode: real where the context says so, simulated otherwise."""

    def __init__(self, role: Role, real: Callable[[], BaseAgent], simulated: Callable[[], BaseAgent]) -> None:
        super().__init__(role)
        self._real = real
        self._simulated = simulated

    async def plan_assignment(self, assignment: Assignment, context: AgentContext) -> AgentPlan:
        return await self._worker_of(context).plan_assignment(assignment, context)

    def worker(self, plan: AgentPlan, assignment: Assignment, context: AgentContext) -> StepWork:
        return self._worker_of(context).worker(plan, assignment, context)

    def _worker_of(self, context: AgentContext) -> BaseAgent:
        return self._real() if context.real else self._simulated()
