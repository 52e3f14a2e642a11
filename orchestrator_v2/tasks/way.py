"""What goes along every way of having a task done: the `Job` that is handed in and the `Attempt` that comes back.

The ways themselves are `api_way.py` and `command_way.py`.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgspec

from orchestrator_v2.agents.quoting import quote
from orchestrator_v2.core.errors import InputError, OrchestratorError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.tasks.agent_registry import RegisteredAgent
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.answer_schema import AnswerSchema


class Job(msgspec.Struct, frozen=True):
    """A task that has its agent; `key` names its call in a ledger, `seconds` is what is left of its time."""

    task: AgentTask
    agent: RegisteredAgent
    key: str
    prompt: str
    schema: AnswerSchema | None
    seconds: float


class Attempt(msgspec.Struct, frozen=True):
    """What one way came to: an answer, or an error. `facts` go into the result's metadata; `usage` is what was used on
    this way, also by calls whose answers were no good; nothing that is told may hold one of `secrets`."""

    text: str = ""
    data: Any = None
    error: OrchestratorError | None = None
    usage: Usage = NO_USAGE
    facts: dict[str, Any] = {}
    secrets: tuple[Secret, ...] = ()


class WayOfWorking(Protocol):
    async def attempt(self, job: Job) -> Attempt:
        """The task done, or the error why not, also one that nobody foresaw: what was used stands beside it.

        Should an exception come through all the same, the executor makes it the task's error, at an unknown cost.
        """
        ...


def prompt_of(task: AgentTask) -> str:
    """The prompt, and below it each value of the context, quoted. Raises `InputError` for what is no JSON value."""
    blocks = [task.prompt]
    for name, value in task.context.items():
        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"The value '{name}' of the context is no JSON value.",
                f"{error}.",
                "Give texts, numbers, lists, objects.",
            ) from None
        blocks.append(quote("context", text, str(name)))
    return "\n\n".join(blocks)


def without_keys(text: str, secrets: tuple[Secret, ...]) -> str:
    """A user may have pasted a key into a prompt; it goes nowhere."""
    for secret in secrets:
        text = secret.hidden_from(text)
    return text
