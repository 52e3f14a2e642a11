"""Asks operations from the command line: shows the steps, drains on a signal, prints the answer, gives the exit code.

Which commands there are is `op_commands.py`, what is printed `op_views.py`; projects are driven by `driving.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestrator_v2.cli import exit_codes
from orchestrator_v2.cli.driving import draining
from orchestrator_v2.cli.given import Given
from orchestrator_v2.cli.op_views import OperationSteps, say_left, say_response
from orchestrator_v2.core.operation_errors import OperationError

T = TypeVar("T")
GO_ON = "orchestrator op resume"
Question = Callable[[Any], Awaitable[T]]


def look(options: Given, question: Question[T]) -> T:
    """What opened operations give to a question that begins nothing."""

    async def looked() -> T:
        async with await options.open_operations() as operations:
            return await question(operations)

    return asyncio.run(looked())


def ask(options: Given, question: Question[Any], *, as_json: bool) -> int:
    """Prints the response that `question` comes to, and gives the exit code."""
    return asyncio.run(_ask(options, question, as_json))


async def _ask(options: Given, question: Question[Any], as_json: bool) -> int:
    steps = OperationSteps()
    async with await options.open_operations(listener=steps) as operations:
        asked = _Asked(operations, steps, question)
        with draining(asked, steps, GO_ON) as stopping:
            try:
                response = await asked.task
            except (OperationError, asyncio.CancelledError):
                if not stopping.signal:
                    raise
                left = await _left(operations, steps.run_id)
                if left is None and not asked.task.cancelled():
                    raise
                say_left(left, GO_ON, as_json=as_json)
                return exit_codes.SIGNALLED + stopping.signal
    return say_response(response, as_json=as_json)


async def _left(operations: Any, run_id: str) -> Any:
    """The response of a run that was drained, as it stands; None where it came to an end of its own."""
    if not run_id:
        return None
    found = await operations.response(run_id)
    return found if found.metadata.status in ("running", "paused") else None


class _Asked:
    """A question under way. Stopped, it ends with the calls that are in flight, or at once where there are none."""

    def __init__(self, operations: Any, steps: OperationSteps, question: Question[Any]) -> None:
        self._operations = operations
        self._steps = steps
        self.task: asyncio.Future[Any] = asyncio.ensure_future(question(operations))

    def stop(self) -> None:
        self._operations.stop()
        if not self._steps.run_id:
            # Nothing was begun here: it waits for a model to be chosen, or for another process that has the run.
            self.task.cancel()
