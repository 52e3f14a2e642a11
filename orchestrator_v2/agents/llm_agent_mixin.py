"""`LlmAgentMixin`: prompt, call, parse, one corrective turn; what a plan and what a step cost, summed.

Retries, budgets and recording are wrappers around the client; this file only asks and reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.corrective import Asked, Question, ask_for
from orchestrator_v2.agents.prompt_builder import Prompt, PromptBuilder
from orchestrator_v2.agents.response_parser import ResponseParser
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan
from orchestrator_v2.agents.window import Room, room_of
from orchestrator_v2.core.secrets import REDACTED, Secret
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.types import InvokeOptions

PLAN_TOKENS = 8_000
ACT_TOKENS = 16_000

_T = TypeVar("_T")


class _Ask(msgspec.Struct, frozen=True):
    client: Invoker
    secret: Secret | None
    room: Room
    key: str

    def scrubbed(self, text: str) -> str:
        """`text` without the credential, should a user have pasted it into the brief."""
        return text if self.secret is None else text.replace(self.secret.reveal(), REDACTED)


class LlmAgentMixin:
    """The model side of an agent.

    The client's errors pass through; an answer that stays wrong is an `InvalidOutputError`.
    """

    role: Role
    prompts: PromptBuilder
    parser: ResponseParser

    async def _llm_plan(self, client: Invoker, assignment: Assignment, context: AgentContext) -> AgentPlan:
        room = room_of(client, PLAN_TOKENS)
        prompt = self.prompts.plan(self.role, assignment, context, room=room.prompt)
        ask = _Ask(client, context.credential, room, f"{assignment.key}/plan")
        asked = await self._ask(ask, prompt, self.parser.plan)
        return AgentPlan(
            summary=asked.answer.summary,
            steps=asked.answer.steps,
            usage=asked.usage,
            provenance=asked.provenance,
            assignment=assignment,
            remarks=[*prompt.notes, *asked.notes],
        )

    async def _llm_act(
        self,
        client: Invoker,
        plan: AgentPlan,
        number: int,
        made: Mapping[str, str],
        *,
        assignment: Assignment,
        context: AgentContext,
    ) -> AgentOutput:
        phase = assignment.phase
        judges = phase.gate.review == "agent" and number == len(plan.steps)
        room = room_of(client, ACT_TOKENS)
        prompt = self.prompts.act(self.role, assignment, context, plan=plan, number=number, made=made, room=room.prompt)
        asked = await self._ask(
            _Ask(client, context.credential, room, f"{assignment.key}/act/{number}"),
            prompt,
            lambda text: self.parser.output(text, outputs=phase.outputs, taken=context.upstream, verdict=judges),
        )
        answer = asked.answer
        return AgentOutput.model_construct(
            summary=answer.summary,
            files=answer.files,
            removed=answer.removed,
            approved=answer.approved if judges or phase.gate.review == "human" else None,
            notes=[*answer.notes, *prompt.notes, *asked.notes],
            usage=asked.usage,
            provenance=asked.provenance,
        )

    async def _ask(self, ask: _Ask, prompt: Prompt, read: Callable[[str], _T]) -> Asked[_T]:
        options = InvokeOptions(
            max_tokens=ask.room.answer, system_prompt=ask.scrubbed(prompt.system), response_schema=prompt.schema
        )
        messages = [msgspec.structs.replace(one, content=ask.scrubbed(one.content)) for one in prompt.messages]
        question = Question(ask.client, ask.key, messages, options)
        return await ask_for(question, read, correction=self.prompts.correction, who=self.role.name)
