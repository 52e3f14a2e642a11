"""Anthropic's Messages wire: the request, the client of the vendor's SDK, faults as this project's errors.

How its stream is read is `anthropic_stream.py`; retries, prices and the environment are none of its business.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import (
    BadGatewayError,
    CredentialMissingError,
    MissingExtraError,
    ProviderError,
    RequestRejectedError,
)
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, LLMClient
from orchestrator_v2.llm.errors import from_exception, from_status, make_error
from orchestrator_v2.llm.meter import capped
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.anthropic_stream import StreamReader
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

INSTALL = "pip install 'orchestrator-v2[anthropic]'"
# Under the vendor's present version sampling is an error; compatible servers and older profiles speak the former one.
OLDER_VERSION = "2023-06-01"
# Enough of an error's body to name the reason.
_ERROR_BODY = 64 * 1024


class AnthropicProvider:
    needs_credential = True

    def missing_extra(self) -> str:
        return "" if importlib.util.find_spec("anthropic") else INSTALL

    def connect(self, connection: Connection) -> LLMClient:
        """A client bound to the key's origin. Raises `CredentialMissingError`, `MissingExtraError`, `ConfigError`."""
        if connection.config.credential is None:
            raise CredentialMissingError(
                "There is no key for Anthropic.", "Real mode needs one.", "Set ANTHROPIC_API_KEY, or run simulated."
            )
        if self.missing_extra():
            raise MissingExtraError("Anthropic's SDK is not installed.", "", f"Run: {INSTALL}")
        check_base_url(connection.info.base_url)
        return AnthropicClient(connection, connection.config.credential)


class AnthropicClient:
    """One model behind one credential. Every call is streamed, so that long answers come and caps hold."""

    def __init__(self, connection: Connection, credential: Secret) -> None:
        self._connection = connection
        self._credential = credential
        self._info = connection.info
        self._base_url = check_base_url(connection.info.base_url)

    @property
    def provider(self) -> str:
        return self._info.provider

    @property
    def model(self) -> str:
        return self._info.name

    async def invoke(
        self, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS, *, key: str = ""
    ) -> Completion:
        clock = self._connection.clock
        started = clock.monotonic()
        try:
            sdk = self._sdk()
            request = build_request(self._connection, messages, options)
            async with asyncio.timeout(options.timeout or self._connection.timeouts.total):
                completion = await self._send(sdk, request)
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001 - the SDK lets through what four libraries below it raise
            raise self._error(exc) from None
        made_by = Provenance("real", self.provider, self.model)
        return msgspec.structs.replace(completion, provenance=made_by, latency=clock.monotonic() - started)

    async def _send(self, sdk: Any, request: dict[str, Any]) -> Completion:
        reader = StreamReader(self._connection.probe, (self._credential,))
        async with sdk.messages.with_streaming_response.create(**request) as response:
            http = response.http_response
            if not http.headers.get("content-type", "").lower().startswith("text/event-stream"):
                raise self._no_stream(await _head(http.aiter_raw()))
            await reader.read(http.aiter_raw())
        return reader.completion(http.headers.get("request-id", ""))

    def _no_stream(self, body: bytes) -> BadGatewayError:
        reason = from_status(200, body or b"an empty body", secrets=(self._credential,)).why
        return make_error(BadGatewayError, reason, status=200)

    def _error(self, exc: Exception) -> ProviderError:
        response = getattr(exc, "response", None)
        if response is None:
            return from_exception(exc, secrets=(self._credential,))
        return from_status(
            response.status_code,
            getattr(exc, "body", None),
            response.headers,
            secrets=(self._credential,),
            now=self._connection.clock.now(),
        )

    def _sdk(self) -> Any:
        config = self._connection.config
        key = (self.provider, self._base_url, self._credential, config.credential_kind)
        return self._connection.pool.get(key, self._build_sdk)

    def _build_sdk(self) -> tuple[Any, Callable[[], Awaitable[None]]]:
        try:
            import anthropic
            from anthropic.lib.credentials import StaticToken
        except ImportError as exc:
            raise MissingExtraError("Anthropic's SDK is not installed.", str(exc), f"Run: {INSTALL}") from exc
        from orchestrator_v2.llm.transport import create_http_client

        timeouts, secret = self._connection.timeouts, self._credential.reveal()
        is_token = "oauth_token" in (self._connection.config.credential_kind, kind_of(self._credential))
        credential: dict[str, Any] = {"credentials": StaticToken(secret)} if is_token else {"api_key": secret}
        http = create_http_client(self._base_url, timeouts, self._connection.probe)
        sdk = anthropic.AsyncAnthropic(
            **credential, base_url=self._base_url, max_retries=0, http_client=http, open_telemetry=False
        )
        # The constructor takes headers, the Authorization too, from ANTHROPIC_CUSTOM_HEADERS; a test watches over this.
        sdk._custom_headers = {"Accept-Encoding": "identity"}
        return sdk, http.aclose

    async def aclose(self) -> None:
        """Nothing: the SDK's client belongs to the factory's pool and is shared."""


def build_request(connection: Connection, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
    """The SDK's arguments. Raises `RequestRejectedError`, unsent, for an option that the model does not have."""
    info = connection.info
    request: dict[str, Any] = {
        "model": info.name,
        "max_tokens": capped(info, options).max_tokens,
        "messages": _turns(messages),
        "stream": True,
    }
    system = options.system_prompt
    if options.response_schema is not None and info.facts.json_schema:
        from anthropic import transform_schema

        schema = transform_schema(options.response_schema)
        request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif options.response_schema is not None:
        system = f"{system}\n\n{_schema_in_words(options.response_schema)}".strip()
    if system:
        request["system"] = system
    if options.stop_sequences:
        request["stop_sequences"] = list(options.stop_sequences)
    if info.own_base_url or options.temperature is not None:
        request["extra_headers"] = {"anthropic-version": OLDER_VERSION}
    if options.temperature is not None:
        request["extra_body"] = {"temperature": _allowed_temperature(connection, options.temperature)}
    return request


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Turns that alternate: neighbours of one role become blocks of one turn; the last stable block is cached."""
    last_stable = max((index for index, message in enumerate(messages) if message.stable), default=-1)
    turns: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        block: dict[str, Any] = {"type": "text", "text": message.content}
        if index == last_stable:
            block["cache_control"] = {"type": "ephemeral"}
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"].append(block)
        else:
            turns.append({"role": message.role, "content": [block]})
    return turns


def _schema_in_words(schema: dict[str, Any]) -> str:
    text = msgspec.json.encode(schema).decode()
    return f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{text}"


def _allowed_temperature(connection: Connection, temperature: float) -> float:
    if connection.info.facts.sampling:
        return temperature
    raise make_error(
        RequestRejectedError, f"The model '{connection.info.name}' does not take a temperature.", unbilled=True
    )


async def _head(chunks: Any) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) >= _ERROR_BODY:
            break
    return body
