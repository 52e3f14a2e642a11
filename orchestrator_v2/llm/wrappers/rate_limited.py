"""Waits before sending while the credential's limits leave no room; what it learns it shares with all on that key.

Where calls wait is `llm/lane.py`; sending again after an error is `retrying.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator_v2.core.errors import ProviderError
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.meter import estimate_prompt
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


def always_open() -> None:
    """The door of a client without a circuit."""


class RateLimitedClient(Wrapper):
    """`cap` is the longest wait in seconds. `door` raises for a call that would be refused after the wait too."""

    def __init__(
        self, inner: Invoker, lane: Lane, info: ModelInfo, *, cap: float, door: Callable[[], None] = always_open
    ) -> None:
        super().__init__(inner)
        self._lane = lane
        self._info = info
        self._cap = cap
        self._door = door

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """Raises what `Lane.enter` raises, unsent and final."""
        self._door()
        tokens = estimate_prompt(self._info, messages, options) if self._lane.counts_tokens else 0
        sent = await self._lane.enter(tokens, cap=self._cap)
        try:
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        except ProviderError as error:
            if error.status is None and error.unbilled:
                self._lane.give_back(sent)
            else:
                self._lane.pause(error.retry_after)
            raise
        used = completion.usage.input_tokens + completion.usage.output_tokens
        self._lane.settle(sent, used if used > 0 else tokens)
        return completion
