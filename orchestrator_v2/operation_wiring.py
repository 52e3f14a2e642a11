"""Operations beside projects in one engine: the handlers, their prompts, and which runner a task goes to.

All of it is loaded when the first operation is asked for; who asks is `operations/orchestrator.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestrator_v2.engine.ports import RunContext, TaskRunner
from orchestrator_v2.engine.state_models import TaskDefinition, TaskOutcome
from orchestrator_v2.llm.base import Invoker

_log = logging.getLogger(__name__)

ClientForTask = Callable[[TaskDefinition, RunContext], Awaitable[Invoker]]


class OperationWiring:
    """`handlers` are further classes of `OperationHandler`, beside the package's own and those of entry points."""

    def __init__(self, handlers: Sequence[type[Any]] = ()) -> None:
        self._handlers = tuple(handlers)
        self._registry: Any = None
        self._sources: dict[str, str] = {}
        self._prompts: dict[str, Any] = {}

    def registry(self) -> Any:
        """The `OperationRegistry`; what other packages bring in a broken state is set aside, with a warning in the log.

        Raises `ConfigError` for what is wrong with a handler that was given.
        """
        if self._registry is None:
            from orchestrator_v2.operations.registry import load_registry

            self._registry = load_registry(self._handlers)
            for name, why in self._registry.broken.items():
                _log.warning("The operation '%s' is set aside. %s.", name, why)
        return self._registry

    def prompts(self, handler: Any) -> Any:
        """The handler's `OperationPrompts`, read once. Raises `ConfigError` where its template is missing."""
        if handler.operation_id not in self._prompts:
            from orchestrator_v2.agents.templates import load_templates
            from orchestrator_v2.operations.prompts import OperationPrompts

            self._sources = self._sources or load_templates()
            self._prompts[handler.operation_id] = OperationPrompts(handler, self._sources)
        return self._prompts[handler.operation_id]

    def tasks(self, client_for: ClientForTask, projects: TaskRunner) -> TaskRunner:
        """The runner of both: a run that answers an operation has steps of its own, all others have phases."""
        opened: list[TaskRunner] = []

        async def run(task: TaskDefinition, context: RunContext) -> TaskOutcome:
            if not context.state.begun.operation:
                return await projects(task, context)
            if not opened:
                from orchestrator_v2.operations.runner import OperationRunner

                opened.append(OperationRunner(self.registry, self.prompts, client_for))
            return await opened[0](task, context)

        return run
