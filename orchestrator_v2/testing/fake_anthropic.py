"""A local server that speaks Anthropic's Messages wire strictly, and breaks it on demand.

What is checked of a request is `anthropic_rules.py`, how it is served `fake_server.py`. For a fake without any wire see
`scripted_llm.py`.

    async with FakeAnthropic(["Hello.", Reply(status=529)]) as server:
        ...  # reach it at server.base_url, then look at server.requests and server.problems
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules
from orchestrator_v2.testing.fake_server import EVENT_STREAM, JSON, FakeServer, Fault, Speech

_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Reply(Fault, frozen=True):
    """A fault of `fake_server.py`, and how a whole answer of this wire ends.

    `tool_uses` are (id, name, JSON of the arguments as it stands) and come after the text. A `stop_reason` left empty
    is tool_use where there are some, else end_turn. `searched` are the pages (title, address) of one search of the
    server's own, which comes before the text, `search_error` the code that it failed with; the text cites `cited`.
    """

    tool_uses: tuple[tuple[str, str, str], ...] = ()
    stop_reason: str | None = ""
    usage: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"input_tokens": 12, "output_tokens": 5})
    searched: tuple[tuple[str, str], ...] = ()
    search_error: str = ""
    cited: tuple[tuple[str, str], ...] = ()


Script = Reply | str | Callable[[Seen], "Reply | str"]


class FakeAnthropic(FakeServer[Reply]):
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400.

    `tokens` is the count for any prompt (None: this server cannot count), `models` what its list of models holds.
    """

    def __init__(
        self,
        replies: Iterable[Script] = (),
        *,
        default: Script = "Hello.",
        strict: bool = True,
        tokens: int | None = None,
        models: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(SPEECH, replies, default=default, strict=strict)
        self._tokens = tokens
        self._models = list(models)

    def _next(self, seen: Seen) -> Reply:
        path, _, query = seen.path.partition("?")
        if path.endswith("/count_tokens"):
            return Reply(status=404) if self._tokens is None else Reply(body=b'{"input_tokens": %d}' % self._tokens)
        if path.endswith("/v1/models"):
            return self._page(parse_qs(query).get("after_id", [""])[0])
        return super()._next(seen)

    def _page(self, after: str) -> Reply:
        """Two models at a time, whatever was asked for."""
        ids = [model["id"] for model in self._models]
        start = ids.index(after) + 1 if after else 0
        ends = {"first_id": ids[start], "last_id": ids[min(start + 1, len(ids) - 1)]} if ids else {}
        page = {"data": self._models[start : start + 2], "has_more": start + 2 < len(ids), **ends}
        return Reply(body=json.dumps(page).encode())


def stream_events(reply: Reply) -> tuple[bytes, ...]:
    """The events of a whole answer, one for each ten characters of text and arguments, as they stand on the wire."""
    if reply.events is not None:
        return reply.events
    start_usage = {**reply.usage, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": start_usage}
    stop_reason = ("tool_use" if reply.tool_uses else "end_turn") if reply.stop_reason == "" else reply.stop_reason
    searched = _search_blocks(reply)
    first = 2 if searched else 0
    text = _block(first, {"type": "text", "text": ""}, "text_delta", "text", reply.text)
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        *searched,
        *text[:-1],
        *(_cited(first, *page) for page in reply.cited),
        text[-1],
    ]
    for index, (call_id, name, arguments) in enumerate(reply.tool_uses, start=first + 1):
        empty = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        events += _block(index, empty, "input_json_delta", "partial_json", arguments)
    events += [
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": dict(reply.usage)},
        {"type": "message_stop"},
    ]
    return tuple(event_bytes(event) for event in events)


def _block(index: int, empty: Mapping[str, Any], kind: str, field: str, content: str) -> list[dict[str, Any]]:
    """The events of one block; a ping comes in between, as it may at any time."""
    pieces = [content[at : at + 10] for at in range(0, len(content), 10)]
    return [
        {"type": "content_block_start", "index": index, "content_block": dict(empty)},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": index, "delta": {"type": kind, field: p}} for p in pieces),
        {"type": "content_block_stop", "index": index},
    ]


def _search_blocks(reply: Reply) -> list[dict[str, Any]]:
    """A call of the server's own tool, its query in pieces, and its result at once: blocks 0 and 1."""
    if not (reply.searched or reply.search_error):
        return []
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    pages = [
        {"type": "web_search_result", "title": title, "url": url, "encrypted_content": f"enc({url})", "page_age": None}
        for title, url in reply.searched
    ]
    failed = {"type": "web_search_tool_result_error", "error_code": reply.search_error}
    content = failed if reply.search_error else pages
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": content}
    return [
        *_block(0, call, "input_json_delta", "partial_json", '{"query": "what is new"}'),
        {"type": "content_block_start", "index": 1, "content_block": result},
        {"type": "content_block_stop", "index": 1},
    ]


def _cited(index: int, title: str, url: str) -> dict[str, Any]:
    where = {"title": title, "url": url, "cited_text": "so it is", "encrypted_index": f"at({url})"}
    delta = {"type": "citations_delta", "citation": {"type": "web_search_result_location", **where}}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def event_bytes(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def body_of(reply: Reply) -> bytes:
    """The bytes of the reply's body before any cut."""
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        kind = _TYPE_OF_STATUS.get(reply.status, "api_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": reply.message}}).encode()
    return b"".join(stream_events(reply))


def _render(reply: Reply, seen: Seen) -> tuple[str, bytes]:
    is_stream = reply.status == 200 and reply.body is None
    return EVENT_STREAM if is_stream else JSON, body_of(reply)


SPEECH = Speech(Reply, broken_rules, _render, {"request-id": "req_fake"})
