"""`AgentTask` and `ExecutionResult`: what is asked of an agent, and what came of it.

Who does it is `agent_registry.py`, how is `task_executor.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import InputError, OrchestratorError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.tasks.interface import Interface, Way, interface_named, open_ways


class AgentTask(msgspec.Struct, frozen=True):
    """A prompt, and what whoever answers it has to heed.

    `task_id` is the key of the call in a ledger (empty: one is made). `agent_type` and `required_capabilities` are what
    an agent must be and have where none is named, `interfaces` how it may be reached (empty: in any way). `context` are
    further values that are quoted below the prompt. `timeout` is in seconds for the whole task, `max_tokens` for the
    answer. `response_schema` is a JSON Schema of an object or array, or a pydantic model.
    `allow_cli_fallback`: an agent that is reached both ways may fall back to its command. `metadata` is the caller's.

    Raises `InputError` for values that no task can have.
    """

    prompt: str
    task_id: str = ""
    agent_type: str = ""
    required_capabilities: tuple[str, ...] = ()
    context: Mapping[str, Any] = {}
    system_prompt: str = ""
    max_tokens: int = 4_096
    temperature: float | None = None
    timeout: float = 600.0
    response_schema: Any = None
    allow_cli_fallback: bool = False
    interfaces: tuple[Interface | str, ...] = ()
    metadata: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        faults = [fault for fault, holds in _faults(self) if holds]
        if faults:
            raise InputError("This is no task.", f"{'; '.join(faults)}.", "Put that right.")
        setting = msgspec.structs.force_setattr
        setting(self, "required_capabilities", tuple(self.required_capabilities))
        setting(self, "interfaces", tuple(interface_named(one) for one in self.interfaces))

    def ways_of(self, interface: Interface) -> tuple[Way, ...]:
        """The ways of that interface which the task allows, in their order; empty where it allows none."""
        return open_ways(interface, (interface_named(one) for one in self.interfaces))


def _faults(task: AgentTask) -> list[tuple[str, bool]]:
    temperature = task.temperature
    return [
        ("the prompt is empty", not isinstance(task.prompt, str) or not task.prompt.strip()),
        ("the prompt or system_prompt is no Unicode", not all(map(_is_unicode, (task.prompt, task.system_prompt)))),
        ("task_id and agent_type are texts", not all(isinstance(one, str) for one in (task.task_id, task.agent_type))),
        ("required_capabilities is a list of texts", not is_words(task.required_capabilities)),
        ("interfaces is a list of names", not is_words(task.interfaces)),
        (
            "context and metadata are mappings",
            not all(isinstance(one, Mapping) for one in (task.context, task.metadata)),
        ),
        ("max_tokens is a whole number over 0", not is_whole(task.max_tokens) or task.max_tokens < 1),
        ("temperature is a number from 0 to 2", temperature is not None and not _is_between(temperature, 0, 2)),
        ("timeout is a number of seconds over 0", not _is_between(task.timeout, 0, 1e7) or task.timeout == 0),
    ]


def is_words(value: object) -> bool:
    """Whether that is a list, tuple or set of texts that are not empty."""
    return (
        isinstance(value, Iterable)
        and not isinstance(value, str | bytes)
        and all(isinstance(one, str) and one.strip() for one in value)
    )


def _is_unicode(value: object) -> bool:
    """Whether that is a text without halves of characters, which nothing can be sent with."""
    return isinstance(value, str) and value.encode("utf-8", "replace").decode() == value


def is_whole(value: object) -> bool:
    """Whether that is a whole number; True is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: object, least: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and least <= value <= most


class TaskError(msgspec.Struct, frozen=True):
    """An error of `core/errors.py` as a value: its code, what happened, why, and what to do."""

    code: str
    what: str
    why: str = ""
    do: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.do) if part)


def told(error: OrchestratorError, secrets: Iterable[Secret] = ()) -> TaskError:
    """The error as a value, without `secrets`."""
    known = tuple(secrets)
    return TaskError(error.code, *(redact(part, known) for part in (error.what, error.why, error.do)))


class ExecutionResult(msgspec.Struct, frozen=True):
    """What came of a task. `output` is the answer's text, `data` its JSON value where a schema was given.

    `duration` is in seconds. `metadata` has `agent`, `execution_method` (api or cli), `provider`, `model`,
    `provenance`, `attempts` (sendings and starts of a command), `chosen_because` where nobody was named, and where it
    applies `fallback_from` with `fallback_reason`, `exit_code`, `fault` and `stderr` of a command, `notes`, `recorded`.
    """

    task_id: str
    success: bool
    output: str = ""
    data: Any = None
    error: TaskError | None = None
    usage: Usage = NO_USAGE
    duration: float = 0.0
    metadata: dict[str, Any] = {}

    @property
    def cost(self) -> int | None:
        """Nano-dollars; None while it is not known."""
        return self.usage.cost
