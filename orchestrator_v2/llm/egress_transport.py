"""The connections of a guarded client: a host is looked up once, and what was checked is what is connected to.

Imported by `transport.py` only, as it needs httpx2. Which addresses are allowed is `egress.py`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from orchestrator_v2.llm.egress import Egress
from orchestrator_v2.llm.heard import HearingTransport


class GuardedTransport(HearingTransport):
    """The usual transport, but that it connects to what `egress` allows.

    `tls` are the authorities that are trusted, `network` what connects to an address by its number.
    """

    def __init__(
        self,
        egress: Egress,
        limits: httpx2.Limits,
        *,
        tls: ssl.SSLContext | None = None,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        super().__init__(limits, _CheckedBackend(egress, network or httpcore2.AnyIOBackend()), tls=tls)


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses by number. The server's name in TLS and in `Host` stays the one of the URL."""

    def __init__(self, egress: Egress, network: httpcore2.AsyncNetworkBackend) -> None:
        self._egress = egress
        self._inner = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._egress.addresses(host, port)
                return await self._first(addresses, port, timeout, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error

    async def _first(
        self,
        addresses: list[str],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore2.AsyncNetworkStream:
        """The first that takes the connection; one that is silent does not use up the time of the next."""
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("a guarded client connects to no unix socket")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
