"""One structured record for each call that was really sent; what becomes of it is the sink's.

The sink that writes JSON lines is `llm/call_log.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import BatchPendingError, OrchestratorError, ProviderError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.call_log import ledger_row
from orchestrator_v2.llm.errors import unsettled_charge
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.retry import attempt_number
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

CallLog = Callable[[dict[str, Any]], None]
EXCERPT = 500
# Of a large prompt only as much as can matter.
_LOOKED_AT = 16_384


class LoggedClient(Wrapper):
    """`excerpts=False` leaves prompts and answers out. `secrets` are redacted by value, before anything is cut.

    A line is tied to its row in the ledger by `row` (where a ledger is kept), and to the others of its call by `key`.
    """

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
            "row": ledger_row.get(),
            "key": key,
            "attempt": attempt_number.get(),
            "provider": self.provider,
            "model": self.model,
            "options": _told(options),
            "prompt": self._excerpt("\n\n".join(message.content for message in messages)),
        }
        try:
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        except BaseException as error:
            failure = self._failure(error, messages, options)
            self._log({**record, **failure, "latency": self._clock.monotonic() - started})
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
            "cache_read_tokens": settled.usage.cache_read_tokens,
            "cache_write_tokens": settled.usage.cache_write_tokens,
            "cost_nano_usd": settled.cost,
            "latency": completion.latency,
            "notes": list(settled.notes),
        }

    def _failure(self, error: BaseException, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
        """`cost_nano_usd` is what the ledger charges: 0, or all that was reserved where it may have been billed."""
        return {
            "outcome": "submitted" if isinstance(error, BatchPendingError) else "failed",
            "error": error.code if isinstance(error, OrchestratorError) else type(error).__name__,
            "status": error.status if isinstance(error, ProviderError) else None,
            "reason": self._shown(str(error)),
            "cost_nano_usd": unsettled_charge(error, self._meter.reserve(messages, options)),
        }

    def _excerpt(self, text: str) -> str:
        return self._shown(text[:_LOOKED_AT]) if self._excerpts else ""

    def _shown(self, text: str) -> str:
        """Redacted before it is cut, so that no half of a key is left; what is no Unicode cannot be written down."""
        return redact(text, self._secrets)[:EXCERPT].encode("utf-8", "replace").decode()


def _told(options: InvokeOptions) -> dict[str, Any]:
    """The options that were set, without the texts and pictures in them."""
    told: dict[str, Any] = {
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "reasoning": options.reasoning or None,
        "timeout": options.timeout,
        "seed": options.seed,
        "stop_sequences": len(options.stop_sequences) or None,
        "schema": True if options.response_schema is not None else None,
        "tools": [tool.name for tool in options.tools] or None,
        "images": len(options.images) or None,
        "cache": None if options.cache else False,
        "native_search": options.native_search or None,
    }
    return {name: value for name, value in told.items() if value is not None}
