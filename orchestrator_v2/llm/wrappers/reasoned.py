"""Puts the effort that a model is asked for into each of its calls.

For the first model it stands outside `recorded`, so that the request's hash holds it; for another one that may take
its place, around that one alone. What each model takes is data, in `llm/vendors/*.json`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class ReasonedClient(Wrapper):
    """`instead`: what the call says was meant for another model, and does not count."""

    def __init__(self, inner: Invoker, effort: str, *, instead: bool = False) -> None:
        super().__init__(inner)
        self._effort = effort
        self._instead = instead

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        effort = self._effort if self._instead else options.reasoning or self._effort
        if effort != options.reasoning:
            options = msgspec.structs.replace(options, reasoning=effort)
        return await self.inner.invoke(messages, options, key=key, sink=sink)
