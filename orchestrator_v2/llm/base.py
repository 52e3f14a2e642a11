"""The seams of the model layer: what every provider's client and wrapper looks like, and what some can do besides.

What a caller holds is `client.py`; concrete ones are in `providers/` (one wire a file) and `wrappers/` (one concern).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from orchestrator_v2.core.errors import ProviderError
from orchestrator_v2.llm.types import Completion, Embeddings, InvokeOptions, Message

DEFAULT_OPTIONS = InvokeOptions()

# Is told each piece of the answer's text as it comes; must not raise.
Sink = Callable[[str], None]


def no_sink(piece: str) -> None:
    """The sink of a caller who wants the whole answer only."""


class Invoker(Protocol):
    """One model behind one credential; wrappers are invokers around invokers."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The whole answer, or a `ProviderError`, `BudgetError` or `StoreError`.

        `key` names the call within its run (`development/act/3`); the recording wrapper needs one. Once `sink` was
        told a piece, nobody sends the call again: what was handed out cannot be taken back.
        """
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class TokenCounter(Protocol):
    """A provider's client that can ask its server how many tokens a request has."""

    async def count_tokens(self, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> int:
        """Tokens of the whole request, by the provider's own count. Raises `ProviderError`."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """A provider's client whose model turns texts into vectors."""

    async def embed(self, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """One vector for each text, in order. Raises `ProviderError`."""
        ...


@runtime_checkable
class Batcher(Protocol):
    """A provider's client that also takes a call to be answered within a day, for a part of the price."""

    async def hand_in(self, name: str, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> str:
        """Gives the call in as a batch of one and returns the provider's handle on it. Raises `ProviderError`.

        `name` marks the call in the batch: up to 64 letters, digits, `-` and `_`.
        """
        ...

    async def collect(self, handle: str, name: str) -> Completion | ProviderError | None:
        """The answer, or the error that the call ended in; None while it is being worked on.

        Raises `ProviderError` when that could not be learned, `BatchLostError` where the provider has no batch of
        that handle: the call itself is as it was.
        """
        ...


@runtime_checkable
class Reachable(Protocol):
    """A provider whose server can be asked, without a model call and for free, which models it has."""

    async def list_models(self) -> list[str]:
        """Names of the models that the server offers. Raises `ProviderError` when it cannot be reached."""
        ...


def innermost(client: Invoker) -> Invoker:
    """The provider's own client, which may be able to do more than the wrappers around it."""
    while (inner := getattr(client, "inner", None)) is not None:
        client = inner
    return client


class Delivery:
    """A sink that remembers whether anything was handed out."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._is_heard: bool = sink._is_heard if isinstance(sink, Delivery) else sink is not no_sink
        self.started = False

    def __call__(self, piece: str) -> None:
        if self._is_heard:
            self.started = True
            self._sink(piece)
