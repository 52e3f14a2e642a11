"""The chunks of an OpenAI-compatible stream put together to one answer; whatever is not whole is an error.

How the bytes are sent and fetched is `openai_chat.py`; its text and tool calls are put together in
`assembly.py` and `tool_calls.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import Sink, no_sink
from orchestrator_v2.llm.catalog import Dialect
from orchestrator_v2.llm.errors import from_stream_error, make_error
from orchestrator_v2.llm.event_stream import EventStream
from orchestrator_v2.llm.tool_calls import ToolCallAssembly
from orchestrator_v2.llm.types import WINDOW_FULL, Completion

# What the answer's end is called here; an end that is not in the table is not taken for a whole answer.
FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "sensitive": "refusal",
}
# Ends for which a larger max_tokens would not help.
_WINDOW_ENDS = frozenset({"model_length", "model_context_window_exceeded"})
_DONE = b"[DONE]"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    """`reasoning_content` and `reasoning` are left out on purpose: a model's thinking is no answer."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolDelta] | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    """`prompt_cache_hit_tokens` and a bare `cached_tokens` are some vendors' names for what details hold elsewhere."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class StreamReader(EventStream[_Chunk]):
    """Reads one answer."""

    def __init__(self, dialect: Dialect, probe: Probe, secrets: Iterable[Secret], sink: Sink = no_sink) -> None:
        self._dialect = dialect
        super().__init__(_decoder, probe, secrets, sink)
        self._tools = ToolCallAssembly()
        self._call_ids: dict[int, str] = {}
        self._done = False
        self._refused = False
        self._finish: str | None = None
        self._id = ""
        self._usage: _Usage | None = None

    def completion(self, request_id: str) -> Completion:
        """The whole answer. Raises `BadGatewayError` for an end that is not known and tool arguments that are no JSON.

        `request_id` is the header's; without one the chunks' own id is taken.
        """
        ended = self._finish or "stop"
        finish = FINISH_REASONS.get(ended)
        if finish is None:
            reason = redact(f"The answer ended for an unknown reason: '{ended}'.", self._secrets)
            raise make_error(BadGatewayError, reason[:200])
        # What was cut or refused in the middle holds no whole call; some servers end a turn of calls with `stop`.
        calls = self._tools.calls() if finish in ("stop", "tool_use") else ()
        if finish == "tool_use" and not calls:
            raise make_error(BadGatewayError, "The answer asks for a tool and names none.")
        return Completion(
            text=self._text.text(),
            finish_reason="refusal" if self._refused else "tool_use" if calls else finish,
            usage=_total(self._usage or _Usage()),
            request_id=request_id or self._id,
            notes=(WINDOW_FULL,) if ended in _WINDOW_ENDS else (),
            tool_calls=calls,
        )

    def _take(self, data: bytes) -> None:
        if self._done:
            return
        if data.strip() == _DONE:
            self._done = True
            return
        chunk = self._event(data)
        if chunk.error:
            raise from_stream_error(chunk.error, secrets=self._secrets)
        self._id = self._id or chunk.id or ""
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices or ():
            self._started = True
            self._take_choice(choice)

    def _take_choice(self, choice: _Choice) -> None:
        if choice.index != 0:
            return
        self._usage = choice.usage or self._usage
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta or _Delta()
        if delta.refusal:
            self._refused = True
        self._text.add(delta.content or delta.refusal or "")
        for call in delta.tool_calls or ():
            self._take_call(call)

    def _take_call(self, delta: _ToolDelta) -> None:
        """Pieces belong together by their index; servers that send whole calls leave it out, or send 0 for all."""
        index = len(self._call_ids) if delta.index is None else delta.index
        given = delta.function or _Function()
        known = self._call_ids.get(index)
        if known is not None and delta.id and delta.id != known and given.name:
            index, known = len(self._call_ids), None
        if known is None:
            self._call_ids[index] = delta.id or f"call_{index}"
            self._tools.begin(index, self._call_ids[index], given.name or "")
        arguments = given.arguments
        whole = isinstance(arguments, dict)
        self._tools.add(index, msgspec.json.encode(arguments).decode() if whole else str(arguments or ""))

    def _is_over(self) -> bool:
        return self._done

    def _missing(self) -> str | None:
        if not self._started or (self._dialect.needs_finish_reason and self._finish is None):
            return "a finish reason"
        return "its closing mark" if self._dialect.needs_done and not self._done else None


def _total(usage: _Usage) -> Usage:
    """Cached tokens are inside `prompt_tokens`; where reasoning is beside `completion_tokens`, the total tells."""
    sent = usage.prompt_tokens or 0
    details = usage.prompt_tokens_details or _PromptDetails()
    read = _first(details.cached_tokens, usage.prompt_cache_hit_tokens, usage.cached_tokens)
    return Usage(
        input_tokens=sent,
        output_tokens=max(usage.completion_tokens or 0, (usage.total_tokens or 0) - sent),
        cache_read_tokens=read,
        cache_write_tokens=details.cache_write_tokens or 0,
        calls=1,
        cost=None,
    )


def _first(*counts: int | None) -> int:
    return next((count for count in counts if count is not None), 0)
