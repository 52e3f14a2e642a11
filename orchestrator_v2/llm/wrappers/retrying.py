"""Sends a failed call again.

How often and how long is `llm/retry.py`; that all calls on one credential wait together is `rate_limited.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ProviderError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Delivery, Invoker, Sink, no_sink
from orchestrator_v2.llm.retry import RetryConfig, retry_async
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class RetryingClient(Wrapper):
    def __init__(
        self,
        inner: Invoker,
        *,
        config: RetryConfig,
        clock: Clock,
        random: Random,
        probe: Probe = no_probe,
    ) -> None:
        super().__init__(inner)
        self._config = config
        self._clock = clock
        self._random = random
        self._probe = probe

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        attempts = 0
        delivery = Delivery(sink)

        async def send() -> Completion:
            nonlocal attempts
            attempts += 1
            try:
                return await self.inner.invoke(messages, options, key=key, sink=delivery)
            except ProviderError as error:
                error.final = error.final or delivery.started
                raise

        completion = await retry_async(send, self._config, clock=self._clock, random=self._random, probe=self._probe)
        return completion if attempts == 1 else msgspec.structs.replace(completion, attempts=attempts)
