"""A local server that speaks Google's Gemini wire strictly, and breaks it on demand.

What is checked of a request is `google_rules.py`; how it is served `fake_server.py`.

    async with FakeGoogle(["Hello.", Reply(status=503)]) as server:
        ...  # reach it at server.base_url, then look at server.requests and server.problems
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.testing.fake_server import EVENT_STREAM, JSON, FakeServer, Fault, Seen, Speech
from orchestrator_v2.testing.google_rules import broken_rules, method_of

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
MODELS = ("gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-embedding-2")


class Reply(Fault, frozen=True):
    """A fault of `fake_server.py`, and how a whole answer of this wire ends.

    `parts` follow the text in the last chunk (function calls, thoughts), `blocked` is the reason why the prompt was
    not answered, `details` stand in an error. `grounding` comes after all else, in a chunk of its own.
    """

    stop_reason: str | None = "STOP"
    usage: Mapping[str, int] = msgspec.field(
        default_factory=lambda: {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}
    )
    parts: tuple[Mapping[str, Any], ...] = ()
    blocked: str = ""
    details: tuple[Mapping[str, Any], ...] = ()
    grounding: Mapping[str, Any] | None = None


Script = Reply | str | Callable[[Seen], "Reply | str"]


class FakeGoogle(FakeServer[Reply]):
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400."""

    def __init__(self, replies: Iterable[Script] = (), *, default: Script = "Hello.", strict: bool = True) -> None:
        super().__init__(_SPEECH, replies, default=default, strict=strict)


def stream_events(reply: Reply) -> tuple[bytes, ...]:
    """The events of a whole answer, one for each ten characters of its text, as they stand on the wire."""
    if reply.events is not None:
        return reply.events
    if reply.blocked:
        return (event_bytes({"promptFeedback": {"blockReason": reply.blocked}, "usageMetadata": dict(reply.usage)}),)
    pieces = [reply.text[at : at + 10] for at in range(0, len(reply.text), 10)]
    last = _chunk([{"text": pieces[-1] if pieces else ""}, *reply.parts])
    if reply.stop_reason is not None:
        last["candidates"][0]["finishReason"] = reply.stop_reason
    last["usageMetadata"] = dict(reply.usage)
    chunks = [*(_chunk([{"text": piece}]) for piece in pieces[:-1]), last]
    if reply.grounding is not None:
        chunks.append({"candidates": [{"index": 0, "groundingMetadata": dict(reply.grounding)}]})
    return tuple(map(event_bytes, chunks))


def event_bytes(event: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\r\n\r\n".encode()


def body_of(reply: Reply, seen: Seen | None = None) -> bytes:
    """The bytes of the reply's body before any cut; those of a stream, where `seen` does not ask for something else."""
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        name = _STATUS_NAMES.get(reply.status, "UNKNOWN")
        error: dict[str, Any] = {"code": reply.status, "message": reply.message, "status": name}
        return json.dumps({"error": error | ({"details": list(reply.details)} if reply.details else {})}).encode()
    method = "streamGenerateContent" if seen is None else method_of(seen)
    if method == "streamGenerateContent":
        return b"".join(stream_events(reply))
    return json.dumps(_plain(method, seen.body if seen else {}, dict(reply.usage))).encode()


def _render(reply: Reply, seen: Seen) -> tuple[str, bytes]:
    streamed = reply.status == 200 and reply.body is None and method_of(seen) == "streamGenerateContent"
    return EVENT_STREAM if streamed else JSON, body_of(reply, seen)


def _plain(method: str, body: dict[str, Any], usage: dict[str, int]) -> dict[str, Any]:
    if method == "countTokens":
        return {"totalTokens": usage["promptTokenCount"]}
    if method == "batchEmbedContents":
        vectors = [_vector(each) for each in body.get("requests", [])]
        return {"embeddings": vectors, "usageMetadata": {"promptTokenCount": usage["promptTokenCount"]}}
    return {"models": [{"name": f"models/{name}", "displayName": name} for name in MODELS]}


def _vector(asked: dict[str, Any]) -> dict[str, Any]:
    """The length of the text, then zeros."""
    text = "".join(part["text"] for part in asked["content"]["parts"])
    return {"values": [float(len(text)), *([0.0] * (asked.get("outputDimensionality", 3) - 1))]}


def _chunk(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    content = {"parts": parts, "role": "model"}
    return {
        "candidates": [{"content": content, "index": 0}],
        "modelVersion": "gemini-fake",
        "responseId": "resp_fake",
    }


_SPEECH = Speech(Reply, broken_rules, _render, {})
