"""The prompts of an operation's steps: the task and the quoted data first, equal for all steps, then what is wanted.

The words are templates in `subagent_prompts/operations/`; that a prompt fits the window is the model layer's to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from orchestrator_v2 import __version__
from orchestrator_v2.agents.quoting import quote
from orchestrator_v2.agents.schemas import answer_schema
from orchestrator_v2.agents.templates import Templates, load_templates, prompts_digest
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.types import Message
from orchestrator_v2.operations.handler import AgentAnswer, AnyHandler
from orchestrator_v2.operations.steps import Step

_FOLDER = "operations/"
_SHARED = ("operations/_shared/", "_shared/json_rules.md.j2", "_shared/correction.md.j2")


class StepPrompt(msgspec.Struct, frozen=True):
    """A step's prompt; the first message repeats in every step of the run, so a provider may keep it."""

    system: str
    messages: tuple[Message, ...]
    schema: dict[str, Any]


class OperationPrompts:
    """The prompts of one handler, from the package's templates and those that the handler brings.

    `digest` is over their words, the shape of the answers, the agents and the handler's version.
    """

    def __init__(self, handler: AnyHandler, sources: Mapping[str, str]) -> None:
        shared = {name: text for name, text in sources.items() if name.startswith(_SHARED)}
        brought = sources if handler.templates is None else load_templates(handler.templates)
        wanted = handler.template_name()
        text = brought.get(wanted if handler.templates is not None else _FOLDER + wanted)
        if text is None:
            raise ConfigError(
                f"The operation '{handler.operation_id}' has no template.",
                f"{wanted} is not there.",
                "Put it beside the handler's other templates.",
            )
        self._handler = handler
        self._templates = Templates({**shared, "task": text})
        self._templates.check("task")
        self._schemas = {model: answer_schema(model) for model in (AgentAnswer, handler.response_schema)}
        self.digest = prompts_digest({**self._templates.sources, "handler": json.dumps(_form(handler, self._schemas))})

    def task(self, request: BaseModel) -> str:
        """The task in words, as it is put for this data. Raises `ConfigError` on a broken template."""
        return self._templates.render("task", {"data": _data(request), **self._handler.context(request)})

    def build(
        self, step: Step, request: BaseModel, answers: Mapping[str, AgentAnswer], model: type[BaseModel]
    ) -> StepPrompt:
        """The prompt of a step; `answers` are those of agents before it, by name, `model` what it has to answer.

        Raises `ConfigError` on a broken template.
        """
        schema = self._schemas[model]
        render = self._templates.render
        data = _data(request)
        task = self.task(request)
        wanted = {
            "schema": json.dumps(schema),
            "agent": _agent(self._handler, step),
            "own": _quoted(answers, lambda name: name == step.agent),
            "others": _quoted(answers, lambda name: name != step.agent),
        }
        return StepPrompt(
            system=render("operations/_shared/system.md.j2", {}),
            messages=(
                Message("user", render("operations/_shared/task.md.j2", {"task": task, "data": data}), stable=True),
                Message("user", render(f"operations/_shared/{step.kind}.md.j2", wanted)),
            ),
            schema=schema,
        )

    def correction(self, problem: str) -> str:
        """The corrective turn's words."""
        return self._templates.render("_shared/correction.md.j2", {"problem": quote("problems", problem)})


def _data(request: BaseModel) -> str:
    return quote("data", json.dumps(request.model_dump(mode="json"), ensure_ascii=False, indent=1))


def _form(handler: AnyHandler, schemas: Mapping[type[BaseModel], Any]) -> list[Any]:
    """What makes a handler's answers another's: a change of its code alone is told by its `version`."""
    agents = [[agent.name, agent.title, agent.charge] for agent in handler.agents]
    return [__version__, handler.version, handler.rounds, handler.max_tokens, agents, list(schemas.values())]


def _agent(handler: AnyHandler, step: Step) -> dict[str, str]:
    found = next((agent for agent in handler.agents if agent.name == step.agent), None)
    return {"title": found.title, "charge": found.charge} if found else {"title": "", "charge": ""}


def _quoted(answers: Mapping[str, AgentAnswer], wanted: Any) -> list[str]:
    return [
        quote("answer", json.dumps(answer.model_dump(mode="json"), ensure_ascii=False, indent=1), name)
        for name, answer in answers.items()
        if wanted(name)
    ]
