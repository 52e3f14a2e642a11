"""What a provider can do to a call, row by row: the error, how often it is sent, and whether it was free.

How a fault looks on a wire is that wire's `Dialect` in `provider_cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from provider_cases import KEY, LONG, Dialect

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    OrchestratorError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.testing.fake_server import Fault


class Row(msgspec.Struct, frozen=True):
    """`sent` is how many requests reach a server that goes on like this; a fault that is not `free` may be billed."""

    name: str
    make: Callable[[Dialect], Fault]
    error: type[OrchestratorError]
    sent: int
    free: bool = False


def _status(status: int, error: type[OrchestratorError], sent: int, *, free: bool, name: str = "", **more: Any) -> Row:
    return Row(f"{status}{name and ' '}{name}", lambda wire: wire.reply(status=status, **more), error, sent, free)


def _body(name: str, body: bytes, content_type: str = "application/json") -> Row:
    headers = {"content-type": content_type}
    return Row(name, lambda wire: wire.reply(body=body, headers=headers), BadGatewayError, 2)


def _late(status: int, error: type[OrchestratorError], sent: int) -> Row:
    """An error event in the middle of a good stream: as its status, but something may have been billed before it."""
    return Row(f"{status} after 200", lambda wire: _with(wire, wire.failed(status, "no"), whole=False), error, sent)


def _with(wire: Dialect, event: bytes, *, whole: bool = True) -> Fault:
    """A good answer with this event in its middle, and what follows it only if `whole`."""
    events = wire.stream(wire.reply(text=LONG))
    half = len(events) // 2
    return wire.reply(events=(*events[:half], event, *(events[half:] if whole else ())))


def _cut(wire: Dialect, *, polite: bool) -> Fault:
    reply = wire.reply(text=LONG)
    return wire.reply(text=LONG, cut_at=len(wire.body_of(reply)) // 2, polite=polite)


def _rows() -> Iterator[Row]:
    yield _status(429, RateLimitedError, 3, free=True)
    yield _status(429, QuotaExhaustedError, 1, free=True, name="spend limit", message="You reached your spend limit")
    yield _status(429, QuotaExhaustedError, 1, free=True, name="no quota", message="insufficient_quota")
    yield _status(402, QuotaExhaustedError, 1, free=True)
    yield _status(400, QuotaExhaustedError, 1, free=True, name="no credit", message="Your credit balance is too low")
    for status in (500, 502, 503, 504):
        yield _status(status, ProviderUnavailableError, 3, free=False)
    for status in (408, 409, 529):
        yield _status(status, ProviderUnavailableError, 3, free=True)
    yield _status(502, ProviderUnavailableError, 3, free=False, name="html", body=b"<html>bad gateway</html>")
    final = {"x-should-retry": "false"}
    yield _status(500, ProviderUnavailableError, 1, free=False, name="not to be retried", headers=final)
    for status in (400, 404, 413, 422):
        yield _status(status, RequestRejectedError, 1, free=True)
    nested = b'{"error":' * 5000 + b"1" + b"}" * 5000
    yield _status(400, RequestRejectedError, 1, free=True, name="bottomless", body=nested)
    for status in (401, 403):
        yield _status(status, AuthenticationError, 1, free=True, name="echo", message=f"bad key {KEY.reveal()}")
    for status in (301, 302, 307, 308):
        yield _status(status, RequestRejectedError, 1, free=True, headers={"location": "/v1/elsewhere"})
    yield _body("200 html", b"<html>Please log in</html>", "text/html")
    yield _body("200 empty", b"")
    yield _body("200 list", b"[]")
    yield _body("200 error", b'{"error": {"message": "odd"}}')
    yield _body("200 success false", b'{"success": false, "code": 500, "msg": "odd"}')
    yield Row("empty stream", lambda wire: wire.reply(events=()), BadGatewayError, 2)
    yield Row("html as stream", lambda wire: wire.reply(events=(b"<html>Please log in</html>",)), BadGatewayError, 2)
    yield Row("connection reset", lambda wire: wire.reply(reset=True), ProviderUnavailableError, 3)
    yield Row("cut", lambda wire: _cut(wire, polite=False), StreamTruncatedError, 3)
    yield Row("politely cut", lambda wire: _cut(wire, polite=True), StreamTruncatedError, 3)
    yield Row("no stop reason", lambda wire: wire.reply(stop_reason=None), StreamTruncatedError, 3)
    yield Row("unknown stop reason", lambda wire: wire.reply(stop_reason="novelty"), BadGatewayError, 2)
    yield Row("malformed chunk", lambda wire: _with(wire, wire.event(b"{nonsense")), StreamTruncatedError, 3)
    yield Row("malformed start", lambda wire: wire.reply(events=(wire.event(b"{nonsense"),)), BadGatewayError, 2)
    bottomless = b'{"type":"ping","x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield Row("bottomless chunk", lambda wire: _with(wire, wire.event(bottomless)), StreamTruncatedError, 3)
    yield _late(429, RateLimitedError, 3)
    for status in (500, 529):
        yield _late(status, ProviderUnavailableError, 3)
    yield _late(400, RequestRejectedError, 1)
    yield _late(401, AuthenticationError, 1)


ROWS = tuple(_rows())
