"""Google's Gemini wire: the request to `streamGenerateContent` and its headers, over our own HTTP client.

How its stream is read is `google_stream.py`; vectors, token counts and the list of models are `google_extras.py`.
Source: the vendor's SDK 3.4, beside which a test lays what is sent here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_v2.core.errors import CredentialMissingError, MissingExtraError, RequestRejectedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.errors import from_exception, make_error, unsupported
from orchestrator_v2.llm.meter import capped
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.google_extras import GoogleExtras, model_path
from orchestrator_v2.llm.providers.google_schema import known_schema
from orchestrator_v2.llm.providers.google_stream import StreamReader
from orchestrator_v2.llm.providers.honoured import check_abilities, sampling, with_reasoning
from orchestrator_v2.llm.providers.images import images_by_turn, in_base64
from orchestrator_v2.llm.search.own_tool import own_tool
from orchestrator_v2.llm.strict_schema import schema_in_words
from orchestrator_v2.llm.types import Completion, Image, InvokeOptions, Message, ToolCall, ToolResult
from orchestrator_v2.llm.wire import Wire, WireClient, said_by

INSTALL = "pip install 'orchestrator-v2[google]'"
VERSION = "v1beta"
_SAMPLING = {"temperature": "temperature", "top_p": "topP"}
_ROLES = {"user": "user", "assistant": "model"}
_ENDS_WITH_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*$")

# What its page on pictures names.
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})


class GoogleProvider:
    needs_credential = True

    def missing_extra(self) -> str:
        return "" if importlib.util.find_spec("httpx2") else INSTALL

    def connect(self, connection: Connection) -> Invoker:
        """A client bound to the key's origin. Raises `CredentialMissingError`, `MissingExtraError`, `ConfigError`."""
        if connection.config.credential is None:
            raise CredentialMissingError(
                "There is no key for Google.", "Real mode needs one.", "Set GEMINI_API_KEY, or run simulated."
            )
        if self.missing_extra():
            raise MissingExtraError("The HTTP client for Google is not installed.", "", f"Run: {INSTALL}")
        return GoogleClient(connection, connection.config.credential)


class GoogleClient(GoogleExtras, WireClient):
    """One model behind one key, which travels in a header and never in the URL. Every call is streamed."""

    def __init__(self, connection: Connection, credential: Secret) -> None:
        self._connection = connection
        self._credential = credential
        base_url = connection.accepted(connection.info.base_url)
        # A base_url may name the version itself.
        self._root = "" if _ENDS_WITH_VERSION.search(base_url) else f"/{VERSION}"
        self._headers = {"Content-Type": "application/json", "x-goog-api-key": credential.reveal()}
        self._wire = Wire(connection, base_url, (credential,))

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
        path = f"{self._root}/{model_path(self.model)}:streamGenerateContent?alt=sse"
        searching = options.native_search > 0
        reader = StreamReader(self._connection.probe, (self._credential,), sink, searching=searching)
        try:
            async with (
                asyncio.timeout(options.timeout or self._connection.timeouts.total),
                self._wire.stream(path, body, self._headers) as response,
            ):
                await reader.read(response.aiter_raw())
        except TimeoutError as exc:
            raise from_exception(exc) from None
        return said_by(reader.completion(), self._connection, started)

    def _request(self, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
        return build_request(self._connection, messages, options)


def build_request(connection: Connection, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
    """The body to send. Raises `RequestRejectedError`, unsent, for what the model or the wire does not take."""
    info = connection.info
    check_abilities(info, messages, options)
    config: dict[str, Any] = {"maxOutputTokens": capped(info, options).max_tokens}
    system = options.system_prompt
    if options.response_schema is not None and info.facts.json_schema:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = known_schema(options.response_schema)
    elif options.response_schema is not None:
        system = f"{system}\n\n{schema_in_words(options.response_schema)}".strip()
    config |= {_SAMPLING[name]: value for name, value in sampling(info, options).items()}
    if options.seed is not None:
        config["seed"] = options.seed
    if options.stop_sequences:
        config["stopSequences"] = list(options.stop_sequences)
    request: dict[str, Any] = {"contents": _contents(messages, options.images), "generationConfig": config}
    if system:
        request["systemInstruction"] = {"parts": [{"text": system}], "role": "user"}
    tools = _tools(info, options)
    if tools:
        request["tools"] = tools
    return with_reasoning(request, info, options)


def _tools(info: ModelInfo, options: InvokeOptions) -> list[dict[str, Any]]:
    if options.native_search and options.tools:
        raise unsupported("Google's own search is not used beside other tools here.", "Leave one of the two out.")
    declared = [
        {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
        for tool in options.tools
    ]
    if options.native_search:
        return [{own_tool(info): {}}]
    return [{"functionDeclarations": declared}] if declared else []


def _contents(messages: Sequence[Message], images: Sequence[Image]) -> list[dict[str, Any]]:
    """Turns that alternate: neighbours of one role become parts of one turn. `images` join the last user's turn."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[dict[str, Any]] = []
    for message, shown in zip(messages, images_by_turn(messages, images), strict=True):
        parts = [_answered(result, names) for result in message.tool_results]
        parts += [_picture(image) for image in shown]
        parts += [{"text": message.content}] if message.content else []
        parts += [_called(call) for call in message.tool_calls]
        role = _ROLES[message.role]
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].extend(parts)
        else:
            turns.append({"parts": parts or [{"text": ""}], "role": role})
    return turns


def _picture(image: Image) -> dict[str, Any]:
    return {"inlineData": {"data": in_base64(image, IMAGE_TYPES), "mimeType": image.media_type}}


def _called(call: ToolCall) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"id": call.id, "args": call.arguments, "name": call.name}}
    return part | ({"thoughtSignature": call.signature} if call.signature else {})


def _answered(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    """Google wants the function's name again; which one it is stands in the call that is answered."""
    if result.call_id not in names:
        reason = f"The result of '{result.call_id}'"[:100] + " answers no call of the conversation."
        raise make_error(RequestRejectedError, reason, unbilled=True)
    told = {"error" if result.is_error else "output": result.content}
    return {"functionResponse": {"id": result.call_id, "name": names[result.call_id], "response": told}}
