"""What every wrapper shares: it is a client with another client inside.

What each adds is in its own file; the order in which they stand is set in `llm/chain.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message


class Wrapper:
    def __init__(self, inner: Invoker) -> None:
        self.inner = inner

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def model(self) -> str:
        return self.inner.model

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        return await self.inner.invoke(messages, options, key=key, sink=sink)

    async def aclose(self) -> None:
        await self.inner.aclose()
