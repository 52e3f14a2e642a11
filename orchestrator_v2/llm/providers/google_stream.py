"""The chunks of Gemini's stream put together to one answer; whatever is not whole is an error.

How the bytes are sent and fetched is `google.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import Sink, no_sink
from orchestrator_v2.llm.errors import from_status, make_error
from orchestrator_v2.llm.event_stream import EventStream
from orchestrator_v2.llm.search.quoting import pages_found
from orchestrator_v2.llm.tool_calls import with_own_ids
from orchestrator_v2.llm.types import Completion, ToolCall

# What the answer's end is called here; an end that is not in the table is not taken for a whole answer.
FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}


class _FunctionCall(msgspec.Struct):
    name: str
    id: str | None = None
    args: dict[str, Any] | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Web(msgspec.Struct):
    uri: str | None = None
    title: str | None = None


class _Source(msgspec.Struct):
    web: _Web | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    """What the model's own search found; `web_search_queries` may hold empty ones, which are not billed."""

    grounding_chunks: list[_Source] | None = None
    web_search_queries: list[str] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    grounding_metadata: _Grounding | None = None
    finish_reason: str | None = None
    index: int | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    response_id: str | None = None
    error: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Chunk)


class StreamReader(EventStream[_Chunk]):
    """Reads one answer.

    With `searching` it is read to its very end: what was found may come after the text.
    """

    def __init__(
        self, probe: Probe, secrets: Iterable[Secret], sink: Sink = no_sink, *, searching: bool = False
    ) -> None:
        super().__init__(_decoder, probe, secrets, sink)
        self._searching = searching
        self._queries: set[str] = set()
        self._pages: list[tuple[str, str]] = []
        self._calls: list[ToolCall] = []
        self._finish = ""
        self._blocked = ""
        self._usage: dict[str, int] = {}
        self._response_id = ""

    def completion(self) -> Completion:
        """The whole answer. Raises `BadGatewayError` for an end that is not known, or is no answer."""
        finish = "refusal" if self._blocked else FINISH_REASONS.get(self._finish)
        if finish is None:
            reason = redact(f"The answer ended for this reason: '{self._finish}'.", self._secrets)
            raise make_error(BadGatewayError, reason[:200])
        if finish == "stop" and self._calls:
            finish = "tool_use"
        said = redact(f"The provider's filter said: {self._blocked or self._finish}.", self._secrets)
        return Completion(
            text=self._text.text(),
            finish_reason=finish,
            usage=self._total_usage(),
            request_id=self._response_id,
            notes=(said[:200],) if finish == "refusal" else (),
            tool_calls=with_own_ids(tuple(self._calls)) if finish == "tool_use" else (),
            sources=pages_found(self._pages),
            searches=len(self._queries),
        )

    def _take(self, data: bytes) -> None:
        chunk = self._event(data)
        if chunk.error is not None:
            raise self._reported(chunk.error)
        self._response_id = chunk.response_id or self._response_id
        self._count(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._blocked = chunk.prompt_feedback.block_reason
        # One candidate is asked for; a server that sends more sends them beside the first.
        for candidate in chunk.candidates or ():
            if not candidate.index:
                self._started = True
                self._add(candidate)

    def _add(self, candidate: _Candidate) -> None:
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call is not None:
                self._calls.append(self._wish(part.function_call, part.thought_signature))
            elif part.text and not part.thought:
                self._text.add(part.text)
        self._finish = candidate.finish_reason or self._finish
        found = candidate.grounding_metadata or _Grounding()
        self._queries.update(query for query in found.web_search_queries or () if query.strip())
        webs = (source.web for source in found.grounding_chunks or () if source.web is not None)
        self._pages += [(web.title or "", web.uri or "") for web in webs]

    def _wish(self, call: _FunctionCall, signature: str | None) -> ToolCall:
        name_of_call = call.id or f"call_{len(self._calls) + 1}"
        return ToolCall(name_of_call, call.name, call.args or {}, signature or "")

    def _is_over(self) -> bool:
        return self._missing() is None and bool(self._usage) and not self._searching

    def _missing(self) -> str | None:
        return None if self._finish or self._blocked else "a finish reason"

    def _count(self, usage: _Usage | None) -> None:
        if usage is not None:
            given = msgspec.structs.asdict(usage)
            self._usage.update({name: count for name, count in given.items() if count is not None})

    def _total_usage(self) -> Usage:
        count = self._usage.get
        return Usage(
            input_tokens=count("prompt_token_count", 0) + count("tool_use_prompt_token_count", 0),
            output_tokens=count("candidates_token_count", 0) + count("thoughts_token_count", 0),
            cache_read_tokens=count("cached_content_token_count", 0),
            calls=1,
            cost=None,
        )

    def _reported(self, error: dict[str, Any]) -> ProviderError:
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return from_status(status, {"error": error}, secrets=self._secrets, in_stream=True)
