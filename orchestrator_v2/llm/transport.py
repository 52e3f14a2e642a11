"""The HTTP client of every wire: bodies are cut at a cap, keys stay with their origin.

Imported inside the providers' functions only, as it needs httpx2. What is read from a body is theirs.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from orchestrator_v2.core.errors import BadGatewayError, RequestRejectedError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.llm.egress import Egress
from orchestrator_v2.llm.egress_transport import GuardedTransport
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.heard import HearingTransport, came_early
from orchestrator_v2.llm.origin import origin_of
from orchestrator_v2.llm.provider import Timeouts

BODY_CAP = 4 * 1024 * 1024
# The envelope of a stream is some thirty times its text; the text itself is capped where it is put together.
STREAM_CAP = 64 * 1024 * 1024
_STREAMS = ("text/event-stream", "application/vnd.amazon.eventstream")
_WINDOW = 64 * 1024


def create_http_client(
    base_url: str, timeouts: Timeouts, probe: Probe, egress: Egress | None = None
) -> httpx2.AsyncClient:
    """A client that follows no redirect, reads no environment, and talks to the origin of `base_url` only.

    With an `egress` it connects to what that allows. Raises `ConfigError` for a base_url that it does not accept.
    """
    # The pool looks at each idle connection for each request; a run's parallel calls find theirs again among four.
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=4)
    inner = _inner(base_url, limits, egress)
    return httpx2.AsyncClient(
        base_url=base_url,
        transport=_BoundTransport(inner, origin_of(base_url), probe),
        timeout=httpx2.Timeout(timeouts.idle, connect=timeouts.connect, pool=timeouts.total),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},
    )


def _inner(base_url: str, limits: httpx2.Limits, egress: Egress | None) -> httpx2.AsyncBaseTransport:
    if egress is None or egress.lists(egress.accept(base_url)):
        return HearingTransport(limits)
    return GuardedTransport(egress, limits)


class _BoundTransport(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, origin: str, probe: Probe) -> None:
        self._inner = inner
        self._origin = origin
        self._probe = probe

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if origin_of(str(request.url)) != self._origin:
            reason = f"The key is bound to {self._origin}; the request goes elsewhere."
            raise make_error(RequestRejectedError, reason, unbilled=True)
        request.extensions = {**request.extensions, "trace": self._trace}
        response = await self._inner.handle_async_request(request)
        if came_early(response):
            await response.aclose()
            raise make_error(BadGatewayError, "The server answered before it was asked.")
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        streamed = response.headers.get("content-type", "").startswith(_STREAMS)
        stream = _CappedStream(response.stream, _inflater(encoding), STREAM_CAP if streamed else BODY_CAP)
        dropped = (b"content-encoding", b"content-length")
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name.endswith("send_request_body.complete"):
            self._probe("request-sent")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CappedStream(httpx2.AsyncByteStream):
    """The body, decoded in small windows, so that what a few bytes unpack to never stands in memory at once."""

    def __init__(self, inner: Any, inflate: Callable[[bytes], tuple[bytes, bytes]] | None, cap: int) -> None:
        self._inner = inner
        self._inflate = inflate
        self._left = cap
        self._cap = cap

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            if self._inflate is None:
                yield self._counted(chunk)
                continue
            packed = chunk
            while packed:
                try:
                    plain, packed = self._inflate(packed)
                except zlib.error as exc:
                    raise make_error(BadGatewayError, f"The body cannot be unpacked: {exc}.") from exc
                yield self._counted(plain)

    def _counted(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise make_error(BadGatewayError, f"The body is larger than {self._cap} bytes.")
        return chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _inflater(encoding: str) -> Callable[[bytes], tuple[bytes, bytes]] | None:
    """Unpacks a step and gives what is left of the input; None for a body that is plain.

    Only `identity` was asked for; gzip and deflate are read all the same, as some gateways always pack.
    """
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise make_error(BadGatewayError, "The body is packed in a way that was not asked for.")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def inflate(chunk: bytes) -> tuple[bytes, bytes]:
        plain = unpacker.decompress(chunk, _WINDOW)
        return plain, unpacker.unconsumed_tail

    return inflate
