"""Serves the application with uvicorn: where it may listen, how long a client may dawdle, how it ends.

The application itself is `app.py`.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator_v2.api.app import create_app
from orchestrator_v2.api.guard import BODY_SECONDS
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.ending import LastResort
from orchestrator_v2.core.errors import ConfigError, OrchestratorError
from orchestrator_v2.llm.origin import is_loopback
from orchestrator_v2.service.service import Service

# How long a connection may take to send its first request, or stay idle between two (seconds).
HEADER_SECONDS = 15.0
KEEP_ALIVE = 30
# How long open answers may go on once the server is to end (seconds): an operation's calls drain as runs do, for 30.
GRACE = 31
# As many files as the server asks the system for; what it may not have it does without.
MOST_FILES = 65_536


async def check_binding(service: Service, settings: Settings) -> None:
    """Raises `ConfigError` for an address that others reach while nobody has to say who they are."""
    if is_loopback(settings.host.strip("[]")) or await service.accounts.needs_token():
        return
    raise ConfigError(
        f"The server does not listen on {settings.host} without authentication.",
        "Everybody who reaches it would be its administrator.",
        "First: orchestrator users add NAME --role admin. Or listen on 127.0.0.1.",
    )


async def serve(
    service: Service,
    ready: Callable[[str], None],
    *,
    head_seconds: float = HEADER_SECONDS,
    body_seconds: float = BODY_SECONDS,
) -> None:
    """Serves until a signal ends it; `ready` is told the address. The service is closed at the end.

    A request's head and its body each have so many seconds to arrive.

    Raises `ConfigError` where it may not or cannot listen, `CredentialSealError` where stored keys cannot be opened,
    `StoreInUseError` where another server has the database.
    """
    settings = service.settings
    try:
        await check_binding(service, settings)
        # Asked for again at the start; here its words reach the one who started the server, not the log alone.
        await service.check_start()
        listening = _listen(settings)
    except BaseException:
        await service.close()
        raise
    config = uvicorn.Config(
        create_app(service, body_seconds=body_seconds),
        http=type("Punctual", (_Punctual,), {"head_seconds": head_seconds}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=64 * 1024,
        proxy_headers=False,
    )
    _raise_file_limit()
    _forbid_core()
    last_resort = LastResort()
    server = _Server(config, service, last_resort)
    host, port = listening.getsockname()[:2]
    ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        with last_resort:
            await server.serve(sockets=[listening])
    except SystemExit as ended:
        # How uvicorn says that the start failed.
        raise OrchestratorError("The server could not start.", "What it met is in the log above.") from ended


def _forbid_core() -> None:
    """Keys stand in the memory. A limit of 1, not 0: that one also holds where cores are piped to a program."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    most = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def _raise_file_limit() -> None:
    """Each client holds a file open; many systems let a process have 1,024 unless it asks for what it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(settings: Settings) -> socket.socket:
    host = settings.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0]
        # With its protocol named, asyncio lets what is accepted send at once; else each answer waits 40 ms for an ACK.
        listening = socket.socket(family[0], socket.SOCK_STREAM, family[2])
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(family[4])
    except OSError as error:
        raise ConfigError(
            f"The server cannot listen on {settings.host} port {settings.port}.",
            f"{error.strerror or error}.",
            "Choose another with --port, or end what listens there.",
        ) from error
    return listening


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, last_resort: LastResort) -> None:
        super().__init__(config)
        self._service = service
        self._last_resort = last_resort

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end first: they would go on for as long as anybody listens. Nothing further is begun for those who
        wait for an answer: they are told that it goes on with the next start."""
        self._last_resort.begin()
        await self._service.changes.close()
        draining = asyncio.create_task(self._service.keeper.stop())
        await super().shutdown(sockets)
        await draining


class _Punctual(H11Protocol):
    """A connection whose request's head does not come in time is closed: uvicorn itself waits for ever for it."""

    head_seconds = HEADER_SECONDS
    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._waits():
            self._arm()
        super().data_received(data)
        if not self._waits():
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _waits(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _arm(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(self.head_seconds, self._hang_up)

    def _disarm(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _hang_up(self) -> None:
        self._overdue = None
        if self._waits():
            self.transport.close()
