"""A request that was checked: its operation, its data in the operation's own shape, and whether pictures go with it.

Which model answers it is settled by the router (`ports.py`); what it becomes is `orchestrator.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.operation_errors import AgentFailureError, InvalidRequestError, ValidationFailedError
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.ports import Caller
from orchestrator_v2.operations.registry import OperationRegistry
from orchestrator_v2.operations.types import LLMRequest

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
# So many problems are told, and so much of a field's name: an answer is no larger than what it answers.
_MOST, _LONGEST, _IN_WORDS = 100, 200, 20


class Wording(Protocol):
    """An operation's prompts, as far as they tell one operation's answers from another's."""

    @property
    def digest(self) -> str: ...

    def task(self, request: BaseModel) -> str: ...


Prompting = Callable[[AnyHandler], Wording]


class Asked(msgspec.Struct, frozen=True):
    request: LLMRequest
    caller: Caller
    handler: AnyHandler
    data: BaseModel

    @property
    def sees(self) -> bool:
        return bool(self.own("gives its pictures", lambda: self.handler.images(self.data)))

    def own(self, what: str, work: Callable[[], _T]) -> _T:
        return own_code(self.handler, what, work)


def checked(registry: OperationRegistry, request: LLMRequest, caller: Caller) -> Asked:
    """Raises `UnknownFeatureError`, `UnknownOperationError`, `InvalidRequestError`, `ValidationFailedError`."""
    handler = registry.find(request.feature, request.operation)
    if request.mode not in handler.modes():
        raise InvalidRequestError(
            f"{handler.operation_id} has no mode '{request.mode}'.",
            "It asks one question and has no agents.",
            "Use mode monolithic.",
        )
    return Asked(request, caller, handler, _data(handler, request.data))


def own_code(handler: AnyHandler, what: str, work: Callable[[], _T]) -> _T:
    """What the handler's own code gives. Raises `AgentFailureError` that names it for whatever it raises itself."""
    try:
        return work()
    except OrchestratorError:
        raise
    except Exception as error:
        _log.exception("the operation %s: its handler failed as it %s", handler.operation_id, what)
        raise AgentFailureError(
            f"The operation {handler.operation_id} met a fault of its own.",
            f"{type(handler).__name__} raised {type(error).__name__} as it {what}; the log has the whole story.",
            "Tell the author of the operation.",
            context={"operation": handler.operation_id},
        ) from error


def _data(handler: AnyHandler, data: dict[str, Any]) -> BaseModel:
    """The data as the handler takes it, with every problem at once."""
    try:
        return own_code(handler, "checked the data", lambda: _validated(handler, data))
    except _Misfit as misfit:
        found = misfit.found
    problems = [
        {"field": (".".join(map(str, it["loc"])) or "data")[:_LONGEST], "message": it["msg"][:_LONGEST]}
        for it in found[:_MOST]
    ]
    told = "; ".join(f"{it['field']}: {it['message']}" for it in problems[:_IN_WORDS])
    more = f"; and {len(found) - _IN_WORDS} more" if len(found) > _IN_WORDS else ""
    count = "a problem" if len(found) == 1 else f"{len(found)} problems"
    raise ValidationFailedError(
        f"The data for {handler.operation_id} has {count}.",
        f"{told}{more}.",
        f"`orchestrator op show {handler.operation_id}` prints the schema.",
        context={"problems": problems},
    )


class _Misfit(OrchestratorError):
    code = "misfit"

    def __init__(self, found: list[Any]) -> None:
        super().__init__("The data does not fit.")
        self.found = found


def _validated(handler: AnyHandler, data: dict[str, Any]) -> BaseModel:
    try:
        return handler.request_schema.model_validate(data)
    except ValidationError as error:
        raise _Misfit(error.errors(include_url=False, include_context=False, include_input=False)) from None
