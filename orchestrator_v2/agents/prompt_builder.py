"""`PromptBuilder`: an assignment and its surroundings become a system prompt and messages, within the window.

The words are templates in `subagent_prompts/`; sending the prompt is `llm_agent_mixin.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.quoting import quote
from orchestrator_v2.agents.roles import Role
from orchestrator_v2.agents.schemas import AgentPlan, OutputAnswer, PlanAnswer, answer_schema
from orchestrator_v2.agents.templates import Templates
from orchestrator_v2.agents.window import (
    OWN_LAST_ROUND,
    OWN_THIS_TASK,
    Count,
    Document,
    least_relevant,
    own_documents,
    upstream_documents,
)
from orchestrator_v2.core.errors import PromptTooLargeError
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import Message

_FRAME_TOKENS = 500  # what a provider adds around each prompt: roles, separators, its words on structured answers


class Prompt(msgspec.Struct, frozen=True):
    """A prompt that fits. The first message is the stable project block; `notes` say what was left out."""

    system: str
    messages: tuple[Message, ...]
    schema: dict[str, Any]
    notes: tuple[str, ...] = ()


class PromptBuilder:
    """Builds prompts from templates; `count` estimates the tokens of a text."""

    def __init__(self, templates: Templates | None = None, *, count: Count = estimate_tokens) -> None:
        self._templates = templates or Templates()
        self._count = count
        self._schemas = {"plan": answer_schema(PlanAnswer), "act": answer_schema(OutputAnswer)}

    def plan(self, role: Role, assignment: Assignment, context: AgentContext, *, room: int) -> Prompt:
        """The prompt that asks for a plan; `room` is how many tokens it may take.

        Raises `PromptTooLargeError` when it does not fit without a single file, `ConfigError` on a broken template.
        """
        return self._fitted("plan", role, assignment, context, extra={}, made=(), room=room)

    def act(
        self,
        role: Role,
        assignment: Assignment,
        context: AgentContext,
        *,
        plan: AgentPlan,
        number: int,
        made: Mapping[str, str],
        room: int,
    ) -> Prompt:
        """The prompt that asks for step `number` (from 1) of the plan; `made` is what earlier steps wrote."""
        step = plan.steps[number - 1]
        titles = (f"{position}. {one.title}" for position, one in enumerate(plan.steps, start=1))
        data = {
            "plan": quote("plan", "\n".join((plan.summary, *titles))),
            "number": number,
            "last": number == len(plan.steps),
            "step": quote("step", "\n".join((step.title, step.detail, *step.files)).strip()),
        }
        own = own_documents(made, "made", OWN_THIS_TASK)
        return self._fitted("act", role, assignment, context, extra=data, made=own, room=room)

    def correction(self, problem: str) -> str:
        """The corrective turn's words."""
        return self._templates.render("_shared/correction.md.j2", {"problem": quote("problems", problem)})

    def _fitted(
        self,
        kind: str,
        role: Role,
        assignment: Assignment,
        context: AgentContext,
        *,
        extra: Mapping[str, Any],
        made: Sequence[Document],
        room: int,
    ) -> Prompt:
        phase = assignment.phase
        kept: tuple[Document, ...] = (
            *upstream_documents(context.upstream, phase.inputs, context.direct),
            *own_documents(context.current, "current", OWN_LAST_ROUND),
            *made,
        )
        data = {**_facts(role, assignment, context), **extra, "schema": json.dumps(self._schemas[kind])}
        dropped: tuple[Document, ...] = ()
        while True:
            prompt = self._rendered(kind, role, data, kept, dropped)
            over = self._size(prompt) - room
            if over <= 0:
                return prompt
            if not kept:
                raise _too_large(over, room)
            gone = set(least_relevant(kept, over, self._count))
            dropped += tuple(one for one in kept if one in gone)
            kept = tuple(one for one in kept if one not in gone)

    def _rendered(
        self, kind: str, role: Role, data: Mapping[str, Any], kept: Sequence[Document], dropped: Sequence[Document]
    ) -> Prompt:
        blocks = {place: [one.block for one in kept if one.place == place] for place in ("upstream", "current", "made")}
        missing = [quote("path", one.path) for one in dropped if one.place == "upstream"]
        own_missing = [quote("path", one.path) for one in dropped if one.place != "upstream"]
        full = {**data, **blocks, "left_out": missing, "own_left_out": own_missing}
        render = self._templates.render
        return Prompt(
            system=render(f"{role.templates}/system.md.j2", full),
            messages=(
                Message("user", render("_shared/project.md.j2", full), stable=True),
                Message("user", render(f"{role.templates}/{kind}.md.j2", full)),
            ),
            schema=self._schemas[kind],
            notes=tuple(f"Left out of the {kind} prompt, which was full: {one.path}" for one in dropped),
        )

    def _size(self, prompt: Prompt) -> int:
        texts = (prompt.system, json.dumps(prompt.schema), *(message.content for message in prompt.messages))
        return sum(self._count(text) for text in texts) + _FRAME_TOKENS


def _facts(role: Role, assignment: Assignment, context: AgentContext) -> dict[str, Any]:
    phase = assignment.phase
    answers = "\n".join(f"Q: {question}\nA: {answer}" for question, answer in context.answers.items())
    return {
        "role": {
            "name": role.name,
            "title": role.title,
            "charge": role.charge,
            "responsibilities": list(role.responsibilities),
        },
        "phase": {
            "id": phase.id,
            "title": phase.title or phase.id.replace("_", " ").capitalize(),
            "outputs": list(phase.outputs),
            "evidence": list(phase.gate.evidence),
            "review": phase.gate.review,
        },
        "round": assignment.round,
        "brief": quote("brief", context.brief) if context.brief else "",
        "answers": quote("answers", answers) if answers else "",
        "description": quote("task", assignment.description) if assignment.description else "",
        "feedback": quote("feedback", assignment.feedback) if assignment.feedback else "",
    }


def _too_large(over: int, room: int) -> PromptTooLargeError:
    return PromptTooLargeError(
        "The prompt does not fit the model's window.",
        f"The brief and the task alone are about {over:,} tokens over the {room:,} that it leaves for them.",
        "Shorten the brief, or use a model with a larger window.",
        over_by=over,
    )
