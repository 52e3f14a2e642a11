"""Sends a failed call again, and makes the calls on one credential wait together when the provider asks for it.

How often and how long is `llm/retry.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ProviderError, RateLimitedError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Delivery, Invoker, Sink, no_sink
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.lane import Lane
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
        lane: Lane | None = None,
    ) -> None:
        super().__init__(inner)
        self._config = config
        self._clock = clock
        self._random = random
        self._probe = probe
        self._lane = lane or Lane()

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
            await self._wait_for_others()
            attempts += 1
            try:
                return await self.inner.invoke(messages, options, key=key, sink=delivery)
            except ProviderError as error:
                self._lane.hold_until = max(self._lane.hold_until, self._clock.monotonic() + (error.retry_after or 0.0))
                error.final = error.final or delivery.started
                raise

        completion = await retry_async(send, self._config, clock=self._clock, random=self._random, probe=self._probe)
        return completion if attempts == 1 else msgspec.structs.replace(completion, attempts=attempts)

    async def _wait_for_others(self) -> None:
        while (left := self._lane.hold_until - self._clock.monotonic()) > 0:
            if left > self._config.retry_after_cap:
                error = make_error(RateLimitedError, "Another call was told to wait.", status=429, unbilled=True)
                error.retry_after = left
                raise error
            await self._clock.sleep(left)
