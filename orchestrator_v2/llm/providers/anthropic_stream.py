"""The events of Anthropic's stream put together to one answer; whatever is not whole is an error.

How the bytes are sent and fetched is `anthropic.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, StreamTruncatedError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.assembly import TextAssembly
from orchestrator_v2.llm.base import Sink, no_sink
from orchestrator_v2.llm.errors import STATUS_OF_TYPE, from_exception, from_status, make_error
from orchestrator_v2.llm.sse import SSEDecoder
from orchestrator_v2.llm.types import WINDOW_FULL, Completion

# What the answer's end is called here; an end that is not in the table is not taken for a whole answer.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_use",
}
_DRAIN_SECONDS = 1.0


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Event)


class StreamReader:
    """Reads one stream. After `read` the answer is whole, or an error was raised."""

    def __init__(self, probe: Probe, secrets: Iterable[Secret], sink: Sink = no_sink) -> None:
        self._probe = probe
        self._secrets = tuple(secrets)
        self._text = TextAssembly(sink)
        self._started = False
        self._stopped = False
        self._stop_reason: str | None = None
        self._usage: dict[str, int] = {}

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        decoder = SSEDecoder()
        first = True
        try:
            async for chunk in chunks:
                if first:
                    self._probe("first-byte")
                    first = False
                for data in decoder.feed(chunk):
                    self._take(_parse(data, self._started))
                if self._stopped:
                    break
        except (ProviderError, TimeoutError):
            raise
        except Exception as exc:  # noqa: BLE001 - streams leak what the layers of HTTP below raise
            raise self._broken(exc) from None
        if not self._stopped or self._stop_reason is None:
            raise self._unfinished()
        await _drain(chunks)
        self._probe("last-byte-before-parse")

    def completion(self, request_id: str) -> Completion:
        """The whole answer. Raises `BadGatewayError` for an end that is not known."""
        finish = FINISH_REASONS.get(self._stop_reason or "")
        if finish is None:
            raise make_error(BadGatewayError, f"The answer ended for an unknown reason: '{self._stop_reason}'."[:200])
        notes = (WINDOW_FULL,) if self._stop_reason == "model_context_window_exceeded" else ()
        return Completion(
            text=self._text.text(),
            finish_reason=finish,
            usage=self._total_usage(),
            request_id=request_id,
            notes=notes,
        )

    def _take(self, event: _Event) -> None:
        if event.type == "content_block_delta" and event.delta is not None:
            self._text.add(event.delta.text)
        elif event.type == "message_start":
            self._started = True
            self._count(event.message.usage if event.message else None)
        elif event.type == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                self._stop_reason = event.delta.stop_reason
        elif event.type == "message_stop":
            self._stopped = self._started
        elif event.type == "error":
            raise self._reported(event.error or {})

    def _count(self, usage: _Usage | None) -> None:
        if usage is not None:
            given = msgspec.structs.asdict(usage)
            self._usage.update({name: count for name, count in given.items() if count is not None})

    def _total_usage(self) -> Usage:
        read = self._usage.get("cache_read_input_tokens", 0)
        written = self._usage.get("cache_creation_input_tokens", 0)
        return Usage(
            input_tokens=self._usage.get("input_tokens", 0) + read + written,
            output_tokens=self._usage.get("output_tokens", 0),
            cache_read_tokens=read,
            cache_write_tokens=written,
            calls=1,
            cost=None,
        )

    def _reported(self, error: dict[str, Any]) -> ProviderError:
        status = STATUS_OF_TYPE.get(str(error.get("type", "")), 500)
        return from_status(status, {"error": error}, secrets=self._secrets, in_stream=True)

    def _broken(self, exc: Exception) -> ProviderError:
        cause = from_exception(exc, secrets=self._secrets)
        return make_error(StreamTruncatedError, f"The connection broke: {cause.why}")

    def _unfinished(self) -> ProviderError:
        if not self._started:
            return make_error(BadGatewayError, "The stream held no message.", status=200)
        return make_error(StreamTruncatedError, "The stream ended without a stop reason.")


def _parse(data: bytes, started: bool) -> _Event:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_lenient(data, started)


def _parse_lenient(data: bytes, started: bool) -> _Event:
    """Some servers cut a character in two escaped halves, which strict JSON readers refuse; all else is malformed."""
    try:
        return msgspec.convert(json.loads(data), _Event)
    except (ValueError, RecursionError, msgspec.ValidationError):
        kind = StreamTruncatedError if started else BadGatewayError
        raise make_error(kind, "A piece of the stream is not readable.") from None


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """The answer is whole: what follows is read only so that the connection can be used again."""
    import httpx2

    with contextlib.suppress(httpx2.HTTPError, ProviderError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
