"""Claude on Amazon Bedrock: Anthropic's body, signed for AWS, and its events out of AWS's frames.

The body is `anthropic_request.py`, the events `anthropic_stream.py`, the signature `aws_signing.py`.
Source: the vendor's SDK 2.12 (lib/bedrock), beside which a test lays what is sent here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ConfigError, CredentialMissingError, MissingExtraError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.errors import from_exception, from_status, make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers import aws_signing
from orchestrator_v2.llm.providers.anthropic_headers import samples
from orchestrator_v2.llm.providers.anthropic_request import build_request
from orchestrator_v2.llm.providers.anthropic_stream import StreamReader
from orchestrator_v2.llm.providers.aws_frames import CONTENT_TYPE, Frame, FrameDecoder
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire, WireClient, said_by

INSTALL = "pip install 'orchestrator-v2[bedrock]'"
VERSION = "2026-10-21"
# Still takes sampling.
OLDER_VERSION = "bedrock-2023-05-31"
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
# What an exception inside a stream, whose status was 200, would have had as its status.
_STATUS_OF_EXCEPTION = {
    "validationException": 400,
    "accessDeniedException": 403,
    "resourceNotFoundException": 404,
    "modelTimeoutException": 408,
    "throttlingException": 429,
    "serviceQuotaExceededException": 429,
    "serviceUnavailableException": 503,
    "modelNotReadyException": 503,
}


class BedrockProvider:
    """`environ` is where the region is looked up without a base_url; left out, the process's own, as AWS's tools do.

    Without a Bedrock API key the credentials are found by AWS's own chain: chosen by name only, this provider stands
    in for no other.
    """

    needs_credential = False

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    def missing_extra(self) -> str:
        return "" if aws_signing.is_installed() else INSTALL

    def connect(self, connection: Connection) -> Invoker:
        """A client bound to one region's server.

        Raises `MissingExtraError`, `ConfigError` without a region, and `CredentialMissingError` for a server's user
        without a key: AWS's chain finds the operator's.
        """
        if connection.config.guarded and connection.config.credential is None:
            raise CredentialMissingError(
                "There is no key for Bedrock.",
                "Those of this server are not for its users.",
                "Store a Bedrock API key.",
            )
        if self.missing_extra():
            raise MissingExtraError("What Bedrock's wire needs is not installed.", "", f"Run: {INSTALL}")
        environ = os.environ if self._environ is None else self._environ
        region = _region(connection.info.base_url, environ)
        base_url = connection.info.base_url or f"https://bedrock-runtime.{region}.amazonaws.com"
        return BedrockClient(connection, connection.accepted(base_url), region)


class BedrockClient(WireClient):
    """One Claude model in one region. Every call is streamed."""

    def __init__(self, connection: Connection, base_url: str, region: str) -> None:
        self._connection = connection
        self._base_url = base_url
        self._region = region

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The whole answer. Raises `CredentialMissingError` where AWS's chain finds nothing, and `ProviderError`."""
        started = self._connection.clock.monotonic()
        body = build_body(self._connection, messages, options)
        path = f"/model/{quote(self.model, safe=':;')}/invoke-with-response-stream"
        try:
            async with asyncio.timeout(options.timeout or self._connection.timeouts.total):
                headers, secrets = await self._signed(path, body)
                reader = StreamReader(self._connection.probe, secrets, sink)
                is_signed = self._connection.config.credential is None
                wire = Wire(self._connection, self._base_url, secrets, passing=is_signed)
                async with wire.stream(path, body, headers, kind=CONTENT_TYPE) as response:
                    await reader.read(_events(response.aiter_raw(), secrets))
        except TimeoutError as exc:
            raise from_exception(exc) from None
        request_id = response.headers.get("x-amzn-requestid", "")
        return said_by(reader.completion(request_id), self._connection, started)

    async def _signed(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, str], tuple[Secret, ...]]:
        """The headers of the request, and what in them must be shown nowhere."""
        plain = {"Accept": CONTENT_TYPE, "Content-Type": "application/json"}
        credential = self._connection.config.credential
        if credential is not None:
            return plain | {"Authorization": f"Bearer {credential.reveal()}"}, (credential,)
        keys = await aws_signing.find_keys(self._connection.pool)
        content = msgspec.json.encode(body)
        signed = aws_signing.sign(keys, self._region, self._base_url + path, plain, content)
        return signed, keys.secrets


def build_body(connection: Connection, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
    """Anthropic's body as Bedrock takes it: the model stands in the path, the version in the body."""
    request = build_request(connection, messages, options)
    body = {name: value for name, value in request.items() if name not in ("model", "stream")}
    return body | {"anthropic_version": OLDER_VERSION if samples(body) else VERSION}


async def _events(chunks: AsyncIterator[bytes], secrets: Sequence[Secret]) -> AsyncIterator[bytes]:
    """The events inside the frames, written as Anthropic's own server sends them."""
    decoder = FrameDecoder()
    async for chunk in chunks:
        for frame in decoder.feed(chunk):
            event = _event_in(frame, secrets)
            if event:
                yield b"data: " + event.replace(b"\n", b" ") + b"\n\n"


def _event_in(frame: Frame, secrets: Sequence[Secret]) -> bytes:
    if frame.headers.get(":message-type") != "event":
        name = frame.headers.get(":exception-type") or frame.headers.get(":error-code", "")
        status = _STATUS_OF_EXCEPTION.get(name, 500)
        text = f"{name}: {frame.headers.get(':error-message', '')}{frame.payload.decode('utf-8', 'replace')}"
        raise from_status(status, {"error": {"message": text}}, secrets=secrets, in_stream=True)
    if frame.headers.get(":event-type") != "chunk":
        return b""
    try:
        return base64.b64decode(msgspec.json.decode(frame.payload)["bytes"], validate=True)
    except (msgspec.DecodeError, KeyError, TypeError, binascii.Error):
        raise make_error(BadGatewayError, "A piece of the stream holds no event.", status=200) from None


def _region(base_url: str, environ: Mapping[str, str]) -> str:
    """The region that stands in AWS's own host names, else the one of the environment."""
    host = urlsplit(base_url).hostname or ""
    named = next((label for label in host.split(".") if _REGION.fullmatch(label)), "")
    found = named or next((environ[name].strip() for name in _REGION_VARIABLES if environ.get(name, "").strip()), "")
    if not _REGION.fullmatch(found):
        raise ConfigError(
            "Bedrock has no region.",
            f"'{found[:40]}' is none." if found else "Neither the base_url nor the environment names one.",
            "Set AWS_REGION, such as eu-central-1, or a base_url of https://bedrock-runtime.REGION.amazonaws.com.",
        )
    return found
