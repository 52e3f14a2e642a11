"""The seam of tracing: what a part that is traced asks of a tracer, and the tracer that does nothing.

The one that sends spans to a collector is `telemetry/tracing.py`. What goes into a span are names, figures and codes:
no prompt, answer, brief, file or key, and of an error its class and code, never its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from orchestrator_v2.core.errors import OrchestratorError, ProviderError
from orchestrator_v2.core.usage import NANO, Usage

Value = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Value]
NONE: Attributes = {}


class Span(Protocol):
    """Something that takes time. An error that leaves its `with` block marks it as failed."""

    def set(self, attributes: Attributes) -> None: ...

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        """Notes something that happened at this moment."""
        ...

    def failed(self, attributes: Attributes) -> None:
        """Marks it as failed, as `error_attributes` tell of an error."""
        ...

    def reached(self) -> None:
        """Something went to a server: a span that was opened by `call` is a client's from here on."""
        ...


class Tracer(Protocol):
    """Where `on` is False, whoever builds a chain of parts leaves out those that are there for tracing alone."""

    @property
    def on(self) -> bool: ...

    def span(
        self,
        name: str,
        attributes: Attributes = NONE,
        *,
        carried: Attributes = NONE,
        parent: Span | None = None,
        root: bool = False,
    ) -> AbstractContextManager[Span]:
        """A piece of this process's own work, inside the span around it.

        `carried` is also set on all spans inside. `parent` stands in for the span around it, which is not the right
        one where a task was started by somebody else's; `root` begins a trace.
        """
        ...

    def call(self, name: str, attributes: Attributes = NONE) -> AbstractContextManager[Span]:
        """A call with nothing inside; whether it went to a server may turn out on the way."""
        ...

    async def aclose(self) -> None:
        """Sends what is left, for a few seconds at most; raises nothing."""
        ...


class _NoSpan:
    def __enter__(self) -> _NoSpan:
        return self

    def __exit__(self, *error: object) -> None:
        """Errors pass."""

    def set(self, attributes: Attributes) -> None: ...

    def event(self, name: str, attributes: Attributes = NONE) -> None: ...

    def failed(self, attributes: Attributes) -> None: ...

    def reached(self) -> None: ...


_NO_SPAN = _NoSpan()


class NoTracer:
    """The tracer of whoever wants no traces."""

    on = False

    def span(
        self,
        name: str,
        attributes: Attributes = NONE,
        *,
        carried: Attributes = NONE,
        parent: Span | None = None,
        root: bool = False,
    ) -> AbstractContextManager[Span]:
        return _NO_SPAN

    def call(self, name: str, attributes: Attributes = NONE) -> AbstractContextManager[Span]:
        return _NO_SPAN

    async def aclose(self) -> None:
        """Nothing is open."""


NO_TRACER = NoTracer()


def error_attributes(error: BaseException) -> dict[str, Value]:
    """An error by its class, its code and its HTTP status: its text may hold what somebody wrote."""
    told: dict[str, Value] = {"error.type": type(error).__name__}
    if isinstance(error, OrchestratorError):
        told["orchestrator.error.code"] = error.code
    if isinstance(error, ProviderError) and error.status is not None:
        told["http.response.status_code"] = error.status
    return told


def total_attributes(usage: Usage) -> dict[str, Value]:
    """What all calls inside used, under names of its own: a sum over the calls' spans must not count it twice."""
    told: dict[str, Value] = {
        "orchestrator.total.calls": usage.calls,
        "orchestrator.total.input_tokens": usage.input_tokens,
        "orchestrator.total.output_tokens": usage.output_tokens,
    }
    return told if usage.cost is None else told | {"orchestrator.total.cost_usd": usage.cost / NANO}
