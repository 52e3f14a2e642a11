"""The words of the model layer: messages, options, configuration, completions.

How they travel is each provider's file; who may call whom is `factory.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage


class Image(msgspec.Struct, frozen=True):
    """A picture as bytes; `media_type` is one of image/png, image/jpeg, image/gif, image/webp."""

    data: bytes
    media_type: str = "image/png"


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool that the model may ask for; `parameters` is the JSON Schema of its arguments (an object)."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model's wish that a tool be called; `arguments` are plain JSON values and not to be trusted.

    `signature` is the provider's own mark on the call; some want it back, unread, with the call's result.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    signature: str = ""


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a called tool gave, for the model to read."""

    call_id: str
    content: str
    is_error: bool = False


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. `stable` marks the end of a prefix that later calls repeat, for the provider's prompt cache.

    `tool_calls` stand in the assistant's turns, `tool_results` and `images` in the user's.
    """

    role: Literal["user", "assistant"]
    content: str
    stable: bool = False
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[ToolResult, ...] = ()


class InvokeOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one call asks for. `max_tokens` is always sent; `timeout` is in seconds for the whole call.

    `response_schema` is a JSON Schema that the answer must fit, by the provider's own means where it has them.
    `images` belong to the last user's turn. `cache` False keeps prompt caches out. `native_search` lets the model
    search the web with its vendor's own tool, so many times at most where the wire takes a limit. `top_p` cuts sampling
    off at that share of probability. `reasoning` is how hard the model is to think, one of catalog.LEVELS (empty: as
    its vendor has it). What a model does not honour is refused before anything is sent.
    """

    max_tokens: int = 16_000
    system_prompt: str = ""
    temperature: float | None = None
    stop_sequences: tuple[str, ...] = ()
    response_schema: dict[str, Any] | None = None
    timeout: float | None = None
    tools: tuple[ToolSpec, ...] = ()
    images: tuple[Image, ...] = ()
    seed: int | None = None
    cache: bool = True
    native_search: int = 0
    # New fields have to stand last and be left out at their default: recorded calls are found by a hash of these.
    top_p: float | None = None
    reasoning: str = ""


class LLMConfig(msgspec.Struct, frozen=True):
    """Which model, by whom, with which key. The key is a `Secret` and this class is never serialised.

    `spare_credential` is an API key that is used once the provider has refused `credential`, an OAuth token.
    `guarded`: the `base_url` is the word of a server's user, so the factory's `Egress` says what is connected to.
    """

    provider: str
    model: str
    credential: Secret | None = None
    base_url: str = ""
    credential_kind: Literal["api_key", "oauth_token"] = "api_key"
    spare_credential: Secret | None = None
    guarded: bool = False


# The note of an answer that was cut by the window itself, where a larger max_tokens would not help.
WINDOW_FULL = "The model's window is full."


class Source(msgspec.Struct, frozen=True):
    """A page that an answer stands on."""

    title: str
    url: str


class Embeddings(msgspec.Struct, frozen=True):
    """Vectors in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage = NO_USAGE
    model: str = ""


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model's whole answer. `finish_reason` is one of stop, length, refusal, tool_use; `latency` in seconds.

    `recorded` is True for an answer that came from the ledger and was not sent again. `notes` say in plain words
    what the caller should know of it; `unsettled` names models (`provider/model`) that failed on the way to this
    answer and may have charged for it all the same. With finish_reason tool_use, `tool_calls` are what is asked for.
    `sources` are the pages that a search put before the model, or that the model found itself in `searches` of its own.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = NO_USAGE
    provenance: Provenance = Provenance("real")
    request_id: str = ""
    latency: float = 0.0
    attempts: int = 1
    recorded: bool = False
    notes: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    sources: tuple[Source, ...] = ()
    searches: int = 0

    @property
    def cost(self) -> int | None:
        """Nano-dollars; None when the model's price is unknown."""
        return self.usage.cost
