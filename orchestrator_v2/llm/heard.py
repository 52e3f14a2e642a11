"""Connections that know whether a word was heard on them since the last was sent.

An answer without one came before its question: it lay behind the answer before it, and is no answer. Imported by the
transports only, as it needs httpx2; which addresses are connected to is `egress_transport.py`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2


class HearingTransport(httpx2.AsyncHTTPTransport):
    """The usual transport on a pool of such connections; no environment, no proxy, no HTTP/2.

    `tls` are the authorities that are trusted, `network` what opens a connection.
    """

    def __init__(
        self,
        limits: httpx2.Limits,
        network: httpcore2.AsyncNetworkBackend | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(trust_env=False),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_HearingBackend(network or httpcore2.AnyIOBackend()),
        )


def came_early(response: httpx2.Response) -> bool:
    """Whether the head of this response was there before its request was."""
    connection = response.extensions.get("network_stream")
    return isinstance(connection, _HearingStream) and not connection.heard


class _HearingStream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self.heard = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = await self._inner.read(max_bytes, timeout)
        self.heard = True
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.heard = False
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _HearingStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _HearingBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _HearingStream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _HearingStream(await self._inner.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
