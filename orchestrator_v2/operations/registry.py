"""Which operations there are: an explicit list of this package's, and those that other packages bring by entry point.

What a handler is stands in `handler.py`, what makes one whole in `soundness.py`. Nothing is registered by its import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.operation_errors import UnknownFeatureError, UnknownOperationError
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.soundness import sound, told

# The name of an entry point is the operation's id; what it points at is a class of `OperationHandler`.
GROUP = "orchestrator_v2.operations"


def own_handlers() -> tuple[type[AnyHandler], ...]:
    """The operations of this package."""
    from orchestrator_v2.operations.features.pillars.handlers import HANDLERS

    return HANDLERS


class OperationRegistry:
    """Handlers by their id; made by `load_registry`, or of one's own classes."""

    def __init__(self, handlers: Iterable[type[AnyHandler]] = ()) -> None:
        self._handlers: dict[str, AnyHandler] = {}
        self._broken: dict[str, str] = {}
        for handler in handlers:
            self.register(handler)

    def register(self, handler: type[AnyHandler]) -> None:
        """Raises `ConfigError` for a class that is no whole handler, and for an id that is taken."""
        self.keep(sound(handler))

    def keep(self, handler: AnyHandler) -> None:
        """`register` for one that is known to be sound. Raises `ConfigError` for an id that is taken."""
        taken = self._handlers.setdefault(handler.operation_id, handler)
        if taken is not handler:
            raise ConfigError(
                f"The operation '{handler.operation_id}' is registered twice.",
                f"{type(taken).__name__} has that id.",
                f"Give {type(handler).__name__} another `operation_id`.",
            )

    def set_aside(self, name: str, why: str) -> None:
        """Keeps of an operation only what is wrong with it: the others are not to suffer for it."""
        self._broken[name] = "; ".join(filter(None, (self._broken.get(name), why)))

    @property
    def broken(self) -> Mapping[str, str]:
        """The operations that are set aside: id to which package brings it, and what is wrong with it there."""
        return dict(sorted(self._broken.items()))

    def all(self) -> Mapping[str, AnyHandler]:
        """Id to handler, in the order of the ids."""
        return dict(sorted(self._handlers.items()))

    def find(self, feature: str, operation: str) -> AnyHandler:
        """Raises `UnknownFeatureError`, `UnknownOperationError`, each with what there is and the nearest match.

        For an operation that is set aside it raises `ConfigError` with what is wrong with which package.
        """
        name = f"{feature}.{operation}"
        found = self._handlers.get(name)
        if found is not None:
            return found
        if name in self._broken:
            raise ConfigError(
                f"The operation '{name}' is set aside.", f"{self._broken[name]}.", "Repair or remove that package."
            )
        features = {handler.feature() for handler in self._handlers.values()}
        if feature not in features:
            raise UnknownFeatureError(feature, features)
        valid = [it.operation() for it in self._handlers.values() if it.feature() == feature]
        raise UnknownOperationError(operation, valid, feature=feature)

    def named(self, operation_id: str) -> AnyHandler:
        """The handler of `feature.operation`."""
        feature, _, operation = operation_id.partition(".")
        return self.find(feature, operation)


def load_registry(handlers: Iterable[type[AnyHandler]] = ()) -> OperationRegistry:
    """This package's operations, those of others, and `handlers`.

    What is broken in another package is set aside, see `OperationRegistry.broken`. Raises `ConfigError` for what is
    wrong with one of `handlers`.
    """
    from importlib.metadata import entry_points

    registry = OperationRegistry()
    for own in own_handlers():
        registry.keep(own())  # whether they are sound is for this package's tests to say, not for each start
    points = [(point.name, _package(point), point) for point in entry_points(group=GROUP)]
    for name, package, point in sorted(points, key=lambda it: it[:2]):
        try:
            registry.register(_loaded(point))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - others' code may raise anything; it is told
            registry.set_aside(name, f"The package {package} brings it as {point.value}: {told(error)}")
    for handler in handlers:
        registry.register(handler)
    return registry


def _package(point: Any) -> str:
    """Its name; half an installation has none."""
    try:
        name = point.dist.name
    except (AttributeError, TypeError, OSError):
        name = None
    return f"'{name}'" if name else "(without a name)"


def _loaded(point: Any) -> type[AnyHandler]:
    found: type[AnyHandler] = point.load()
    if getattr(found, "operation_id", point.name) != point.name:
        raise ConfigError(f"Its `operation_id` is not '{point.name}'.")
    return found
