"""Which operations there are: an explicit list of this package's, and those that other packages bring by entry point.

What a handler is stands in `handler.py`; nothing is registered by being imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.operation_errors import UnknownFeatureError, UnknownOperationError
from orchestrator_v2.operations.handler import AnyHandler, OperationHandler

# The name of an entry point is the operation's id; what it points at is a class of `OperationHandler`.
GROUP = "orchestrator_v2.operations"
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,59}")
_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def own_handlers() -> tuple[type[AnyHandler], ...]:
    """The operations of this package."""
    from orchestrator_v2.operations.features.pillars.handlers import HANDLERS

    return HANDLERS


class OperationRegistry:
    """Handlers by their id; made by `load_registry`, or of one's own classes."""

    def __init__(self, handlers: Iterable[type[AnyHandler]] = ()) -> None:
        self._handlers: dict[str, AnyHandler] = {}
        for handler in handlers:
            self.register(handler)

    def register(self, handler: type[AnyHandler]) -> None:
        """Raises `ConfigError` for a class that is no whole handler, and for an id that is taken."""
        _check(handler)
        if handler.operation_id in self._handlers:
            raise ConfigError(
                f"The operation '{handler.operation_id}' is registered twice.",
                f"{type(self._handlers[handler.operation_id]).__name__} has that id.",
                f"Give {handler.__name__} another `operation_id`.",
            )
        self._handlers[handler.operation_id] = handler()

    def all(self) -> Mapping[str, AnyHandler]:
        """Id to handler, in the order of the ids."""
        return dict(sorted(self._handlers.items()))

    def find(self, feature: str, operation: str) -> AnyHandler:
        """Raises `UnknownFeatureError`, `UnknownOperationError`, each with what there is and the nearest match."""
        features = {handler.feature() for handler in self._handlers.values()}
        if feature not in features:
            raise UnknownFeatureError(feature, features)
        found = self._handlers.get(f"{feature}.{operation}")
        if found is None:
            valid = [it.operation() for it in self._handlers.values() if it.feature() == feature]
            raise UnknownOperationError(operation, valid, feature=feature)
        return found

    def named(self, operation_id: str) -> AnyHandler:
        """The handler of `feature.operation`."""
        feature, _, operation = operation_id.partition(".")
        return self.find(feature, operation)


def load_registry(handlers: Iterable[type[AnyHandler]] = ()) -> OperationRegistry:
    """This package's operations, those of others, and `handlers`. Raises `ConfigError` naming what is broken."""
    from importlib.metadata import entry_points

    registry = OperationRegistry(own_handlers())
    for point in sorted(entry_points(group=GROUP), key=lambda it: it.name):
        registry.register(_loaded(point))
    for handler in handlers:
        registry.register(handler)
    return registry


def _loaded(point: Any) -> type[AnyHandler]:
    package = point.dist.name if point.dist else "that brings it"
    try:
        found = point.load()
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise _broken(point, package, why) from error
    if not (isinstance(found, type) and issubclass(found, OperationHandler)):
        raise _broken(point, package, "it is no class of OperationHandler")
    if getattr(found, "operation_id", "") != point.name:
        raise _broken(point, package, f"its operation_id is not '{point.name}'")
    return found


def _broken(point: Any, package: str, why: str) -> ConfigError:
    return ConfigError(
        f"The operation '{point.name}' of the package {package} cannot be loaded.",
        f"{point.value}: {why}.",
        "Repair or remove that package.",
    )


def _check(handler: type[AnyHandler]) -> None:
    problems = [
        what
        for what, wrong in (
            ("its `operation_id` is not `feature.operation`", not _ID.fullmatch(getattr(handler, "operation_id", ""))),
            ("it has no `summary`", not getattr(handler, "summary", "")),
            ("its `request_schema` is no pydantic model", not _is_model(handler, "request_schema")),
            ("its `response_schema` is no pydantic model", not _is_model(handler, "response_schema")),
            ("it does not say how it is simulated", bool(getattr(handler, "__abstractmethods__", None))),
            ("its `rounds` are not 1 or 2", handler.rounds not in (1, 2)),
            ("an agent's name is no name, or there twice", not _agents_are_named(handler)),
        )
        if wrong
    ]
    if problems:
        raise ConfigError(
            f"{handler.__name__} is no whole operation.",
            "; ".join(problems) + ".",
            "See docs/how-to/add-an-operation.md.",
        )


def _is_model(handler: type[AnyHandler], name: str) -> bool:
    found = getattr(handler, name, None)
    return isinstance(found, type) and issubclass(found, BaseModel)


def _agents_are_named(handler: type[AnyHandler]) -> bool:
    names = [agent.name for agent in handler.agents]
    return len(set(names)) == len(names) and all(_AGENT.fullmatch(name) for name in names)
