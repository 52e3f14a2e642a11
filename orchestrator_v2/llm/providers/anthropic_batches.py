"""Anthropic's Message Batches: a call handed in as a batch of one, and its result read as a stream would be.

Answers that are streamed are `anthropic.py`, whose client is built on this. Source: `resources/messages/batches.py`
and `types/messages` of the vendor's SDK 2.12.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, ProviderUnavailableError, RequestRejectedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS
from orchestrator_v2.llm.errors import STATUS_OF_TYPE, from_status, make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.anthropic_headers import build_headers, samples
from orchestrator_v2.llm.providers.anthropic_request import build_request
from orchestrator_v2.llm.providers.anthropic_stream import StreamReader
from orchestrator_v2.llm.providers.batch_results import batch_there, checked_handle, result_line, unreadable
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire, said_by

PATH = "/v1/messages/batches"
_AT_WORK = frozenset({"in_progress", "canceling"})
# What became of a call that has no answer: its error, and why.
_ENDS: Mapping[str, tuple[type[ProviderError], str]] = {
    "expired": (ProviderUnavailableError, "The batch was not answered within its day."),
    "canceled": (RequestRejectedError, "The batch was cancelled at the provider."),
}


class _Result(msgspec.Struct):
    type: str
    message: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    result: _Result
    custom_id: str = ""


class AnthropicBatches:
    """The client's part that hands calls in: a `Batcher`."""

    _connection: Connection
    _credential: Secret
    _wire: Wire

    async def hand_in(self, name: str, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> str:
        body = build_request(self._connection, messages, options)
        params = {field: value for field, value in body.items() if field != "stream"}
        headers = build_headers(self._connection, self._credential, older=samples(params))
        made = await self._wire.fetch("POST", PATH, headers, {"requests": [{"custom_id": name, "params": params}]})
        return checked_handle(made)

    async def collect(self, handle: str, name: str) -> Completion | ProviderError | None:
        path = f"{PATH}/{quote(handle, safe='')}"
        headers = build_headers(self._connection, self._credential)
        async with batch_there(handle):
            state = (await self._wire.fetch("GET", path, headers)).get("processing_status")
        if state in _AT_WORK:
            return None
        if state != "ended":
            raise make_error(BadGatewayError, "The batch is in a state that is not known.", status=200)
        # Not by the address that the answer names: the key goes to the origin that it belongs to.
        async with batch_there(handle):
            line = await result_line(self._wire.fetch("GET", f"{path}/results", headers))
        return line if isinstance(line, ProviderError) else await self._read(line, name)

    async def _read(self, line: dict[str, Any], name: str) -> Completion | ProviderError:
        try:
            found = msgspec.convert(line, _Line)
        except msgspec.ValidationError:
            return unreadable("it has another form")
        if found.custom_id != name:
            return unreadable("it is that of another call")
        result = found.result
        if result.type == "succeeded":
            return await self._answer(result.message or {})
        if result.type == "errored":
            return self._reported(result.error or {})
        if result.type not in _ENDS:
            return unreadable("its call ended in a way that is not known")
        kind, why = _ENDS[result.type]
        return make_error(kind, why, unbilled=True)

    async def _answer(self, message: dict[str, Any]) -> Completion | ProviderError:
        reader = StreamReader(self._connection.probe, (self._credential,))
        try:
            await reader.read(_as_stream(message))
            completion = reader.completion(str(message.get("id", "")))
        except ProviderError as error:
            return error
        return said_by(completion, self._connection, self._connection.clock.monotonic())

    def _reported(self, body: dict[str, Any]) -> ProviderError:
        inner = body.get("error")
        kind = inner.get("type", "") if isinstance(inner, dict) else ""
        error = from_status(STATUS_OF_TYPE.get(str(kind), 500), body, secrets=(self._credential,))
        error.unbilled = True
        return error


async def _as_stream(message: dict[str, Any]) -> AsyncIterator[bytes]:
    """A whole message as the events that would have brought it, so that one reader has the say on both."""
    for event in _events(message):
        yield b"data: " + msgspec.json.encode(event) + b"\n\n"


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage, content = message.get("usage"), message.get("content")
    if not isinstance(content, list):
        raise make_error(BadGatewayError, "The batch's answer holds no content.", status=200)
    yield {"type": "message_start", "message": {"usage": usage}}
    for index, block in enumerate(content):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        if isinstance(block, dict) and block.get("type") == "text":
            delta = {"type": "text_delta", "text": block.get("text", "")}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "message_delta", "delta": {"stop_reason": message.get("stop_reason")}, "usage": usage}
    yield {"type": "message_stop"}
