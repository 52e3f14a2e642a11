"""Sends nothing to an origin that does not answer, and lets one call through now and then to see whether it does.

The state is `llm/circuit.py`, shared by all clients of the origin.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core.errors import ProviderError, ProviderUnavailableError
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.circuit import Circuit
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class CircuitClient(Wrapper):
    def __init__(self, inner: Invoker, circuit: Circuit) -> None:
        super().__init__(inner)
        self._circuit = circuit

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """Raises `ProviderUnavailableError`, unsent and unbilled, while the circuit is open."""
        era = self._circuit.admit()
        try:
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        except ProviderError as error:
            self._judge(era, error)
            raise
        except BaseException:
            self._circuit.released(era)
            raise
        self._circuit.succeeded(era)
        return completion

    def _judge(self, era: int, error: ProviderError) -> None:
        """A 4xx is an answer, also where it is retried (408, 409); what was never sent says nothing."""
        is_answer = error.status is not None and error.status < 500
        if isinstance(error, ProviderUnavailableError) and not is_answer:
            self._circuit.failed(era, error)
        elif is_answer:
            self._circuit.succeeded(era)
        else:
            self._circuit.released(era)
