"""Whether a class is a whole operation: everything that can be found out before its first request, told at once.

What a handler is stands in `handler.py`; where sound ones are kept is `registry.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import BaseModel

from orchestrator_v2.agents.schemas import answer_schema
from orchestrator_v2.agents.templates import load_templates
from orchestrator_v2.core.errors import ConfigError, OrchestratorError
from orchestrator_v2.core.text import one_line
from orchestrator_v2.operations.handler import AnyHandler, OperationAgent, OperationHandler
from orchestrator_v2.operations.prompts import OperationPrompts

_ID = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,59}")
_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MOST_AT_ONCE, MOST_TOKENS = 256, 1_000_000
_LONGEST_FAULT = 300

Attempt = tuple[str, Callable[[], object]]


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


def _is_number(found: Any, most: int) -> bool:
    return type(found) is int and 1 <= found <= most


def _are_agents(found: Any) -> bool:
    return isinstance(found, tuple | list) and all(isinstance(agent, OperationAgent) for agent in found)


def _are_named(found: Iterable[OperationAgent]) -> bool:
    names = [agent.name for agent in found]
    return len(set(names)) == len(names) and all(_AGENT.fullmatch(name) for name in names)


def _is_said(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


# What is wrong unless the words of the class are so; what raises is wrong too.
_WORDS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("its `operation_id` is not `feature.operation`", lambda it: bool(_ID.fullmatch(it.operation_id))),
    ("it has no `summary`", lambda it: _is_said(it.summary)),
    ("its `request_schema` is no pydantic model", lambda it: _is_model(it.request_schema)),
    ("its `response_schema` is no pydantic model", lambda it: _is_model(it.response_schema)),
    ("it does not say how it is simulated", lambda it: not it.__abstractmethods__),
    ("its `template` is no text", lambda it: isinstance(it.template, str)),
    ("its `templates` are no folder", lambda it: it.templates is None or isinstance(it.templates, Traversable)),
    ("its `version` is no text", lambda it: _is_said(it.version)),
    ("its `rounds` are not 1 or 2", lambda it: _is_number(it.rounds, 2)),
    (f"its `concurrency` is not 1 to {MOST_AT_ONCE}", lambda it: _is_number(it.concurrency, MOST_AT_ONCE)),
    (f"its `max_tokens` are not 1 to {MOST_TOKENS:,}", lambda it: _is_number(it.max_tokens, MOST_TOKENS)),
    ("its `agents` are no OperationAgents", lambda it: _are_agents(it.agents)),
    ("an agent's name is no name, or there twice", lambda it: not _are_agents(it.agents) or _are_named(it.agents)),
    (
        "an agent has no title or no charge",
        lambda it: not _are_agents(it.agents) or all(_is_said(one.title) and _is_said(one.charge) for one in it.agents),
    ),
)


def sound(handler: type[AnyHandler]) -> AnyHandler:
    """The handler, made. Raises `ConfigError` with everything that is wrong with its class."""
    if not (isinstance(handler, type) and issubclass(handler, OperationHandler)):
        raise _unsound(repr(handler), ["it is no class of OperationHandler"])
    problems = [what for what, holds in _WORDS if _fault(partial(_must, holds, handler)) is not None]
    # What follows stands on the words of the class.
    made: list[AnyHandler] = []
    problems = problems or _faults(
        ("it cannot be made", lambda: made.append(handler())),
        ("its `request_schema` has no JSON schema", lambda: json.dumps(handler.request_schema.model_json_schema())),
        ("its `response_schema` has no JSON schema", lambda: json.dumps(answer_schema(handler.response_schema))),
    )
    problems = problems or _faults(("its template is broken", lambda: OperationPrompts(made[0], load_templates())))
    if problems:
        raise _unsound(handler.__name__, problems)
    return made[0]


def told(error: BaseException) -> str:
    """Another's error on one line, without the address that pydantic adds to its own."""
    said = str(error).partition("\nFor further information")[0]
    why = f"{error.what} {error.why}" if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {said}"
    return one_line(why, _LONGEST_FAULT).rstrip(".")


def _must(holds: Callable[[Any], bool], handler: type[AnyHandler]) -> None:
    if not holds(handler):
        raise ValueError


def _faults(*attempts: Attempt) -> list[str]:
    found = ((what, _fault(attempt)) for what, attempt in attempts)
    return [f"{what} ({told(fault)})" for what, fault in found if fault is not None]


def _fault(attempt: Callable[[], object]) -> Exception | None:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - others' code may raise anything; what it raised is told
        return error
    return None


def _unsound(name: str, problems: list[str]) -> ConfigError:
    return ConfigError(
        f"{name} is no whole operation.", "; ".join(problems) + ".", "See docs/how-to/add-an-operation.md."
    )
