"""A model provider that is a bare socket: what it does to a connection is bytes, resets and silence, written by hand.

The faults themselves are `raw_faults.py`; a fake that keeps to HTTP is `orchestrator_v2/testing/fake_server.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply, stream_events
from orchestrator_v2.testing.worked_answers import Asked, asked, worked_answer, worked_reply

# Stands in all that a fault brings along: where it turns up later, a fault was believed.
POISON = "poison-9b1f-from-a-broken-answer"
# RST instead of FIN when the socket is closed.
_RST = struct.pack("ii", 1, 0)


class Line:
    """One connection, as the provider has it in hand."""

    def __init__(self, provider: RawProvider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._provider = provider
        self.reader = reader
        self.writer = writer

    async def request(self) -> Seen:
        """The next request, whole. Raises `IncompleteReadError` where the client hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        seen = Seen(method, path, headers, await self.reader.readexactly(int(headers.get("content-length", "0"))))
        self._provider.requests.append(seen)
        return seen

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def reset(self) -> None:
        """RST: what was sent before is given a moment to arrive, as a reset overtakes it."""
        await asyncio.sleep(0.005)
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.writer.transport.abort()


Attack = Callable[[Line], Awaitable[None]]


class RawProvider:
    """Answers well, one connection a call; from the call number `after` on each connection is the `attack`'s.

    `attack` is set to None to mend it. `spoilt` counts the connections that the attack had, `good` what was answered.
    """

    def __init__(self, attack: Attack | None = None, *, after: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.attack = attack
        self._after = after
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.requests: list[Seen] = []
        self.spoilt = 0
        self.good: Counter[Asked] = Counter()

    @property
    def base_url(self) -> str:
        assert self._server is not None
        scheme, port = "https" if self._tls else "http", self._server.sockets[0].getsockname()[1]
        return f"{scheme}://localhost:{port}" if self._tls else f"{scheme}://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        if self._tls is not None:
            self._tls.sni_callback = self._hello
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 24)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _hello(self, *_: object) -> None:
        """A handshake began; one that fails gets no further."""
        self.spoilt += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)
        line = Line(self, reader, writer)
        try:
            if self.attack is None or sum(self.good.values()) < self._after:
                await self._well(line)
            else:
                self.spoilt += self._tls is None
                await self.attack(line)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client hung up, which is what most attacks want to see, or the test is over.
        finally:
            writer.close()

    async def _well(self, line: Line) -> None:
        seen = await line.request()
        self.good[asked(seen.prompt)] += 1
        await line.send(answer(stream_of(worked_reply(seen)), connection="close"))


def head(status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(body: bytes, status: int = 200, *, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """A whole answer, its length told."""
    return head(status, content_type=content_type, content_length=str(len(body)), **headers) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream_of(reply: Reply) -> bytes:
    return b"".join(stream_events(reply))


def poisoned(seen: Seen, **bent: Any) -> Reply:
    """What would do very well as the answer to that request, but that POISON is the text of every file."""
    told = json.loads(worked_answer(seen.prompt))
    told["files"] = [{**file, "content": f"{POISON}\n"} for file in told.get("files", [])]
    return Reply(json.dumps({**told, "summary": POISON}), **bent)


@contextmanager
def hosted(provider: RawProvider) -> Iterator[RawProvider]:
    """The provider on a thread of its own, for clients that are processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(provider.__aenter__(), loop).result(10)
        yield provider
        asyncio.run_coroutine_threadsafe(provider.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
