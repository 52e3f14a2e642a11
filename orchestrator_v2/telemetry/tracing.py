"""Sends spans to an OpenTelemetry collector by OTLP over HTTP; where that is, its own OTEL_* variables say.

The seam and the tracer that does nothing are `core/tracing.py`; which spans there are is `traced_runs.py`,
`agents/traced_agent.py` and `llm/wrappers/traced.py`; what becomes of them on the wire is `trace_export.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from orchestrator_v2.core.errors import BatchPendingError, ConfigError, MissingExtraError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.tracing import NONE, Attributes, Span, Value, error_attributes
from orchestrator_v2.telemetry.trace_export import ToldOnce

INSTALL = "pip install 'orchestrator-v2[otel]'"
# How long a process that ends waits for the collector (seconds).
FLUSH = 5.0
# Names are short; more than this of one is a mistake, or somebody's text.
LONGEST = 256
_SCOPE = "orchestrator_v2"

# Our own and not the one of OpenTelemetry's API: what instruments HTTP clients, and some SDKs by themselves, put that
# one into the headers of whatever is sent meanwhile, and so of model calls.
_current: ContextVar[_Work | None] = ContextVar("orchestrator_span", default=None)


def open_tracer(version: str, *, secrets: Collection[Secret] = (), flush: float = FLUSH) -> OtelTracer:
    """A tracer that sends in the background; close it. `secrets` are redacted by value, as in every sink.

    `flush` is how long closing it may take (seconds).

    Raises `MissingExtraError` without the packages, `ConfigError` where the OTEL_* variables cannot be used.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError("What sends traces is not installed.", "", f"Run: {INSTALL}") from error
    # Of the detectors of OpenTelemetry this one alone: another tells the command line, and with it the brief.
    resource = Resource({"service.name": "orchestrator", "service.version": version})
    resource = resource.merge(OTELResourceDetector().detect())
    try:
        # Closed here and not at the interpreter's end, where the SDK would wait for half a minute.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = ToldOnce(OTLPSpanExporter())
        provider.add_span_processor(BatchSpanProcessor(exporter))  # type: ignore[arg-type]
    except Exception as error:
        raise ConfigError(
            "Traces cannot be sent as the OTEL_* variables say.",
            f"{type(error).__name__}: {error}.",
            "Correct them, or set ORCHESTRATOR_TRACES=off.",
        ) from error
    return OtelTracer(provider, secrets=secrets, exporter=exporter, flush=flush)


class OtelTracer:
    """The `Tracer` over a `TracerProvider` of OpenTelemetry's SDK, which it owns and no global knows."""

    on = True

    def __init__(
        self,
        provider: Any,
        *,
        secrets: Collection[Secret] = (),
        exporter: ToldOnce | None = None,
        flush: float = FLUSH,
    ) -> None:
        from opentelemetry import trace

        self._api = trace
        self._provider = provider
        self._tracer = provider.get_tracer(_SCOPE)
        self._secrets = secrets
        self._exporter = exporter
        self._flush = flush

    def span(
        self,
        name: str,
        attributes: Attributes = NONE,
        *,
        carried: Attributes = NONE,
        parent: Span | None = None,
        root: bool = False,
    ) -> AbstractContextManager[Span]:
        around = None if root else parent if isinstance(parent, _Work) else _current.get()
        return _Work(self, name, attributes, carried, around)

    def call(self, name: str, attributes: Attributes = NONE) -> AbstractContextManager[Span]:
        return _Call(self, name, attributes)

    async def aclose(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, name="traces-flush", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, self._flush)
        if self._exporter is not None and ending.is_alive():
            self._exporter.give_up()

    def begin(
        self, name: str, attributes: Attributes, around: _Work | None, *, client: bool = False, at: int | None = None
    ) -> Any:
        """A span of the SDK inside `around`; with none, a trace that is linked to what it was asked for by."""
        from opentelemetry.context import Context

        asked_by = self._api.get_current_span().get_span_context()
        links = [self._api.Link(asked_by)] if around is None and asked_by.is_valid else []
        context = Context() if around is None else self._api.set_span_in_context(around.told, Context())
        return self._tracer.start_span(
            self._text(name),
            context=context,
            kind=self._api.SpanKind.CLIENT if client else self._api.SpanKind.INTERNAL,
            attributes=self.clean(attributes),
            links=links,
            start_time=at,
        )

    def fail(self, told: Any, attributes: Attributes) -> None:
        told.set_attributes(self.clean(attributes))
        told.set_status(self._api.Status(self._api.StatusCode.ERROR))

    def clean(self, attributes: Attributes) -> dict[str, Any]:
        return {name: self._value(value) for name, value in attributes.items()}

    def _value(self, value: Value) -> Any:
        if isinstance(value, tuple):
            return [self._text(one) for one in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        """Without keys, before it is cut; what is no Unicode cannot be sent."""
        return redact(text, self._secrets)[:LONGEST].encode("utf-8", "replace").decode()


class _Work:
    """A span of our own work; the spans that are opened meanwhile, also in tasks that it starts, are inside it."""

    def __init__(
        self, tracer: OtelTracer, name: str, attributes: Attributes, carried: Attributes, around: _Work | None
    ) -> None:
        self._tracer = tracer
        self._around = around
        self.carried: Attributes = {**(around.carried if around is not None else {}), **carried}
        self.told = tracer.begin(name, {**self.carried, **attributes}, around)
        self._before: _Work | None = None

    def __enter__(self) -> _Work:
        self._before = _current.get()
        _current.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # Set and not reset: a coroutine that is thrown away is closed in a context that the token is not of.
        _current.set(self._before)
        _mark(self, error)
        self.told.end()

    def set(self, attributes: Attributes) -> None:
        self.told.set_attributes(self._tracer.clean(attributes))

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        self.told.add_event(name, self._tracer.clean(attributes))

    def failed(self, attributes: Attributes) -> None:
        self._tracer.fail(self.told, attributes)

    def reached(self) -> None:
        """Our own work stays ours."""


class _Call:
    """A span that is written down at its end, as the kind of a span cannot be changed once it has begun."""

    def __init__(self, tracer: OtelTracer, name: str, attributes: Attributes) -> None:
        self._tracer = tracer
        self._name = name
        self._around = _current.get()
        self._attributes = {**(self._around.carried if self._around is not None else {}), **attributes}
        self._events: list[tuple[str, Attributes, int]] = []
        self._failure: Attributes | None = None
        self._is_client = False
        self._began = time.time_ns()

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        _mark(self, error)
        told = self._tracer.begin(self._name, self._attributes, self._around, client=self._is_client, at=self._began)
        for name, attributes, at in self._events:
            told.add_event(name, self._tracer.clean(attributes), timestamp=at)
        if self._failure is not None:
            self._tracer.fail(told, self._failure)
        told.end()

    def set(self, attributes: Attributes) -> None:
        self._attributes.update(attributes)

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        self._events.append((name, attributes, time.time_ns()))

    def failed(self, attributes: Attributes) -> None:
        self._failure = attributes

    def reached(self) -> None:
        self._is_client = True


def _mark(span: Span, error: BaseException | None) -> None:
    """A batch that is not answered yet is no failure: the run sleeps until it is."""
    if isinstance(error, BatchPendingError):
        span.set({"orchestrator.waits_for": error.code})
    elif error is not None:
        span.failed(error_attributes(error))
