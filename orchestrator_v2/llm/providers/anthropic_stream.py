"""The events of Anthropic's stream put together to one answer; whatever is not whole is an error.

How the bytes are sent and fetched is `anthropic.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, RequestRejectedError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import Sink, no_sink
from orchestrator_v2.llm.errors import STATUS_OF_TYPE, from_status, make_error
from orchestrator_v2.llm.event_stream import EventStream
from orchestrator_v2.llm.providers.anthropic_search import SearchedTurn
from orchestrator_v2.llm.tool_calls import ToolCallAssembly
from orchestrator_v2.llm.types import WINDOW_FULL, Completion

# What the answer's end is called here; an end that is not in the table is not taken for a whole answer.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_use",
}
# Ends for a while a turn in which the vendor runs a tool itself: its web search, and no other is ever sent.
PAUSED = "pause_turn"


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    server_tool_use: _ServerTools | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Event)


class StreamReader(EventStream[_Event]):
    """Reads one answer.

    With `searching` a turn may be paused (`is_paused`): then the next stream, to `go_on`, is a part of the same answer.
    """

    def __init__(
        self, probe: Probe, secrets: Iterable[Secret], sink: Sink = no_sink, *, searching: bool = False
    ) -> None:
        super().__init__(_decoder, probe, secrets, sink)
        self._tools = ToolCallAssembly()
        self._stopped = False
        self._stop_reason: str | None = None
        self._usage: dict[str, int] = {}
        self._before: Counter[str] = Counter()
        self._search = SearchedTurn() if searching else None

    @property
    def is_paused(self) -> bool:
        return self._search is not None and self._stop_reason == PAUSED

    @property
    def was_paused(self) -> bool:
        """Whether a part of the answer was made, and billed, before this stream."""
        return bool(self._before)

    def go_on(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request that goes on with a paused turn. Raises `RequestRejectedError` when it was paused too often."""
        self._before.update(self._usage)
        self._usage = {}
        self._started = self._stopped = False
        self._stop_reason = None
        return body if self._search is None else self._search.go_on(body, self._before["web_search_requests"])

    def completion(self, request_id: str) -> Completion:
        """The whole answer. Raises `BadGatewayError` for an end that is not known, or calls of tools that are none."""
        finish = self._finish_reason()
        # What was cut or refused in the middle holds no whole call.
        calls = self._tools.calls() if finish in ("stop", "tool_use") else ()
        if finish == "tool_use" and not calls:
            raise make_error(BadGatewayError, "The answer asks for a tool and names none.")
        notes = (WINDOW_FULL,) if self._stop_reason == "model_context_window_exceeded" else ()
        search = self._search or SearchedTurn()
        return Completion(
            text=self._text.text(),
            finish_reason="tool_use" if calls else finish,
            usage=self._total_usage(),
            request_id=request_id,
            notes=(*notes, *search.notes()),
            tool_calls=calls,
            sources=search.sources(),
            searches=self._total("web_search_requests"),
        )

    def _finish_reason(self) -> str:
        if self._stop_reason == PAUSED:
            reason = "The server paused the turn for a tool of its own, which cannot be gone on with here."
            raise make_error(RequestRejectedError, reason, status=200)
        finish = FINISH_REASONS.get(self._stop_reason or "")
        if finish is None:
            reason = redact(f"The answer ended for an unknown reason: '{self._stop_reason}'.", self._secrets)
            raise make_error(BadGatewayError, reason[:200])
        return finish

    def _is_over(self) -> bool:
        return self._stopped

    def _missing(self) -> str | None:
        return None if self._stopped and self._stop_reason is not None else "a stop reason"

    def _take(self, data: bytes) -> None:
        event = self._event(data)
        if self._search is not None:
            self._search.take(data)
        self._read_event(event)

    def _read_event(self, event: _Event) -> None:
        if event.type == "content_block_delta" and event.delta is not None:
            self._grow(event.index, event.delta)
        elif event.type == "content_block_start":
            self._open(event.index, event.content_block)
        elif event.type == "message_start":
            self._started = True
            self._count(event.message.usage if event.message else None)
        elif event.type == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                self._stop_reason = event.delta.stop_reason
        elif event.type == "message_stop":
            self._stopped = self._started
        elif event.type == "error":
            raise self._reported(event.error or {})

    def _grow(self, index: int, delta: _Delta) -> None:
        if self._search is not None and self._search.is_server_tool(index):
            return
        if delta.type == "input_json_delta":
            self._tools.add(index, delta.partial_json)
        else:
            self._text.add(delta.text)

    def _open(self, index: int, block: _Block | None) -> None:
        if block is None or block.type != "tool_use":
            return
        self._tools.begin(index, block.id, block.name)
        if block.input:
            # Some compatible servers send the arguments whole.
            self._tools.add(index, msgspec.json.encode(block.input).decode())

    def _count(self, usage: _Usage | None) -> None:
        if usage is not None:
            server = usage.server_tool_use or _ServerTools()
            given = {**msgspec.structs.asdict(usage), **msgspec.structs.asdict(server)}
            self._usage.update({name: count for name, count in given.items() if isinstance(count, int)})

    def _total(self, name: str) -> int:
        return self._before[name] + self._usage.get(name, 0)

    def _total_usage(self) -> Usage:
        read = self._total("cache_read_input_tokens")
        written = self._total("cache_creation_input_tokens")
        return Usage(
            input_tokens=self._total("input_tokens") + read + written,
            output_tokens=self._total("output_tokens"),
            cache_read_tokens=read,
            cache_write_tokens=written,
            calls=1,
            cost=None,
        )

    def _reported(self, error: dict[str, Any]) -> ProviderError:
        status = STATUS_OF_TYPE.get(str(error.get("type", "")), 500)
        return from_status(status, {"error": error}, secrets=self._secrets, in_stream=True)
