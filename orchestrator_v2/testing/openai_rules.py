"""What OpenAI's chat, embeddings and models endpoints demand of a request, rule by rule.

The server that applies these is `fake_openai.py`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator_v2.testing.fake_server import Seen

__all__ = ["Seen", "broken_rules"]

Rule = tuple[str, Callable[[Seen], bool]]

# All that may stand in a body: the vendor refuses what it does not know. The last ones are other vendors' own.
_KNOWN = frozenset(
    {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "stop"}
    | {"top_p", "reasoning_effort", "seed", "tools", "response_format", "thinking", "random_seed"}
)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ROLES = ("system", "user", "assistant", "tool")
_REASONING = re.compile(r"^(gpt-[5-9]|o[1-9])")
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_DATA_URL = re.compile(r"^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$")


def broken_rules(seen: Seen) -> list[str]:
    """A sentence for each rule that the request breaks."""
    return [sentence for sentence, holds in (*COMMON, *_BY_ENDPOINT.get(endpoint(seen), CHAT)) if not holds(seen)]


def endpoint(seen: Seen) -> str:
    """The last part of the path: `completions`, `embeddings` or `models`."""
    return _path(seen).rpartition("/")[2]


def _path(seen: Seen) -> str:
    return seen.path.partition("?")[0]


def _one_credential(seen: Seen) -> bool:
    named = [name for name in ("authorization", "api-key", "x-api-key") if name in seen.headers]
    bearer = seen.headers.get("authorization", "Bearer x")
    return named in ([], ["authorization"], ["api-key"]) and re.fullmatch(r"Bearer [!-~]+", bearer) is not None


def _messages(seen: Seen) -> list[dict[str, Any]]:
    found = seen.body.get("messages", [])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _system_leads(seen: Seen) -> bool:
    roles = [message.get("role") for message in _messages(seen)]
    return bool(roles) and set(roles) <= set(_ROLES) and "system" not in roles[1:] and roles[-1] in ("user", "tool")


def _alternates(seen: Seen) -> bool:
    roles = [message.get("role") for message in _messages(seen)]
    return not any(one == other != "tool" for one, other in itertools.pairwise(roles))


def _contents_are_whole(seen: Seen) -> bool:
    return all(_is_content(message) for message in _messages(seen))


def _is_content(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    if message.get("tool_calls"):
        return content is None or (isinstance(content, str) and content != "")
    if isinstance(content, str):
        return message["role"] in ("user", "tool") or content != ""
    return message["role"] == "user" and isinstance(content, list) and bool(content) and all(map(_is_part, content))


def _is_part(part: Mapping[str, Any]) -> bool:
    if part.get("type") == "text":
        return bool(part["text"])
    return part.get("type") == "image_url" and _DATA_URL.fullmatch(part["image_url"]["url"]) is not None


def _tool_calls_are_answered(seen: Seen) -> bool:
    """Each call is answered by a turn right after it, and no turn answers what was not asked."""
    open_calls: list[str] = []
    for message in _messages(seen):
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                return False
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return False
        for call in message.get("tool_calls", ()):
            json.loads(call["function"]["arguments"])
            open_calls.append(call["id"])
    return not open_calls


def _one_cap(seen: Seen) -> bool:
    caps = [seen.body[name] for name in ("max_tokens", "max_completion_tokens") if name in seen.body]
    return len(caps) == 1 and isinstance(caps[0], int) and caps[0] > 0


def _reasoning_models_are_spared(seen: Seen) -> bool:
    refused = ("temperature", "top_p", "max_tokens", "stop")
    return not _REASONING.match(str(seen.body.get("model"))) or not any(name in seen.body for name in refused)


def _format_is_whole(seen: Seen) -> bool:
    form = seen.body.get("response_format")
    if form is None or form.get("type") == "text":
        return True
    if form.get("type") == "json_object":
        return "json" in seen.prompt.lower()
    schema = form.get("json_schema", {})
    named = form.get("type") == "json_schema" and _NAME.match(schema.get("name", "")) is not None
    return named and schema["schema"]["type"] == "object" and (not schema.get("strict") or _is_closed(schema["schema"]))


def _tools_are_whole(seen: Seen) -> bool:
    functions = [tool["function"] for tool in seen.body.get("tools", ()) if tool.get("type") == "function"]
    names = [function["name"] for function in functions]
    whole = all(_NAME.match(name) for name in names) and len(set(names)) == len(seen.body.get("tools", ()))
    return whole and all(_is_closed(each["parameters"]) for each in functions if each.get("strict"))


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """What the vendor's strict mode asks for: no open object, no optional field, no `allOf`."""
    for node in _nodes(schema):
        is_open = node.get("additionalProperties") is not False or set(node.get("required", ())) != set(
            node.get("properties", ())
        )
        if "allOf" in node or (node.get("type") == "object" and is_open):
            return False
    return True


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from _nodes(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _nodes(inner)


def _inputs_are_texts(seen: Seen) -> bool:
    texts = seen.body.get("input", [])
    return 0 < len(texts) <= 2048 and all(isinstance(text, str) and text for text in texts)


COMMON: tuple[Rule, ...] = (
    ("one credential, as Authorization: Bearer or api-key, or none", _one_credential),
    ("the body is JSON", lambda seen: not seen.raw or seen.headers.get("content-type") == "application/json"),
)
CHAT: tuple[Rule, ...] = (
    ("POST /chat/completions", lambda s: s.method == "POST" and _path(s).endswith("/chat/completions")),
    ("model: missing", lambda seen: bool(seen.body.get("model"))),
    ("unknown arguments", lambda seen: set(seen.body) <= _KNOWN),
    ("the answer is streamed", lambda seen: seen.body.get("stream") is True),
    ("messages: one system prompt at most, first; the user or a tool speaks last", _system_leads),
    ("messages: roles alternate", _alternates),
    ("messages: contents are texts, or lists of texts and images", _contents_are_whole),
    ("messages: every tool call is answered, and nothing else", _tool_calls_are_answered),
    ("max_tokens or max_completion_tokens: one of them, a positive integer", _one_cap),
    ("reasoning models take no sampling, no stop and no max_tokens", _reasoning_models_are_spared),
    ("reasoning_effort is a word that there is", lambda s: s.body.get("reasoning_effort", "none") in _EFFORTS),
    ("response_format is whole; strict ones are closed; json_object needs the word in the prompt", _format_is_whole),
    ("tools are named functions; strict ones are closed", _tools_are_whole),
)
EMBEDDINGS: tuple[Rule, ...] = (
    ("POST /embeddings", lambda seen: seen.method == "POST"),
    ("model: missing", lambda seen: bool(seen.body.get("model"))),
    ("input: texts that are not empty", _inputs_are_texts),
    ("unknown arguments", lambda seen: set(seen.body) <= {"model", "input", "encoding_format", "dimensions"}),
)
MODELS: tuple[Rule, ...] = (("GET /models", lambda seen: seen.method == "GET" and not seen.raw),)
_BY_ENDPOINT: Mapping[str, tuple[Rule, ...]] = {"completions": CHAT, "embeddings": EMBEDDINGS, "models": MODELS}
