"""A local HTTP server that gives scripted replies and breaks them on demand: what every fake of a vendor stands on.

What a wire says and demands is `fake_anthropic.py`, `fake_openai.py` and their rules; no wire is known here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"


class Seen(msgspec.Struct, frozen=True):
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        try:
            found = json.loads(self.raw or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def key(self) -> str:
        """The credential that was sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def prompt(self) -> str:
        """All the text of the request: system prompt and turns."""
        texts = [_text(self.body.get("system", ""))]
        texts += [_text(turn.get("content", "")) for turn in self.body.get("messages", [])]
        return "\n\n".join(texts)


class Fault(msgspec.Struct, frozen=True):
    """One answer. By default a whole stream of `text`; every other field breaks or bends it.

    `status`: an error of that status with `message`. `body`: these bytes instead. `events`: raw events that replace
    the stream's. `cut_at`: only so many bytes of the body, then the connection is reset, or closed in good order
    with `polite`. `times`: the body over and over. `pause`: seconds between pieces of `piece` bytes.
    `reset`: no answer at all. `silence`: seconds before the first byte.
    """

    text: str = "Hello."
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


R = TypeVar("R", bound=Fault)


class Speech(msgspec.Struct, Generic[R], frozen=True):
    """A wire: the class of its replies, the rules of its requests, and a reply's content type and bytes."""

    reply: type[R]
    broken_rules: Callable[[Seen], list[str]]
    render: Callable[[R, Seen], tuple[str, bytes]]
    headers: Mapping[str, str]


class FakeServer(Generic[R]):
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400."""

    def __init__(
        self,
        speech: Speech[R],
        replies: Iterable[R | str | Callable[[Seen], R | str]] = (),
        *,
        default: R | str | Callable[[Seen], R | str] = "Hello.",
        strict: bool = True,
    ) -> None:
        self._speech = speech
        self._replies = list(replies)
        self._default = default
        self._strict = strict
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.requests: list[Seen] = []
        self.problems: list[str] = []
        self.connections = 0

    def play(self, replies: Iterable[R | str | Callable[[Seen], R | str]]) -> None:
        """Forgets what it has seen, and gives these replies before its default: one server for many tests."""
        self._replies = list(replies)
        self.requests.clear()
        self.problems.clear()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the fake server is not running: use it in `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
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
        broken = self._speech.broken_rules(seen) if self._strict else []
        self.requests.append(seen)
        self.problems.extend(broken)
        reply = self._speech.reply(status=400, message="; ".join(broken)) if broken else self._next(seen)
        if reply.silence:
            await asyncio.sleep(reply.silence)
        if reply.reset:
            writer.transport.abort()
            return False
        kind, body = self._speech.render(reply, seen)
        return await _send(reply, {"content-type": kind, **self._speech.headers, **reply.headers}, body, writer)

    def _next(self, seen: Seen) -> R:
        script = self._replies.pop(0) if self._replies else self._default
        given = script if isinstance(script, str | Fault) else script(seen)
        return self._speech.reply(text=given) if isinstance(given, str) else given


async def _send(reply: Fault, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
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


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(str(block.get("text", "")) for block in content or () if isinstance(block, dict))
