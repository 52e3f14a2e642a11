"""One structured record for each call that was really sent; what becomes of it is the sink's.

The sink that writes JSON lines is `llm/call_log.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.retry import attempt_number
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

CallLog = Callable[[dict[str, Any]], None]
EXCERPT = 500
_LOOKED_AT = 16_384


class LoggedClient(Wrapper):
    """`excerpts=False` leaves prompts and answers out. `secrets` are redacted by value, before anything is cut."""

    def __init__(
        self,
        inner: Invoker,
        log: CallLog,
        meter: Meter,
        *,
        clock: Clock,
        secrets: Sequence[Secret] = (),
        excerpts: bool = True,
    ) -> None:
        super().__init__(inner)
        self._log = log
        self._meter = meter
        self._clock = clock
        self._secrets = tuple(secrets)
        self._excerpts = excerpts

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        started = self._clock.monotonic()
        record: dict[str, Any] = {
            "at": self._clock.now(),
            "key": key,
            "attempt": attempt_number.get(),
            "provider": self.provider,
            "model": self.model,
            "max_tokens": options.max_tokens,
            "prompt": self._excerpt("\n\n".join(message.content for message in messages)),
        }
        try:
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        except BaseException as error:
            self._log({**record, **self._failure(error), "latency": self._clock.monotonic() - started})
            raise
        self._log({**record, **self._success(completion, messages, options)})
        return completion

    def _success(self, completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
        settled = self._meter.settle(completion, messages, options)
        return {
            "outcome": "done",
            "made_by": str(completion.provenance),
            "finish_reason": completion.finish_reason,
            "request_id": completion.request_id,
            "answer": self._excerpt(completion.text),
            "input_tokens": settled.usage.input_tokens,
            "output_tokens": settled.usage.output_tokens,
            "cost_nano_usd": settled.cost,
            "latency": completion.latency,
            "notes": list(settled.notes),
        }

    def _failure(self, error: BaseException) -> dict[str, Any]:
        code = error.code if isinstance(error, OrchestratorError) else type(error).__name__
        return {"outcome": "failed", "error": code, "reason": redact(str(error), self._secrets)[:EXCERPT]}

    def _excerpt(self, text: str) -> str:
        # Redacted before it is cut, so that no half of a key is left; of a large prompt only as much as can matter.
        return redact(text[:_LOOKED_AT], self._secrets)[:EXCERPT] if self._excerpts else ""
