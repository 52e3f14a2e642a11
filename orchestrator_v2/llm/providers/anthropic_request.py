"""The body of a request on Anthropic's Messages wire: turns, blocks, tools, options.

Headers and sending are `anthropic.py`, which tools are held to their schema is `anthropic_tools.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.errors import make_error, unsupported
from orchestrator_v2.llm.meter import capped
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.providers.anthropic_search import search_tool
from orchestrator_v2.llm.providers.anthropic_tools import wire_tools
from orchestrator_v2.llm.providers.honoured import check_abilities, sampling, with_reasoning
from orchestrator_v2.llm.providers.images import images_by_turn, in_base64
from orchestrator_v2.llm.search.own_tool import own_tool
from orchestrator_v2.llm.strict_schema import schema_in_words, strict_schema
from orchestrator_v2.llm.types import Image, InvokeOptions, Message


def build_request(connection: Connection, messages: Sequence[Message], options: InvokeOptions) -> Mapping[str, Any]:
    """The body to send. Raises `RequestRejectedError`, unsent, for an option that the model does not have."""
    if options.seed is not None:
        raise unsupported("Anthropic's wire takes no seed.", "Leave the seed out.")
    info = connection.info
    check_abilities(info, messages, options)
    request: dict[str, Any] = {
        "model": info.name,
        "max_tokens": capped(info, options).max_tokens,
        "messages": _turns(messages, options),
        "stream": True,
    }
    system = options.system_prompt
    if options.response_schema is not None and _is_enforced(info, options):
        schema = _enforced(options.response_schema)
        request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif options.response_schema is not None:
        system = f"{system}\n\n{schema_in_words(options.response_schema)}".strip()
    if system:
        request["system"] = system
    tools = _tools(info, options)
    if tools:
        request["tools"] = tools
    if options.stop_sequences:
        request["stop_sequences"] = list(options.stop_sequences)
    return with_reasoning(request | sampling(info, options), info, options)


def build_count_request(
    connection: Connection, messages: Sequence[Message], options: InvokeOptions
) -> Mapping[str, Any]:
    """The body that asks how many tokens the same request has: all of it that is input."""
    asked = msgspec.structs.replace(options, temperature=None, top_p=None, reasoning="")
    request = build_request(connection, messages, asked)
    unknown = ("max_tokens", "stream", "stop_sequences")
    return {name: value for name, value in request.items() if name not in unknown}


def _turns(messages: Sequence[Message], options: InvokeOptions) -> list[dict[str, Any]]:
    """Turns that alternate: neighbours of one role become blocks of one turn; the last stable block is cached."""
    stable = [index for index, message in enumerate(messages) if message.stable] if options.cache else []
    turns: list[dict[str, Any]] = []
    for index, (message, images) in enumerate(zip(messages, images_by_turn(messages, options.images), strict=True)):
        blocks = _blocks(message, images)
        if stable and index == stable[-1]:
            blocks[-1]["cache_control"] = {"type": "ephemeral"}
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": message.role, "content": blocks})
    return turns


def _blocks(message: Message, images: Sequence[Image]) -> list[dict[str, Any]]:
    """Results of tools first, as the wire asks; images before the text that speaks of them; calls of tools last."""
    blocks: list[dict[str, Any]] = []
    for result in message.tool_results:
        block = {"type": "tool_result", "tool_use_id": result.call_id, "content": result.content}
        blocks.append(block | ({"is_error": True} if result.is_error else {}))
    blocks += [_image(image) for image in images]
    text = {"type": "text", "text": message.content}
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in message.tool_calls
    ]
    if message.content.strip() or not (blocks or calls):
        blocks.append(text)
    return blocks + calls


def _is_enforced(info: ModelInfo, options: InvokeOptions) -> bool:
    """Not beside a search: its answers hold citations, which the wire refuses together with a schema."""
    return info.facts.json_schema and not options.native_search


def _tools(info: ModelInfo, options: InvokeOptions) -> list[dict[str, Any]]:
    enforced = options.response_schema if _is_enforced(info, options) else None
    tools = wire_tools(options.tools, strict=info.facts.json_schema, response_schema=enforced)
    return [*tools, search_tool(own_tool(info), options.native_search)] if options.native_search else tools


def _image(image: Image) -> dict[str, Any]:
    source = {"type": "base64", "media_type": image.media_type, "data": in_base64(image)}
    return {"type": "image", "source": source}


def _enforced(schema: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return strict_schema(schema)
    except ValueError as exc:
        raise make_error(RequestRejectedError, str(exc), unbilled=True) from None
