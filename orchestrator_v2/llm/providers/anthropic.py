"""Anthropic's Messages wire: the request and its headers, spoken over our own HTTP client.

How its stream is read is `anthropic_stream.py`; retries, prices and the environment are none of its business.
Source: the vendor's SDK 2.11, beside which a test lays what is sent here, byte for byte.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import (
    CredentialMissingError,
    MissingExtraError,
    RequestRejectedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.errors import from_exception, make_error
from orchestrator_v2.llm.meter import capped
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.anthropic_stream import StreamReader
from orchestrator_v2.llm.strict_schema import strict_schema
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire, said_by

INSTALL = "pip install 'orchestrator-v2[anthropic]'"
PATH = "/v1/messages"
PRESENT_VERSION = "2026-10-21"
# Under the vendor's present version sampling is an error; compatible servers and older profiles speak the former one.
OLDER_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"


class AnthropicProvider:
    needs_credential = True

    def missing_extra(self) -> str:
        return "" if importlib.util.find_spec("httpx2") else INSTALL

    def connect(self, connection: Connection) -> Invoker:
        """A client bound to the key's origin. Raises `CredentialMissingError`, `MissingExtraError`, `ConfigError`."""
        if connection.config.credential is None:
            raise CredentialMissingError(
                "There is no key for Anthropic.", "Real mode needs one.", "Set ANTHROPIC_API_KEY, or run simulated."
            )
        if self.missing_extra():
            raise MissingExtraError("The HTTP client for Anthropic is not installed.", "", f"Run: {INSTALL}")
        return AnthropicClient(connection, connection.config.credential)


class AnthropicClient:
    """One model behind one credential. Every call is streamed, so that long answers come and caps hold."""

    def __init__(self, connection: Connection, credential: Secret) -> None:
        self._connection = connection
        self._credential = credential
        self._wire = Wire(connection, check_base_url(connection.info.base_url), (credential,))

    @property
    def provider(self) -> str:
        return self._connection.info.provider

    @property
    def model(self) -> str:
        return self._connection.info.name

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        started = self._connection.clock.monotonic()
        body = build_request(self._connection, messages, options)
        headers = build_headers(self._connection, self._credential, older="temperature" in body)
        reader = StreamReader(self._connection.probe, (self._credential,), sink)
        try:
            async with (
                asyncio.timeout(options.timeout or self._connection.timeouts.total),
                self._wire.stream(PATH, body, headers) as response,
            ):
                await reader.read(response.aiter_raw())
        except TimeoutError as exc:
            raise from_exception(exc) from None
        return said_by(reader.completion(response.headers.get("request-id", "")), self._connection, started)

    async def aclose(self) -> None:
        """Nothing: the HTTP client belongs to the factory's pool and is shared."""


def build_headers(connection: Connection, credential: Secret, *, older: bool = False) -> dict[str, str]:
    """The wire's headers, the key among them; `older` asks for the version that still takes sampling."""
    is_token = "oauth_token" in (connection.config.credential_kind, kind_of(credential))
    older = older or connection.info.own_base_url
    headers = {
        "Accept": "text/event-stream",
        "Authorization": f"Bearer {credential.reveal()}",
        "Content-Type": "application/json",
        "anthropic-version": OLDER_VERSION if older else PRESENT_VERSION,
    }
    return headers | ({"anthropic-beta": OAUTH_BETA} if is_token else {})


def build_request(connection: Connection, messages: Sequence[Message], options: InvokeOptions) -> Mapping[str, Any]:
    """The body to send. Raises `RequestRejectedError`, unsent, for an option that the model does not have."""
    info = connection.info
    request: dict[str, Any] = {
        "model": info.name,
        "max_tokens": capped(info, options).max_tokens,
        "messages": _turns(messages),
        "stream": True,
    }
    system = options.system_prompt
    if options.response_schema is not None and info.facts.json_schema:
        schema = _enforced(options.response_schema)
        request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif options.response_schema is not None:
        system = f"{system}\n\n{_schema_in_words(options.response_schema)}".strip()
    if system:
        request["system"] = system
    if options.stop_sequences:
        request["stop_sequences"] = list(options.stop_sequences)
    if options.temperature is not None:
        request["temperature"] = _allowed_temperature(connection, options.temperature)
    return request


def _enforced(schema: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return strict_schema(schema)
    except ValueError as exc:
        raise make_error(RequestRejectedError, str(exc), unbilled=True) from None


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
