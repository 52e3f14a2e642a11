"""A stream of server-sent events read to its whole end: what every wire's reader does, whatever its events hold.

What an event means, and what a whole answer ends with, is each provider's `*_stream.py`; how bytes become events is
`sse.py`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, StreamTruncatedError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.assembly import TextAssembly
from orchestrator_v2.llm.base import Sink
from orchestrator_v2.llm.errors import from_exception, make_error
from orchestrator_v2.llm.sse import SSEDecoder
from orchestrator_v2.llm.wire import drain

Event = TypeVar("Event")


class EventStream(ABC, Generic[Event]):
    """After `read` the answer is whole, or a `ProviderError` was raised. `_started` tells that some of it has come."""

    def __init__(
        self, decoder: msgspec.json.Decoder[Event], probe: Probe, secrets: Iterable[Secret], sink: Sink
    ) -> None:
        self._decoder = decoder
        self._probe = probe
        self._secrets = tuple(secrets)
        self._text = TextAssembly(sink)
        self._started = False

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        decoder = SSEDecoder()
        first = True
        try:
            async for chunk in chunks:
                if first:
                    self._probe("first-byte")
                    first = False
                for data in decoder.feed(chunk):
                    self._take(data)
                if self._is_over():
                    break
        except (ProviderError, TimeoutError):
            raise
        except Exception as exc:  # noqa: BLE001 - streams leak what the layers of HTTP below raise
            cause = from_exception(exc, secrets=self._secrets)
            raise make_error(StreamTruncatedError, f"The connection broke: {cause.why}") from None
        self._check_end()
        await drain(chunks)
        self._probe("last-byte-before-parse")

    def _check_end(self) -> None:
        missing = self._missing()
        if missing is None:
            return
        if not self._started:
            raise make_error(BadGatewayError, "The stream held no answer.", status=200)
        raise make_error(StreamTruncatedError, f"The stream ended without {missing}.")

    def _event(self, data: bytes) -> Event:
        """Raises `StreamTruncatedError` for what is no event, `BadGatewayError` where there was none before it."""
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._lenient(data)

    def _lenient(self, data: bytes) -> Event:
        """Some servers cut a character in two escaped halves, which strict JSON readers refuse."""
        try:
            found: Event = msgspec.convert(json.loads(data), self._decoder.type)
        except (ValueError, RecursionError, msgspec.ValidationError):
            kind = StreamTruncatedError if self._started else BadGatewayError
            raise make_error(kind, "A piece of the stream is not readable.") from None
        return found

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """The next event's data. Raises `ProviderError` for an error that it reports."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Whether nothing more of the answer can come; the connection is read empty then."""

    @abstractmethod
    def _missing(self) -> str | None:
        """What a whole stream would have ended with and this one did not; None for a whole one."""
