"""Anthropic's own web search: how the tool is asked for, and what its blocks in an answer say.

The rest of the request is `anthropic_request.py`, the rest of the answer `anthropic_stream.py`. A turn that the server
pauses is gone on with by sending back all its blocks as they came, so they are kept here.
Source: the vendor's SDK 2.12 (types/web_search_tool_*), and its page on server tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.search.quoting import clean, pages_found
from orchestrator_v2.llm.tool_calls import tool_arguments
from orchestrator_v2.llm.types import Source

NAME = "web_search"
# A turn that is paused more often than this is given up.
MAX_PAUSES = 4
# How the pieces of each kind of block grow it; a signature comes whole.
_GROWN_BY = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def search_tool(kind: str, most: int) -> dict[str, Any]:
    """The tool for the request. Called by the model alone: by code of its own, it would need a container too."""
    return {"type": kind, "name": NAME, "max_uses": most, "allowed_callers": ["direct"]}


class SearchedTurn:
    """The blocks of one turn, over all its pauses."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, Any]] = []
        self._open: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._pauses = 0
        self.searches = 0

    def take(self, data: bytes) -> None:
        """The next event, which was found to be one already."""
        event = json.loads(data)
        index = event.get("index", 0)
        if event["type"] == "content_block_start" and isinstance(event.get("content_block"), dict):
            self._open[index] = event["content_block"]
        elif event["type"] == "content_block_delta" and isinstance(event.get("delta"), dict):
            self._grow(index, event["delta"])

    def is_server_tool(self, index: int) -> bool:
        """Whether that block is a call that the server carries out itself."""
        return self._open.get(index, {}).get("type") == "server_tool_use"

    def sources(self) -> tuple[Source, ...]:
        """The pages that the answer cites; those that were found, where it cites none."""
        blocks = [*self._blocks, *self._whole()]
        cited = [cite for block in blocks for cite in _objects(block.get("citations"))]
        found = [page for block in blocks for page in _objects(block.get("content"))]
        return pages_found(map(_page, cited)) or pages_found(map(_page, found))

    def notes(self) -> tuple[str, ...]:
        """What went wrong with a search; the answer was made all the same."""
        results = [block.get("content") for block in [*self._blocks, *self._whole()]]
        codes = [str(result["error_code"]) for result in results if isinstance(result, dict) and "error_code" in result]
        return tuple(f"The model's own web search failed: {clean(code, 80)}." for code in dict.fromkeys(codes))

    def go_on(self, body: Mapping[str, Any], searches: int) -> dict[str, Any]:
        """The request that goes on with the paused turn, once `searches` were made in all.

        Raises `RequestRejectedError` for a turn that is paused again and again, `BadGatewayError` for calls in it that
        are none.
        """
        self._pauses += 1
        if self._pauses > MAX_PAUSES:
            raise make_error(RequestRejectedError, f"The server paused the turn {self._pauses} times.", status=200)
        for index, pieces in self._arguments.items():
            self._open[index]["input"] = tool_arguments("".join(pieces))
        self._blocks += self._whole()
        self._open, self._arguments = {}, {}
        # All parts of the paused turn go into one, in the place of what an earlier pause sent.
        turns = [turn for turn in body["messages"] if turn["content"] is not self._blocks]
        tools = [_with_rest(tool, searches - self.searches) for tool in body["tools"]]
        self.searches = searches
        return {**body, "messages": [*turns, {"role": "assistant", "content": self._blocks}], "tools": tools}

    def _grow(self, index: int, delta: Mapping[str, Any]) -> None:
        block, kind = self._open.get(index, {}), delta.get("type")
        field = _GROWN_BY.get(str(kind))
        if field is not None:
            block[field] = f"{block.get(field) or ''}{delta.get(field) or ''}"
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
        elif kind == "input_json_delta" and index in self._open:
            self._arguments.setdefault(index, []).append(str(delta.get("partial_json", "")))

    def _whole(self) -> list[dict[str, Any]]:
        """The blocks of the last message in their order; the wire takes no empty text back."""
        ordered = (self._open[index] for index in sorted(self._open))
        return [block for block in ordered if block.get("type") != "text" or block.get("text")]


def _with_rest(tool: dict[str, Any], used: int) -> dict[str, Any]:
    """The limit holds for one request; the wire takes none below 1."""
    return {**tool, "max_uses": max(1, tool["max_uses"] - used)} if tool.get("name") == NAME else tool


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _page(found: Mapping[str, Any]) -> tuple[str, str]:
    title, url = found.get("title"), found.get("url")
    return title if isinstance(title, str) else "", url if isinstance(url, str) else ""
