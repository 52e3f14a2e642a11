"""A local server that speaks OpenAI's chat wire strictly, and breaks it on demand.

What is checked of a request is `openai_rules.py`, how it is served `fake_server.py`.

    async with FakeOpenAI(["Hello.", Reply(status=503)]) as server:
        ...  # reach it at server.base_url, then look at server.requests and server.problems
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.testing.fake_server import EVENT_STREAM, JSON, FakeServer, Fault, Speech
from orchestrator_v2.testing.openai_rules import Seen, broken_rules, endpoint

DONE = b"data: [DONE]\n\n"
MODELS = ("gpt-6.1-terra", "gpt-6-luna", "some-model")
_CODE_OF_STATUS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class Reply(Fault, frozen=True):
    """A fault of `fake_server.py`, and how a whole answer of this wire ends.

    `tool_calls` are (id, name, arguments as JSON text); `reasoning` is thought aloud before the text; `code` stands in
    an error; without `done` the closing mark is missing.
    """

    stop_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = msgspec.field(
        default_factory=lambda: {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    )
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    reasoning: str = ""
    code: str | None = None
    done: bool = True


Script = Reply | str | Callable[[Seen], "Reply | str"]


class FakeOpenAI(FakeServer[Reply]):
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400."""

    def __init__(self, replies: Iterable[Script] = (), *, default: Script = "Hello.", strict: bool = True) -> None:
        super().__init__(SPEECH, replies, default=default, strict=strict)


def stream_events(reply: Reply) -> tuple[bytes, ...]:
    """The chunks of a whole answer, one for each ten characters of its text, as they stand on the wire."""
    if reply.events is not None:
        return reply.events
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece, "reasoning": piece} for piece in _pieces(reply.reasoning)]
    deltas += [{"content": piece} for piece in _pieces(reply.text)]
    for index, (call_id, name, arguments) in enumerate(reply.tool_calls):
        function = {"name": name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": a}}]} for a in _pieces(arguments)]
    chunks = [chunk_bytes(delta) for delta in deltas]
    chunks.append(chunk_bytes({}, reply.stop_reason))
    if reply.usage is not None:
        chunks.append(event_bytes({**_HEAD, "choices": [], "usage": dict(reply.usage)}))
    return (*chunks, *([DONE] if reply.done else []))


def chunk_bytes(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
    return event_bytes({**_HEAD, "choices": [choice], "usage": None})


def event_bytes(event: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def body_of(reply: Reply) -> bytes:
    """The bytes of a chat reply's body before any cut."""
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        kind, code = _CODE_OF_STATUS.get(reply.status, ("server_error", None))
        error = {"message": reply.message, "type": kind, "param": None, "code": reply.code or code}
        return json.dumps({"error": error}).encode()
    return b"".join(stream_events(reply))


def vector_of(text: str) -> list[float]:
    """The vector that the fake has for a text."""
    return [float(len(text)), 0.5, -1.25]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 10] for at in range(0, len(text), 10)]


def _render(reply: Reply, seen: Seen) -> tuple[str, bytes]:
    if reply.status == 200 and reply.body is None and endpoint(seen) in _ANSWERS:
        return JSON, json.dumps(_ANSWERS[endpoint(seen)](seen)).encode()
    is_stream = reply.status == 200 and reply.body is None
    return EVENT_STREAM if is_stream else JSON, body_of(reply)


def _vectors(seen: Seen) -> dict[str, Any]:
    """In reverse order, as the order is not promised."""
    texts = list(enumerate(seen.body["input"]))
    data = [{"object": "embedding", "index": index, "embedding": vector_of(text)} for index, text in reversed(texts)]
    tokens = sum(len(text) for _, text in texts)
    return {"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def _models(seen: Seen) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "fake"} for name in MODELS]}


_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_800_000_000, "model": "fake"}
_ANSWERS: Mapping[str, Callable[[Seen], dict[str, Any]]] = {"embeddings": _vectors, "models": _models}
SPEECH = Speech(Reply, broken_rules, _render, {"x-request-id": "req_fake"})
