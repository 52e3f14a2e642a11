"""`LlmAgentMixin`: prompt, call, parse, one corrective turn; what a plan and what a step cost, summed.

Retries, budgets and recording are wrappers around the client; this file only asks and reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.base_agent import telling
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.prompt_builder import Prompt, PromptBuilder
from orchestrator_v2.agents.response_parser import ResponseParser
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan
from orchestrator_v2.agents.window import Room, room_for
from orchestrator_v2.core.errors import InvalidOutputError, OutputTruncatedError, RefusalError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import REDACTED, Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.structured import clean_text
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

PLAN_TOKENS = 8_000
ACT_TOKENS = 16_000
MAX_QUOTED_CHARS = 8_000  # of an answer that did not fit, shown back to its author

_T = TypeVar("_T")


class Asked(msgspec.Struct, Generic[_T], frozen=True):
    """A parsed answer with what the calls for it used."""

    answer: _T
    usage: Usage
    provenance: Provenance
    notes: tuple[str, ...]


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
        room = _room(client, PLAN_TOKENS)
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
        room = _room(client, ACT_TOKENS)
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
        calls = [_whole(await ask.client.invoke(messages, options, key=ask.key))]
        try:
            return _asked(read(calls[-1].text), calls)
        except InvalidOutputError as problem:
            again = _corrective(messages, calls[-1], self.prompts.correction(problem.why or problem.what))
        calls.append(_whole(await ask.client.invoke(again, options, key=f"{ask.key}/fix")))
        try:
            return _asked(read(calls[-1].text), calls)
        except InvalidOutputError as problem:
            raise InvalidOutputError(
                f"The {self.role.name}'s answer to '{ask.key}' did not fit, and neither did its correction.",
                problem.why or problem.what,
                "Retry the phase, or use a stronger model.",
            ) from None


def _room(client: Invoker, wanted: int) -> Room:
    """The room in that client's model, by what the client itself knows of it."""
    facts = client.info.facts if isinstance(client, LLMClient) else None
    return room_for(client.provider, client.model, wanted, facts)


def _corrective(messages: Sequence[Message], bad: Completion, words: str) -> list[Message]:
    shown = clean_text(bad.text[:MAX_QUOTED_CHARS]) + ("\n[cut]" if len(bad.text) > MAX_QUOTED_CHARS else "")
    return [*messages, Message("assistant", shown if shown.strip() else "(no answer)"), Message("user", words)]


def _whole(completion: Completion) -> Completion:
    """The completion, unless it is a part or a refusal; `llm/wrappers/whole.py` says so earlier where it stands."""
    if completion.finish_reason == "length":
        raise OutputTruncatedError(
            "The model's answer was cut off.", "It reached the limit of tokens.", "Raise max_tokens or ask for less."
        )
    if completion.finish_reason == "refusal":
        raise RefusalError("The model refused to answer.", "", "Ask anew, or change the brief or the model.")
    return completion


def _asked(answer: _T, calls: Sequence[Completion]) -> Asked[_T]:
    notes = tuple(note for one in calls for note in one.notes)
    usage = sum((one.usage for one in calls), NO_USAGE)
    return Asked(answer, usage, telling([one.provenance for one in calls]), notes)
