"""Checks that a call fits the model's window before it is sent, and puts its cost on the answer.

The arithmetic is `llm/meter.py`; the reservation is committed by `recorded.py`, which asks the same meter.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class MeteredClient(Wrapper):
    def __init__(self, inner: Invoker, meter: Meter) -> None:
        super().__init__(inner)
        self._meter = meter

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        await self._meter.check_window(messages, options, self.inner)
        completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        return self._meter.settle(completion, messages, options)
