"""OpenAI's batches: a call handed in as a file of one line, and its result read as a stream would be.

Answers that are streamed are `openai_chat.py`, whose client is built on this. Source: `types/batch.py`,
`types/batch_create_params.py` and `types/file_create_params.py` of the vendor's SDK 3.54.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, ProviderUnavailableError, RequestRejectedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS
from orchestrator_v2.llm.catalog import Dialect
from orchestrator_v2.llm.errors import from_status, make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.batch_results import batch_there, checked_handle, result_line, unreadable
from orchestrator_v2.llm.providers.openai_request import build_request
from orchestrator_v2.llm.providers.openai_stream import StreamReader
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire, said_by

FILES, BATCHES = "/files", "/batches"
ENDPOINT = "/v1/chat/completions"
# How long prompts and answers lie at the vendor, who keeps an answer's file for good where nothing is said: 30 days.
KEPT = 30 * 24 * 3600
_AT_WORK = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
# What became of a batch that left no file: its error, and why.
_ENDS: Mapping[str, tuple[type[ProviderError], str]] = {
    "expired": (ProviderUnavailableError, "The batch was not answered within its day."),
    "cancelled": (RequestRejectedError, "The batch was cancelled at the provider."),
}
_STREAMED = frozenset({"stream", "stream_options"})


class _Fault(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Faults(msgspec.Struct):
    data: list[_Fault] | None = None


class _Batch(msgspec.Struct):
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None


class _Response(msgspec.Struct):
    status_code: int
    body: Any = None
    request_id: str | None = None


class _Line(msgspec.Struct):
    custom_id: str = ""
    response: _Response | None = None
    error: _Fault | None = None


class _Choice(msgspec.Struct):
    message: dict[str, Any]
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: dict[str, Any] | None = None
    id: str | None = None


class OpenAIBatches:
    """The client's part that hands calls in: a `Batcher`, at those vendors whose row has a `batch_percent`."""

    _connection: Connection
    _dialect: Dialect
    _wire: Wire
    _headers: dict[str, str]
    _secrets: tuple[Secret, ...]

    async def hand_in(self, name: str, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> str:
        asked = build_request(self._connection.info, self._dialect, messages, options)
        body = {field: value for field, value in asked.items() if field not in _STREAMED}
        line = {"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body}
        kind, form = _form(msgspec.json.encode(line) + b"\n")
        try:
            file = await self._wire.fetch("POST", FILES, {**self._headers, "Content-Type": kind}, form)
        except ProviderError as error:
            error.unbilled = True  # A file alone costs nothing.
            raise
        wanted = {
            "input_file_id": checked_handle(file),
            "endpoint": ENDPOINT,
            "completion_window": "24h",
            "output_expires_after": {"anchor": "created_at", "seconds": KEPT},
        }
        return checked_handle(await self._wire.fetch("POST", BATCHES, self._headers, wanted))

    async def collect(self, handle: str, name: str) -> Completion | ProviderError | None:
        async with batch_there(handle):
            found = await self._wire.fetch("GET", f"{BATCHES}/{quote(handle, safe='')}", self._headers)
        batch = _read(found, _Batch)
        if batch.status in _AT_WORK:
            return None
        file = batch.output_file_id or batch.error_file_id
        if not file:
            return self._unanswered(batch)
        path = f"{FILES}/{quote(file, safe='')}/content"
        async with batch_there(handle):
            line = await result_line(self._wire.fetch("GET", path, self._headers))
        return line if isinstance(line, ProviderError) else await self._result(line, name)

    def _unanswered(self, batch: _Batch) -> ProviderError:
        if batch.status in _ENDS:
            kind, why = _ENDS[batch.status]
            return make_error(kind, why, unbilled=True)
        if batch.status == "failed":
            faults = (batch.errors.data if batch.errors else None) or [_Fault(message="no reason was given")]
            body = {"error": msgspec.to_builtins(faults[0])}
            return from_status(400, body, secrets=self._secrets)
        return unreadable("it left no file")

    async def _result(self, found: dict[str, Any], name: str) -> Completion | ProviderError:
        try:
            line = msgspec.convert(found, _Line)
        except msgspec.ValidationError:
            return unreadable("it has another form")
        if line.custom_id != name:
            return unreadable("it is that of another call")
        response = line.response
        if response is None:
            kind, why = _ENDS["expired"] if line.error and line.error.code == "batch_expired" else _ENDS["cancelled"]
            return make_error(kind, why, unbilled=True)
        if response.status_code != 200:
            error = from_status(response.status_code, response.body, secrets=self._secrets)
            error.unbilled = True
            return error
        try:
            answer = _read(response.body, _Answer)
            reader = StreamReader(self._dialect, self._connection.probe, self._secrets)
            await reader.read(_as_stream(answer))
            completion = reader.completion(response.request_id or "")
        except ProviderError as error:
            return error
        return said_by(completion, self._connection, self._connection.clock.monotonic())


async def _as_stream(answer: _Answer) -> AsyncIterator[bytes]:
    """A whole answer as the chunk that would have brought it, so that one reader has the say on both."""
    choices = [
        {"index": index, "delta": choice.message, "finish_reason": choice.finish_reason}
        for index, choice in enumerate(answer.choices)
    ]
    chunk = {"id": answer.id, "choices": choices, "usage": answer.usage}
    yield b"data: " + msgspec.json.encode(chunk) + b"\n\ndata: [DONE]\n\n"


def _form(content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form that uploads a file. The boundary is the file's own hash: not in it."""
    boundary = hashlib.sha256(content).hexdigest()
    fields = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": str(KEPT)}
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    file = 'Content-Disposition: form-data; name="file"; filename="call.jsonl"\r\nContent-Type: application/jsonl'
    head = "".join(parts) + f"--{boundary}\r\n{file}\r\n\r\n"
    return f"multipart/form-data; boundary={boundary}", head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def _read(value: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise make_error(BadGatewayError, "The answer has another form than asked for.", status=200) from None
