"""The OpenAI-compatible wire: chat completions, always streamed, over our own HTTP client.

What a body holds is `openai_request.py`, how a stream is read `openai_stream.py`; how vendors differ is data, in
`vendors/openai.json` and `vendors/openai_compatible.json`. Source: the vendor's SDK 3.54, beside which a test lays
what is sent here.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence

from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, MissingExtraError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.catalog import Dialect, ProviderRow, dialect_of
from orchestrator_v2.llm.errors import from_exception
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.openai_batches import OpenAIBatches
from orchestrator_v2.llm.providers.openai_embeddings import OpenAIExtras
from orchestrator_v2.llm.providers.openai_request import build_request
from orchestrator_v2.llm.providers.openai_stream import StreamReader
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire, WireClient, said_by

INSTALL = "pip install 'orchestrator-v2[openai]'"
PATH = "/chat/completions"


class OpenAIChatProvider:
    """Every vendor of this wire. `row` is for one that the catalog does not have; it is taken as it stands."""

    # Whether a key is needed is in the row; `connect` asks for it.
    needs_credential = False

    def __init__(self, row: ProviderRow | None = None) -> None:
        self._row = row

    def missing_extra(self) -> str:
        return "" if importlib.util.find_spec("httpx2") else INSTALL

    def connect(self, connection: Connection) -> Invoker:
        """A client bound to the key's origin. Raises `CredentialMissingError`, `MissingExtraError`, `ConfigError`."""
        name, credential = connection.info.provider, connection.config.credential
        row = self._row or connection.info.row
        if credential is None and not row.keyless:
            do = f"Set {row.keys[0]}, or run simulated." if row.keys else "Give a key, or run simulated."
            raise CredentialMissingError(f"There is no key for {name}.", "Real mode needs one.", do)
        if self.missing_extra():
            raise MissingExtraError(f"The HTTP client for {name} is not installed.", "", f"Run: {INSTALL}")
        base_url = connection.accepted(_address(connection, row))
        dialect = row.dialect if self._row else dialect_of(connection.info, row)
        headers = build_headers(name, credential, dialect)
        return OpenAIChatClient(connection, row, dialect, base_url, headers)


class OpenAIChatClient(OpenAIBatches, OpenAIExtras, WireClient):
    """One model behind one credential, or none. Every call is streamed, so that long answers come and caps hold."""

    def __init__(
        self, connection: Connection, row: ProviderRow, dialect: Dialect, base_url: str, headers: dict[str, str]
    ) -> None:
        self._connection = connection
        self._row = row
        self._dialect = dialect
        self._headers = headers
        credential = connection.config.credential
        self._secrets = (credential,) if credential else ()
        self._wire = Wire(connection, base_url, self._secrets)

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        connection = self._connection
        started = connection.clock.monotonic()
        body = build_request(connection.info, self._dialect, messages, options)
        headers = {"Accept": "text/event-stream", **self._headers}
        reader = StreamReader(self._dialect, connection.probe, self._secrets, sink)
        try:
            async with (
                asyncio.timeout(options.timeout or connection.timeouts.total),
                self._wire.stream(PATH, body, headers) as response,
            ):
                await reader.read(response.aiter_raw())
        except TimeoutError as exc:
            raise from_exception(exc) from None
        return said_by(reader.completion(response.headers.get("x-request-id", "")), connection, started)


def build_headers(provider: str, credential: Secret | None, dialect: Dialect) -> dict[str, str]:
    """The wire's headers, the key among them. Raises `ConfigError` for a key that no header can carry."""
    headers = {"Content-Type": "application/json"}
    if credential is None:
        return headers
    key = credential.reveal()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The key for {provider} cannot be sent.",
            "It holds a space, a line end, or a character that is not plain ASCII.",
            "Copy it again, alone and whole.",
        )
    is_bearer = dialect.key_header.lower() == "authorization"
    return headers | {dialect.key_header: f"Bearer {key}" if is_bearer else key}


def _address(connection: Connection, row: ProviderRow) -> str:
    base_url = connection.info.base_url or row.base_url
    if not base_url:
        name = connection.info.provider
        form = f" For {name} it is {row.address}" if row.address else ""
        raise ConfigError(f"There is no base_url for {name}.", "It has no common address.", f"Set its base_url.{form}")
    return base_url
