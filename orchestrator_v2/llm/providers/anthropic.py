"""Anthropic's Messages wire, spoken over our own HTTP client: a model's answer, its count of tokens, its models.

The body is `anthropic_request.py`, how the stream is read is `anthropic_stream.py`, the batch lane is
`anthropic_batches.py`; retries, prices and the environment are none of its business.
Source: the vendor's SDK 2.12, beside which a test lays what is sent here, byte for byte.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from urllib.parse import quote

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    CredentialMissingError,
    MissingExtraError,
    ProviderError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.errors import from_exception, make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.anthropic_batches import AnthropicBatches
from orchestrator_v2.llm.providers.anthropic_headers import build_headers, samples
from orchestrator_v2.llm.providers.anthropic_request import build_count_request, build_request
from orchestrator_v2.llm.providers.anthropic_stream import StreamReader
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import EVENT_STREAM, Wire, WireClient, said_by

INSTALL = "pip install 'orchestrator-v2[anthropic]'"
PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
MODELS_PATH = "/v1/models"
_PAGE = 1000
_MAX_PAGES = 20


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


class AnthropicClient(AnthropicBatches, WireClient):
    """One model behind one credential. Every call is streamed, so that long answers come and caps hold."""

    def __init__(self, connection: Connection, credential: Secret) -> None:
        self._connection = connection
        self._credential = credential
        self._wire = Wire(connection, connection.accepted(connection.info.base_url), (credential,))

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
        headers = build_headers(self._connection, self._credential, older=samples(body), accept=EVENT_STREAM)
        searching = options.native_search > 0
        reader = StreamReader(self._connection.probe, (self._credential,), sink, searching=searching)
        try:
            async with asyncio.timeout(options.timeout or self._connection.timeouts.total):
                while True:
                    async with self._wire.stream(PATH, body, headers) as response:
                        await reader.read(response.aiter_raw())
                    if not reader.is_paused:
                        break
                    body = reader.go_on(body)
        except TimeoutError as exc:
            raise from_exception(exc) from None
        except ProviderError as error:
            error.unbilled = error.unbilled and not reader.was_paused
            raise
        except CredentialMissingError as error:
            if not reader.was_paused:
                raise
            # Revoked in the middle of the call: what came before it is billed.
            raise make_error(AuthenticationError, error.why, do=error.do) from error
        return said_by(reader.completion(response.headers.get("request-id", "")), self._connection, started)

    async def count_tokens(self, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> int:
        """Input tokens of the request by the vendor's own count, which is free. Raises `ProviderError`, unbilled."""
        body = build_count_request(self._connection, messages, options)
        headers = build_headers(self._connection, self._credential)
        count = (await self._wire.fetch("POST", COUNT_PATH, headers, body)).get("input_tokens")
        if not isinstance(count, int) or count < 0:
            raise make_error(BadGatewayError, "The count of tokens holds no number.", status=200, unbilled=True)
        return count

    async def list_models(self) -> list[str]:
        """Names of the models that the server offers, without those that are retired. Raises `ProviderError`."""
        headers = build_headers(self._connection, self._credential)
        names: list[str] = []
        after = ""
        for _ in range(_MAX_PAGES):
            page = await self._wire.fetch("GET", f"{MODELS_PATH}?limit={_PAGE}{after}", headers)
            rows = page.get("data")
            if not isinstance(rows, list):
                raise make_error(BadGatewayError, "The list of models holds no data.", status=200, unbilled=True)
            rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
            names += [row["id"] for row in rows if row.get("lifecycle") != "retired"]
            if not page.get("has_more") or not rows:
                return names
            after = f"&after_id={quote(rows[-1]['id'], safe='')}"
        raise make_error(BadGatewayError, f"The list of models has more than {_MAX_PAGES} pages.", unbilled=True)
