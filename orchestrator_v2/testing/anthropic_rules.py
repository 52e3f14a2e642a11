"""What Anthropic's Messages wire demands of a request, rule by rule.

The server that applies these is `fake_anthropic.py`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator_v2.testing.fake_server import Seen

__all__ = ["Seen", "broken_rules"]

PRESENT_VERSION = "2026-10-21"
OLDER_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"
KNOWN_VERSIONS = (PRESENT_VERSION, OLDER_VERSION)
_SAMPLING = ("temperature", "top_p", "top_k")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SEARCH_TOOLS = ("web_search_20250305", "web_search_20260209", "web_search_20260318")
_NOT_COUNTED = ("max_tokens", "stream", "stop_sequences", *_SAMPLING)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def broken_rules(seen: Seen) -> list[str]:
    """A sentence for each rule that the request breaks."""
    return [sentence for sentence, holds in rules_of(seen) if not holds(seen)]


def rules_of(seen: Seen) -> tuple[Rule, ...]:
    """The rules of the endpoint that was asked; those of `POST /v1/messages` for all that is unknown."""
    endpoint = (seen.method, seen.path.partition("?")[0].rpartition("/v1/")[2])
    return _BY_ENDPOINT.get(endpoint, RULES)


def _positive_max_tokens(seen: Seen) -> bool:
    value = seen.body.get("max_tokens")
    return isinstance(value, int) and value > 0


def _alternates(seen: Seen) -> bool:
    roles = [turn.get("role") for turn in seen.body.get("messages", [])]
    return bool(roles) and roles == ["user" if at % 2 == 0 else "assistant" for at in range(len(roles))]


def _ends_with_user(seen: Seen) -> bool:
    """Or with a turn that the server paused for a tool of its own."""
    turns = seen.body.get("messages", [])
    return bool(turns) and (turns[-1].get("role") == "user" or _is_paused(turns[-1]))


def _is_paused(turn: Mapping[str, Any]) -> bool:
    blocks = turn["content"] if isinstance(turn["content"], list) else []
    return any(block.get("type") == "server_tool_use" for block in blocks)


def _own_tools(seen: Seen) -> list[dict[str, Any]]:
    return [tool for tool in seen.body.get("tools", []) if "type" not in tool]


def _searches_are_limited(seen: Seen) -> bool:
    """The vendor's own tools are its web search alone, with a limit, called by the model and by nobody else."""
    served = [tool for tool in seen.body.get("tools", []) if "type" in tool]
    return len(served) <= 1 and all(
        set(tool) == {"type", "name", "max_uses", "allowed_callers"}
        and tool["type"] in _SEARCH_TOOLS
        and tool["name"] == "web_search"
        and tool["max_uses"] > 0
        and tool["allowed_callers"] == ["direct"]
        for tool in served
    )


def _no_schema_beside_search(seen: Seen) -> bool:
    searches = len(_own_tools(seen)) < len(seen.body.get("tools", []))
    return not (searches and "format" in seen.body.get("output_config", {}))


def _output_is_known(seen: Seen) -> bool:
    config = seen.body.get("output_config", {"effort": "high"})
    known = bool(config) and set(config) <= {"format", "effort"}
    return known and config.get("effort", "high") in _EFFORTS


def _no_sampling(seen: Seen) -> bool:
    older = seen.headers.get("anthropic-version") == OLDER_VERSION
    return older or not any(name in seen.body for name in _SAMPLING)


def _bearer_alone(seen: Seen) -> bool:
    return seen.headers.get("authorization", "").startswith("Bearer ") and "x-api-key" not in seen.headers


def _marks_oauth(seen: Seen) -> bool:
    marked = OAUTH_BETA in seen.headers.get("anthropic-beta", "")
    return marked == seen.key.startswith("sk-ant-oat")


def _few_cache_marks(seen: Seen) -> bool:
    return seen.raw.count(b'"cache_control"') <= 4


def _tools_are_whole(seen: Seen) -> bool:
    tools = _own_tools(seen)
    named = all(_TOOL_NAME.fullmatch(tool["name"]) and tool["input_schema"]["type"] == "object" for tool in tools)
    return named and len({tool["name"] for tool in tools}) == len(tools)


def _strict_tools_are_closed(seen: Seen) -> bool:
    strict = [tool for tool in seen.body.get("tools", []) if tool.get("strict")]
    return len(strict) <= 20 and all(tool["input_schema"].get("additionalProperties") is False for tool in strict)


def _calls_are_answered(seen: Seen) -> bool:
    """The calls of a turn are answered at the beginning of the next, all of them and no others."""
    wanted: list[str] = []
    for turn in seen.body.get("messages", []):
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        kinds = [block["type"] for block in blocks]
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(answered) != sorted(wanted) or kinds[: len(answered)] != ["tool_result"] * len(answered):
            return False
        wanted = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return True


def _tools_for_calls(seen: Seen) -> bool:
    return b'"tool_use"' not in seen.raw or bool(seen.body.get("tools"))


def _images_are_base64(seen: Seen) -> bool:
    content = [turn["content"] for turn in seen.body.get("messages", []) if isinstance(turn["content"], list)]
    sources = [block["source"] for blocks in content for block in blocks if block["type"] == "image"]
    return all(it["type"] == "base64" and it["media_type"] in _IMAGE_TYPES and _decodes(it["data"]) for it in sources)


def _decodes(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except ValueError:
        return False


Rule = tuple[str, Callable[[Seen], bool]]
_OF_CREDENTIAL: tuple[Rule, ...] = (
    ("the credential is sent as one Authorization: Bearer header", _bearer_alone),
    ("an OAuth token, and only one, is marked by its beta header", _marks_oauth),
    ("anthropic-version is one that is known", lambda s: s.headers.get("anthropic-version") in KNOWN_VERSIONS),
)
_OF_PROMPT: tuple[Rule, ...] = (
    ("model: Field required", lambda seen: bool(seen.body.get("model"))),
    ("messages: roles must alternate between user and assistant, user first", _alternates),
    ("messages: the last one must be the user's", _ends_with_user),
    ("messages: no empty text blocks", lambda seen: b'"text":""' not in seen.raw and b'"text": ""' not in seen.raw),
    ("no more than four cache_control marks", _few_cache_marks),
    ("tools: a name, and an input_schema that is an object", _tools_are_whole),
    ("tools: at most 20 are strict, and those are closed", _strict_tools_are_closed),
    ("tools: the web search has its type, name and limit, and the model alone calls it", _searches_are_limited),
    ("output_config: a format, an effort of the five that there are", _output_is_known),
    ("output_config: no schema beside the web search, whose answers hold citations", _no_schema_beside_search),
    ("messages: each tool_use is answered at the beginning of the next turn", _calls_are_answered),
    ("messages: tool_use blocks only where there are tools", _tools_for_calls),
    ("messages: images are base64 of a known type", _images_are_base64),
)
RULES: tuple[Rule, ...] = (
    ("the path is POST /v1/messages", lambda seen: seen.method == "POST" and seen.path.endswith("/v1/messages")),
    ("max_tokens: Field required, a positive integer", _positive_max_tokens),
    ("sampling parameters are not supported under this version", _no_sampling),
    *_OF_PROMPT,
    *_OF_CREDENTIAL,
)
_COUNT_RULES: tuple[Rule, ...] = (
    ("only what is input is counted", lambda seen: not any(name in seen.body for name in _NOT_COUNTED)),
    *_OF_PROMPT,
    *_OF_CREDENTIAL,
)
_BY_ENDPOINT: Mapping[tuple[str, str], tuple[Rule, ...]] = {
    ("POST", "messages"): RULES,
    ("POST", "messages/count_tokens"): _COUNT_RULES,
    ("GET", "models"): _OF_CREDENTIAL,
}
