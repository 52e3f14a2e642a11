"""What every request passes before anything reads it: host, origin, size and time of the body; what every answer bears.

Who asks is `access.py`; how errors look is `problems.py`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from orchestrator_v2.api.problems import problem
from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.ids import IdSource

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY, UPLOAD = 1 << 20, 10 << 20
# Paths whose bodies carry files (suffixes of routes that the inventory knows).
UPLOADS = ("/rollback", "/edit", "/ui/new", "/ui/new/estimate")
# How long a body may take to arrive (seconds).
BODY_SECONDS = 30.0
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{0,5})?")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_log = logging.getLogger(__name__)

Counted = Callable[[str, str, int, float], None]


def no_count(method: str, route: str, status: int, seconds: float) -> None:
    """For servers that nobody measures."""


class Guard:
    """`hosts` are the names by which the server may be called, lower case, without ports; `body_seconds` is how long
    a body may take to arrive."""

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str],
        ids: IdSource,
        counted: Counted = no_count,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._ids = ids
        self._counted = counted
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation = self._ids.new("req")
        CORRELATION.set(correlation)
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Correlation-Id"] = correlation
            await send(message)

        try:
            await self._admitted(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "")
            seconds = time.monotonic() - began
            self._counted(scope["method"], route, status, seconds)
            # An answer that went wrong names its line in the log, so that is written at the usual level too.
            level = logging.INFO if status < HTTPStatus.BAD_REQUEST else logging.WARNING
            told = (scope["method"], route or "(no route)", status)
            _log.log(level, "%s %s %d", *told, extra={"seconds": round(seconds, 4)})

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        limit = UPLOAD if scope["path"].endswith(UPLOADS) else BODY
        if refusal is None and _length(headers) > limit:
            refusal = problem(413, "too_large", "The body is too large.", f"At most {limit:,} bytes are read.")
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, limit, self._body_seconds), send)

    def _refusal(self, method: str, headers: Headers) -> Any:
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return problem(
                421,
                "misdirected",
                "This server is not called by that name.",
                "The Host header names another.",
                "Use its own name, or have its operator allow that one (allowed_hosts).",
            )
        if method in _SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and _authority(origin) != host.lower()
        if foreign or site not in ("none", "same-origin"):
            return problem(
                403, "foreign_origin", "The request comes from another site's page.", "Only this server's own may."
            )
        return None


def _name(host: str) -> str:
    """The host without its port, lower case: `[::1]:8000` to `[::1]`; empty for what is no host."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else ""


def _authority(origin: str) -> str:
    """Host and port of an origin; of what is none, something that is no host."""
    try:
        return urlsplit(origin).netloc.lower() or "?"
    except ValueError:
        return "?"


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0


def _bounded(receive: Receive, limit: int, seconds: float) -> Receive:
    """Cuts a body off at its limit and its time, however it comes."""
    left, whole = limit, False
    until = time.monotonic() + seconds

    async def bounded() -> Message:
        nonlocal left, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0.001)):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"The body did not arrive within {seconds:.0f} seconds.") from None
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"The body is over {limit:,} bytes.")
        whole = not message.get("more_body", False)
        return message

    return bounded
