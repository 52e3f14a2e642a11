"""A model call as one span by OpenTelemetry's conventions for generative AI, with its tokens and its cost.

Two wrappers at two places of the chain (`llm/chain.py`), as neither place knows enough. `TracedClient` stands outside
`retrying` and `recorded`: there a call has a name in the ledger, however often it is sent, and its answer has a price.
It stands inside `whole`, which makes an error of an answer that was cut or refused, and paid for; what that asks for
once more is another call of the ledger's. It cannot tell an answer of the ledger from a sending that failed, so
`SendingClient` stands where `logged` does and tells it of each sending: they are the lines of the call log.

Who opens the tracer is `bootstrap`; the spans around a call are `agents/traced_agent.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from urllib.parse import urlsplit

from orchestrator_v2.core.tracing import Span, Tracer, Value, error_attributes
from orchestrator_v2.core.usage import NANO
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

# What the conventions call a provider, where that is not its name here.
PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
_OPERATION = "chat"


class _Sendings:
    """Of the call that is under way: its span, and how often it was sent."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.count = 0


_under_way: ContextVar[_Sendings | None] = ContextVar("model_call", default=None)


class TracedClient(Wrapper):
    """The span of a whole call; where nothing was sent for it, it is none of a client's and has used nothing."""

    def __init__(self, inner: Invoker, tracer: Tracer, info: ModelInfo) -> None:
        super().__init__(inner)
        self._tracer = tracer
        self._always = {**model_attributes(inner), **_server(info.base_url), "gen_ai.operation.name": _OPERATION}

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        with self._tracer.call(f"{_OPERATION} {self.model}", {**self._always, **_asked(options, key)}) as span:
            sendings = _Sendings(span)
            around = _under_way.set(sendings)
            try:
                completion = await self.inner.invoke(messages, options, key=key, sink=sink)
                span.set(_answered(completion))
                return completion
            finally:
                _under_way.reset(around)
                span.set({"orchestrator.sendings": sendings.count})


class SendingClient(Wrapper):
    """Tells the span of the call that is under way of one sending, and of how it failed."""

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        call = _under_way.get()
        if call is None:
            return await self.inner.invoke(messages, options, key=key, sink=sink)
        call.count += 1
        call.span.reached()
        sending = call.count
        try:
            return await self.inner.invoke(messages, options, key=key, sink=sink)
        except BaseException as error:
            call.span.event("sending_failed", {**error_attributes(error), "orchestrator.sending": sending})
            raise


def model_attributes(client: Invoker) -> dict[str, Value]:
    """Which model of whose, in the conventions' words."""
    return {
        "gen_ai.provider.name": PROVIDERS.get(client.provider, client.provider),
        "gen_ai.request.model": client.model,
    }


def _server(base_url: str) -> dict[str, Value]:
    parts = urlsplit(base_url)
    told: dict[str, Value] = {"server.address": parts.hostname} if parts.hostname else {}
    return told | {"server.port": parts.port} if told and parts.port else told


def _asked(options: InvokeOptions, key: str) -> dict[str, Value]:
    """The figures of the options alone: schemas, tools and stop sequences are words of a prompt."""
    told: dict[str, Value | None] = {
        "gen_ai.request.max_tokens": options.max_tokens,
        "gen_ai.request.temperature": options.temperature,
        "gen_ai.request.top_p": options.top_p,
        "orchestrator.reasoning": options.reasoning or None,
        "gen_ai.request.seed": options.seed,
        "gen_ai.output.type": "text" if options.response_schema is None else "json",
        "orchestrator.call": key or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _answered(completion: Completion) -> dict[str, Value]:
    """What a recorded answer used was told when it was sent: sums over spans are what was spent."""
    told: dict[str, Value] = {
        "gen_ai.response.finish_reasons": (completion.finish_reason,),
        "orchestrator.made_by": completion.provenance.kind,
        "orchestrator.recorded": completion.recorded,
    }
    if completion.provenance.model:
        told["gen_ai.response.model"] = completion.provenance.model
    return told if completion.recorded else told | _used(completion)


def _used(completion: Completion) -> dict[str, Value]:
    usage = completion.usage
    told: dict[str, Value] = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
    }
    return told if completion.cost is None else told | {"orchestrator.cost_usd": completion.cost / NANO}
