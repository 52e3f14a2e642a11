"""Tools that a model may ask for: typed Python functions under names, and how one wish of a model is carried out.

The rounds of a conversation with tools are `tool_loop.py`, tools of MCP servers `mcp_tools.py`; what one tool is, and
how a function becomes one, is `tool_signature.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from orchestrator_v2.core.errors import ConfigError, OrchestratorError, StoreError
from orchestrator_v2.llm.structured import clean_text
from orchestrator_v2.llm.tool_signature import DEFAULT_TIMEOUT, Tool, ToolFailure, tool_from_function
from orchestrator_v2.llm.types import ToolCall, ToolResult, ToolSpec

__all__ = ["RESULT_CAP", "Tool", "ToolFailure", "ToolRegistry"]

F = TypeVar("F", bound=Callable[..., Any])

# What every provider takes as a name.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Characters of one result; what is over it would push the prompt out of the window.
RESULT_CAP = 50_000


class ToolRegistry:
    """Tools by name. Nothing of it is sent to a model before `run_with_tools` is told to."""

    def __init__(self, *, result_cap: int = RESULT_CAP) -> None:
        self._tools: dict[str, Tool] = {}
        self._result_cap = result_cap

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told, in the order in which the tools were added."""
        return tuple(tool.spec for tool in self._tools.values())

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def add(
        self,
        function: F,
        *,
        name: str = "",
        description: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        repeatable: bool = False,
    ) -> F:
        """Adds a function, sync or async, and gives it back, so that this is a decorator too.

        Its docstring is what the model is told of it, its annotated parameters are the schema. A sync function runs in
        a thread, which a timeout leaves behind: it cannot be stopped. Raises `ConfigError` for what cannot be a tool.
        """
        self.add_tool(
            tool_from_function(function, name=name, description=description, timeout=timeout, repeatable=repeatable)
        )
        return function

    def add_tool(self, tool: Tool) -> None:
        """Adds a tool that was put together elsewhere. Raises `ConfigError` for a name that cannot be one."""
        name = tool.spec.name
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"A tool cannot be called '{name[:100]}'.", "Providers take 1 to 64 letters, digits, _ and -."
            )
        if name in self._tools:
            raise ConfigError(
                f"There are two tools called '{name}'.", "A model could not tell them apart.", "Rename one."
            )
        self._tools[name] = tool

    async def run(self, call: ToolCall) -> ToolResult:
        """What the tool gave, or what went wrong, in words for the model.

        Raises only what stops the run that asked: an error that parks it, or one of its store.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            names = ", ".join(sorted(self._tools)) or "none"
            return self._result(call, f"There is no tool named '{call.name[:64]}'. Tools: {names}.", is_error=True)
        limit = asyncio.timeout(tool.timeout)
        try:
            async with limit:
                return self._result(call, await tool.call(call.arguments))
        except ToolFailure as failure:
            return self._result(call, str(failure), is_error=True)
        except Exception as error:
            # A tool is somebody's code: whatever it raises, the model is told.
            if isinstance(error, StoreError) or (isinstance(error, OrchestratorError) and error.parks_as):
                raise
            late = f"The tool took longer than {tool.timeout:g} s."
            words = late if limit.expired() else f"The tool failed: {type(error).__name__}: {error}"
            return self._result(call, words, is_error=True)

    def _result(self, call: ToolCall, text: str, *, is_error: bool = False) -> ToolResult:
        clean = clean_text(text)
        if len(clean) > self._result_cap:
            clean = f"{clean[: self._result_cap]}\n[cut here: {len(clean)} characters in all]"
        return ToolResult(call.id, clean, is_error)
