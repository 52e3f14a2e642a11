"""What Google's Gemini wire demands of a request, rule by rule.

The server that applies these is `fake_google.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator_v2.testing.fake_server import Seen

_PATH = re.compile(r"/v1beta/(models|tunedModels)/[\w.%-]+:(\w+)(\?alt=sse)?$")
_ASKS = {"streamGenerateContent", "countTokens"}
_BODY = {"contents", "generationConfig", "systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent"}
_CONFIG = {
    *("maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "seed", "candidateCount"),
    *("responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"),
}
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
_PAYLOADS = {"text", "inlineData", "functionCall", "functionResponse"}
_KEYWORDS = {
    *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"),
    *("minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"),
    *("required", "propertyOrdering"),
}


def broken_rules(seen: Seen) -> list[str]:
    """A sentence for each rule that the request breaks."""
    always = [sentence for sentence, holds in RULES if not holds(seen)]
    if method_of(seen) not in _ASKS:
        return always
    body = asked(seen)
    uncapped = method_of(seen) == "streamGenerateContent" and not _positive_cap(body)
    capped = ["generationConfig.maxOutputTokens is a positive integer"] if uncapped else []
    return always + capped + [sentence for sentence, holds in ASK_RULES if not holds(body)]


def method_of(seen: Seen) -> str:
    """`streamGenerateContent`, `countTokens`, …; empty for the list of models."""
    found = _PATH.search(seen.path)
    return found.group(2) if found else ""


def asked(seen: Seen) -> dict[str, Any]:
    """The request for an answer; a count of tokens has it inside."""
    inner = seen.body.get("generateContentRequest", seen.body)
    return {name: value for name, value in inner.items() if name != "model"} if isinstance(inner, dict) else {}


def key_of(seen: Seen) -> str:
    """The credential that was sent."""
    return seen.headers.get("x-goog-api-key", "")


def text_of(seen: Seen) -> str:
    """All the text of the request: system instruction and turns."""
    body = asked(seen)
    turns = [body.get("systemInstruction", {}), *_turns(body)]
    return "\n\n".join(str(part["text"]) for turn in turns for part in turn.get("parts", ()) if "text" in part)


def _good_path(seen: Seen) -> bool:
    if seen.method == "GET":
        return seen.path.split("?")[0].endswith("/v1beta/models")
    streamed = method_of(seen) == "streamGenerateContent"
    return seen.method == "POST" and bool(method_of(seen)) and seen.path.endswith("?alt=sse") == streamed


def _key_in_header_alone(seen: Seen) -> bool:
    return bool(key_of(seen)) and "key=" not in seen.path and "authorization" not in seen.headers


def _turns(body: dict[str, Any]) -> list[dict[str, Any]]:
    turns = body.get("contents", [])
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def _alternates(body: dict[str, Any]) -> bool:
    roles = [turn.get("role") for turn in _turns(body)]
    return len(roles) % 2 == 1 and roles == ["user" if at % 2 == 0 else "model" for at in range(len(roles))]


def _one_payload_a_part(body: dict[str, Any]) -> bool:
    turns = [*_turns(body), *([body["systemInstruction"]] if "systemInstruction" in body else [])]
    return all(turn.get("parts") and all(len(_PAYLOADS & set(part)) == 1 for part in turn["parts"]) for turn in turns)


def _known_fields(body: dict[str, Any]) -> bool:
    return set(body) <= _BODY and set(body.get("generationConfig", {})) <= _CONFIG


def _thinking_is_known(body: dict[str, Any]) -> bool:
    """In either spelling of the field, as protobuf's JSON takes both."""
    config = body.get("generationConfig", {}).get("thinkingConfig", {"thinkingLevel": "LOW"})
    return len(config) == 1 and config.get("thinkingLevel", config.get("thinking_level")) in _LEVELS


def _positive_cap(body: dict[str, Any]) -> bool:
    cap = body.get("generationConfig", {}).get("maxOutputTokens")
    return isinstance(cap, int) and cap > 0


def _calls_are_answered(body: dict[str, Any]) -> bool:
    """The turn after function calls holds one response to each of them, by name."""
    turns = _turns(body)
    for turn, following in zip(turns, [*turns[1:], {}], strict=True):
        called = _names(turn, "functionCall")
        if called and called != _names(following, "functionResponse"):
            return False
    return True


def _names(turn: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    found = (part[kind] for part in turn.get("parts", ()) if kind in part)
    return [(str(each.get("id", "")), str(each.get("name", ""))) for each in found]


def _schema_is_known(body: dict[str, Any]) -> bool:
    config = body.get("generationConfig", {})
    schema = config.get("responseJsonSchema")
    if schema is None:
        return True
    return config.get("responseMimeType") == "application/json" and all(map(_allowed, _schemas(schema)))


def _allowed(schema: dict[str, Any]) -> bool:
    alone = "$ref" not in schema or all(name.startswith("$") for name in schema)
    return set(schema) <= _KEYWORDS and alone


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict):
        return
    yield schema
    for name in ("items", "additionalProperties"):
        yield from _schemas(schema.get(name))
    for name in ("prefixItems", "anyOf", "oneOf"):
        for each in schema.get(name, ()):
            yield from _schemas(each)
    for name in ("$defs", "properties"):
        for each in schema.get(name, {}).values():
            yield from _schemas(each)


RULES: tuple[tuple[str, Callable[[Seen], bool]], ...] = (
    ("the path is /v1beta/models/NAME:METHOD, with ?alt=sse for a stream and for nothing else", _good_path),
    ("the key is sent in x-goog-api-key, and nowhere else", _key_in_header_alone),
    ("the body is one JSON object", lambda seen: seen.method == "GET" or bool(seen.body)),
)


def _tools_are_known(body: dict[str, Any]) -> bool:
    """Functions, or Google's own search alone: beside functions it asks for settings that nobody sends here."""
    kinds = [kind for tool in body.get("tools", ()) for kind in tool]
    return kinds in ([], ["functionDeclarations"]) or body["tools"] == [{"googleSearch": {}}]


ASK_RULES: tuple[tuple[str, Callable[[dict[str, Any]], bool]], ...] = (
    ("contents: roles alternate between user and model, the user's first and last", _alternates),
    ("contents: each turn has parts, each part one payload", _one_payload_a_part),
    ("no field that the wire does not know", _known_fields),
    ("thinkingConfig: a thinkingLevel that there is", _thinking_is_known),
    ("tools: functions, or googleSearch alone", _tools_are_known),
    ("each functionCall is followed by its functionResponse", _calls_are_answered),
    ("responseJsonSchema has known keywords only, a $ref stands alone, the MIME type is JSON", _schema_is_known),
)
