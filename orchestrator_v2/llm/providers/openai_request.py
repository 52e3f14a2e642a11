"""The body of an OpenAI-compatible chat request: turns, schema, tools and options, by the dialect of its row.

Headers and sending are `openai_chat.py`; which schemas are enforced is `openai_schema.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.llm.catalog import Dialect, ModelInfo
from orchestrator_v2.llm.errors import unsupported
from orchestrator_v2.llm.meter import capped
from orchestrator_v2.llm.providers.honoured import check_abilities, sampling, with_reasoning
from orchestrator_v2.llm.providers.images import images_by_turn, in_base64
from orchestrator_v2.llm.providers.openai_schema import enforced_schema, enforced_tools
from orchestrator_v2.llm.search.own_tool import no_own_tool
from orchestrator_v2.llm.strict_schema import schema_in_words
from orchestrator_v2.llm.types import Image, InvokeOptions, Message, ToolCall


def build_request(
    info: ModelInfo, dialect: Dialect, messages: Sequence[Message], options: InvokeOptions
) -> Mapping[str, Any]:
    """The body to send. Raises `RequestRejectedError`, unsent, for an option that model or server does not have."""
    if options.native_search:
        raise no_own_tool(info)
    check_abilities(info, messages, options)
    response_format, words = _answer_form(dialect, options.response_schema)
    system = "\n\n".join(part for part in (options.system_prompt, words) if part)
    request: dict[str, Any] = {
        "model": info.name,
        "messages": [*([{"role": "system", "content": system}] if system else []), *_turns(dialect, messages, options)],
        dialect.max_tokens: capped(info, options).max_tokens,
        "stream": True,
    }
    if dialect.usage_in_stream:
        request["stream_options"] = {"include_usage": True}
    if response_format:
        request["response_format"] = response_format
    if options.tools:
        request["tools"] = enforced_tools(options.tools, strict=dialect.strict_tools)
    request |= sampling(info, options) | _seed_and_stop(info, dialect, options) | dialect.extra
    return with_reasoning(request, info, options)


def _answer_form(dialect: Dialect, schema: dict[str, Any] | None) -> tuple[dict[str, Any] | None, str]:
    """What holds the answer to the schema: the field of the request, and words for what the field does not say."""
    if schema is None:
        return None, ""
    # The wire enforces objects only.
    structured = dialect.structured if schema.get("type") == "object" else "words"
    if structured == "json_schema":
        return {"type": "json_schema", "json_schema": enforced_schema(schema)}, ""
    return {"type": "json_object"} if structured == "json_object" else None, schema_in_words(schema)


def _seed_and_stop(info: ModelInfo, dialect: Dialect, options: InvokeOptions) -> dict[str, Any]:
    """Each only where it is honoured."""
    found: dict[str, Any] = {}
    if options.seed is not None:
        if not dialect.seed:
            raise unsupported(f"The provider '{info.provider}' takes no seed.", "Leave the seed out.")
        found[dialect.seed] = options.seed
    if options.stop_sequences:
        if not info.facts.stop:
            raise unsupported(f"The model '{info.name}' takes no stop sequences.", "Leave them out.")
        found["stop"] = list(options.stop_sequences)
    return found


def _turns(dialect: Dialect, messages: Sequence[Message], options: InvokeOptions) -> list[dict[str, Any]]:
    """Turns that alternate: neighbours of one role are one turn, as some servers' templates refuse two."""
    turns: list[dict[str, Any]] = []
    for message, images in zip(messages, images_by_turn(messages, options.images), strict=True):
        for turn in _turn(dialect, message, images):
            before: dict[str, Any] = turns[-1] if turns else {"role": ""}
            is_more = before["role"] == turn["role"] != "tool" and "tool_calls" not in before
            if is_more and "tool_calls" not in turn:
                before["content"] = _joined(before["content"], turn["content"])
            else:
                turns.append(turn)
    return turns


def _turn(dialect: Dialect, message: Message, images: Sequence[Image]) -> Iterator[dict[str, Any]]:
    """A message as the wire has it: each tool's result is a turn of its own, before what the user says."""
    for result in message.tool_results:
        text = f"Error: {result.content}" if result.is_error else result.content
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}
    if message.tool_calls:
        said = {"content": message.content} if message.content else {}
        yield {"role": "assistant", **said, "tool_calls": [_call(call) for call in message.tool_calls]}
    elif images:
        if not dialect.images:
            raise unsupported("This provider takes no images.", "Leave the images out.")
        text_part = [{"type": "text", "text": message.content}] if message.content else []
        yield {"role": message.role, "content": [*text_part, *map(_image, images)]}
    elif message.content or not message.tool_results:
        yield {"role": message.role, "content": message.content}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _image(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{in_base64(image)}"}}


def _joined(before: str | list[Any], more: str | list[Any]) -> str | list[Any]:
    if isinstance(before, str) and isinstance(more, str):
        return f"{before}\n\n{more}"
    return [*_parts(before), *_parts(more)]


def _parts(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
