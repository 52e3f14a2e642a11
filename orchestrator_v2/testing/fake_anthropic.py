"""A local server that speaks Anthropic's Messages wire strictly, and breaks it on demand.

What is checked of a request is `anthropic_rules.py`. For a fake without any wire see `scripted_llm.py`.

    async with FakeAnthropic(["Hello.", Reply(status=529)]) as server:
        ...  # reach it at server.base_url, then look at server.requests and server.problems
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import msgspec

from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules

_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Reply(msgspec.Struct, frozen=True):
    """One answer. By default a whole stream of `text`; every other field breaks or bends it.

    `status`: an error of that status with `message`. `body`: these bytes instead. `events`: raw events that replace
    the stream's. `cut_at`: only so many bytes of the body, then the connection is reset, or closed in good order
    with `polite`. `times`: the body over and over. `pause`: seconds between pieces of `piece` bytes.
    `reset`: no answer at all. `silence`: seconds before the first byte.
    """

    text: str = "Hello."
    stop_reason: str | None = "end_turn"
    usage: Mapping[str, int] = msgspec.field(default_factory=lambda: {"input_tokens": 12, "output_tokens": 5})
    status: int = 200
    message: str = "a fault on demand"
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    events: tuple[bytes, ...] | None = None
    cut_at: int | None = None
    polite: bool = False
    times: int = 1
    pause: float = 0.0
    piece: int = 65_536
    reset: bool = False
    silence: float = 0.0


Script = Reply | str | Callable[[Seen], "Reply | str"]


class FakeAnthropic:
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400."""

    def __init__(self, replies: Iterable[Script] = (), *, default: Script = "Hello.", strict: bool = True) -> None:
        self._replies = list(replies)
        self._default = default
        self._strict = strict
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.requests: list[Seen] = []
        self.problems: list[str] = []
        self.connections = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the fake server is not running: use it in `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> FakeAnthropic:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            while seen := await _read_request(reader):
                if not await self._answer(seen, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client hung up, or the server is closing: both end a connection, and neither is an error.
        finally:
            writer.transport.abort()

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        """Sends the next reply; False when the connection is used up."""
        broken = broken_rules(seen) if self._strict else []
        self.requests.append(seen)
        self.problems.extend(broken)
        reply = Reply(status=400, message="; ".join(broken)) if broken else self._next(seen)
        if reply.silence:
            await asyncio.sleep(reply.silence)
        if reply.reset:
            writer.transport.abort()
            return False
        return await _send(reply, writer)

    def _next(self, seen: Seen) -> Reply:
        script = self._replies.pop(0) if self._replies else self._default
        given = script(seen) if callable(script) else script
        return Reply(text=given) if isinstance(given, str) else given


def stream_events(reply: Reply) -> tuple[bytes, ...]:
    """The events of a whole answer, one for each ten characters of its text, as they stand on the wire."""
    if reply.events is not None:
        return reply.events
    start_usage = {**reply.usage, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": start_usage}
    pieces = [reply.text[at : at + 10] for at in range(0, len(reply.text), 10)]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reply.stop_reason}, "usage": dict(reply.usage)},
        {"type": "message_stop"},
    ]
    return tuple(event_bytes(event) for event in events)


def event_bytes(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def body_of(reply: Reply) -> bytes:
    """The bytes of the reply's body before any cut."""
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        kind = _TYPE_OF_STATUS.get(reply.status, "api_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": reply.message}}).encode()
    return b"".join(stream_events(reply))


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> bool:
    is_stream = reply.status == 200 and reply.body is None
    headers = {
        "content-type": "text/event-stream; charset=utf-8" if is_stream else "application/json",
        "request-id": "req_fake",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
    body = body_of(reply)
    whole = body if reply.cut_at is None else body[: reply.cut_at]
    for _ in range(reply.times):
        for at in range(0, len(whole), reply.piece):
            part = whole[at : at + reply.piece]
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            if reply.pause:
                await asyncio.sleep(reply.pause)
    if reply.cut_at is not None and not reply.polite:
        await asyncio.sleep(0.002)  # The bytes must leave before the reset overtakes them.
        writer.transport.abort()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, headers, raw)
