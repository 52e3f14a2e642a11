"""What Anthropic's Messages wire demands of a request, rule by rule.

The server that applies these is `fake_anthropic.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

PRESENT_VERSION = "2026-10-21"
OLDER_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"
KNOWN_VERSIONS = (PRESENT_VERSION, OLDER_VERSION)
_SAMPLING = ("temperature", "top_p", "top_k")


class Seen(msgspec.Struct, frozen=True):
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        try:
            found = json.loads(self.raw or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def key(self) -> str:
        """The credential that was sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def prompt(self) -> str:
        """All the text of the request: system prompt and turns."""
        texts = [_text(self.body.get("system", ""))]
        texts += [_text(turn.get("content", "")) for turn in self.body.get("messages", [])]
        return "\n\n".join(texts)


def broken_rules(seen: Seen) -> list[str]:
    """A sentence for each rule that the request breaks."""
    return [sentence for sentence, holds in RULES if not holds(seen)]


def _positive_max_tokens(seen: Seen) -> bool:
    value = seen.body.get("max_tokens")
    return isinstance(value, int) and value > 0


def _alternates(seen: Seen) -> bool:
    roles = [turn.get("role") for turn in seen.body.get("messages", [])]
    return bool(roles) and roles == ["user" if at % 2 == 0 else "assistant" for at in range(len(roles))]


def _ends_with_user(seen: Seen) -> bool:
    turns = seen.body.get("messages", [])
    return bool(turns) and turns[-1].get("role") == "user"


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


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))


RULES: tuple[tuple[str, Callable[[Seen], bool]], ...] = (
    ("the path is POST /v1/messages", lambda seen: seen.method == "POST" and seen.path.endswith("/v1/messages")),
    ("max_tokens: Field required, a positive integer", _positive_max_tokens),
    ("model: Field required", lambda seen: bool(seen.body.get("model"))),
    ("messages: roles must alternate between user and assistant, user first", _alternates),
    ("messages: the last one must be the user's", _ends_with_user),
    ("messages: no empty text blocks", lambda seen: b'"text":""' not in seen.raw and b'"text": ""' not in seen.raw),
    ("sampling parameters are not supported under this version", _no_sampling),
    ("the credential is sent as one Authorization: Bearer header", _bearer_alone),
    ("an OAuth token, and only one, is marked by its beta header", _marks_oauth),
    ("anthropic-version is one that is known", lambda s: s.headers.get("anthropic-version") in KNOWN_VERSIONS),
    ("no more than four cache_control marks", _few_cache_marks),
)
