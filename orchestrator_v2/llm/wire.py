"""One request: JSON goes out; server-sent events or one object come back, all else is one of this project's errors.

What the JSON and the events mean is each provider's file; caps, redirects and the bound origin are `transport.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.errors import from_exception, from_status, make_error
from orchestrator_v2.llm.key_watch import watched
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.types import Completion

# Enough of an error's body to name the reason.
_ERROR_BODY = 64 * 1024
_DRAIN_SECONDS = 1.0
_REQUEST_ID = 200
EVENT_STREAM = "text/event-stream"


class Wire:
    """Posts to one base URL with one credential; its HTTP client is the factory's and is shared.

    Where the key is watched, it is asked for before each request, as also batches and counts of tokens pass here.

    `secrets` are shown nowhere. The client is kept under them, but for those that are `passing`: each new one would
    leave a client behind.
    """

    def __init__(
        self, connection: Connection, base_url: str, secrets: Sequence[Secret], *, passing: bool = False
    ) -> None:
        self._connection = connection
        self._base_url = base_url
        self._secrets = tuple(secrets)
        self._kept_under = () if passing else self._secrets

    @asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], *, kind: str = EVENT_STREAM
    ) -> AsyncIterator[Any]:
        """The response (httpx2) to a POST, still to be read with `aiter_raw`; it is a stream of that kind for sure.

        Raises the `ProviderError` of any other status and content, of the transport's faults, and, around the
        reading too, of whatever four libraries below let through.
        """
        async with watched(self._connection.watch, self._secrets):
            try:
                http = self._http()
                request = http.build_request("POST", path, content=msgspec.json.encode(body), headers=dict(headers))
                response = await http.send(request, stream=True)
                try:
                    self._connection.lane.learn(response.headers)
                    await self._check(response, kind)
                    yield response
                finally:
                    await response.aclose()
            except ProviderError:
                raise
            except Exception as exc:  # noqa: BLE001 - named by class in `errors.py`, where each has its meaning
                raise from_exception(exc, secrets=self._secrets) from None

    async def fetch(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | bytes | None = None
    ) -> dict[str, Any]:
        """The JSON object that answers a request without a stream, within `Timeouts.total`. Raises `ProviderError`.

        A `body` of bytes is sent as it is, under the type that `headers` name.
        """
        async with watched(self._connection.watch, self._secrets):
            return await self._fetched(method, path, headers, body)

    async def _fetched(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | bytes | None
    ) -> dict[str, Any]:
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(self._connection.timeouts.total):
                http = self._http()
                request = http.build_request(method, path, content=content, headers=dict(headers))
                response = await http.send(request)
                self._connection.lane.learn(response.headers)
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001 - named by class in `errors.py`, where each has its meaning
            raise from_exception(exc, secrets=self._secrets) from None
        if response.status_code != 200:
            raise self._error(response, response.content)
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            why = self._error(response, response.content[:_ERROR_BODY] or b"an empty body").why
            raise make_error(BadGatewayError, why, status=200) from None

    async def _check(self, response: Any, kind: str) -> None:
        is_stream = response.headers.get("content-type", "").lower().startswith(kind)
        if response.status_code == 200 and is_stream:
            return
        text = await _head(response.aiter_raw())
        error = self._error(response, text)
        if response.status_code != 200:
            raise error
        why = error.why if text else from_status(200, b"an empty body").why
        raise make_error(BadGatewayError, why, status=200)

    def _error(self, response: Any, text: bytes) -> ProviderError:
        now = self._connection.clock.now()
        return from_status(response.status_code, text, response.headers, secrets=self._secrets, now=now)

    def _http(self) -> Any:
        from orchestrator_v2.llm.transport import create_http_client

        connection = self._connection
        guarded = connection.egress is not None
        key = (connection.info.provider, self._base_url, guarded, *self._kept_under)

        def build() -> tuple[Any, Any]:
            http = create_http_client(self._base_url, connection.timeouts, connection.probe, connection.egress)
            return http, http.aclose

        return connection.pool.get(key, build)


class WireClient:
    """What every client of a wire is beside its wire: one model's names, on connections that are not its own."""

    _connection: Connection

    @property
    def provider(self) -> str:
        return self._connection.info.provider

    @property
    def model(self) -> str:
        return self._connection.info.name

    async def aclose(self) -> None:
        """Nothing: the HTTP client belongs to the factory's pool and is shared."""


def said_by(completion: Completion, connection: Connection, started: float) -> Completion:
    """`completion` with whose answer it is and how long it took since `started` (monotonic seconds)."""
    from orchestrator_v2.core.records import Provenance

    secrets = [secret for secret in (connection.config.credential,) if secret]
    return msgspec.structs.replace(
        completion,
        provenance=Provenance("real", connection.info.provider, connection.info.name),
        latency=connection.clock.monotonic() - started,
        # Words of the server's own choice, which go into the ledger and the log.
        request_id=redact(completion.request_id, secrets)[:_REQUEST_ID],
        notes=tuple(redact(note, secrets) for note in completion.notes),
    )


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Reads what follows a whole answer, only so that its connection can be used again."""
    import httpx2

    with suppress(httpx2.HTTPError, ProviderError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) >= _ERROR_BODY:
            break
    return body
