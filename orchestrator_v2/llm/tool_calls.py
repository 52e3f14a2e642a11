"""A model's wishes for tools, put together from the pieces of its stream: each has an id, a name and whole arguments.

What a tool is and who runs it is `tools.py`; the text beside them is put together in `assembly.py`.
"""

from __future__ import annotations

from typing import Any

from orchestrator_v2.core.errors import BadGatewayError, InvalidOutputError
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.structured import MAX_BYTES, clean_text, parse_json
from orchestrator_v2.llm.types import ToolCall

MAX_CALLS = 128


class ToolCallAssembly:
    """Calls by the index that the wire gives them, in the order in which they began.

    Raises `BadGatewayError`, which is sent once more, for what is no call: a model seldom writes broken JSON twice.
    """

    def __init__(self) -> None:
        self._begun: dict[int, tuple[str, str, list[str]]] = {}
        self._size = 0

    def begin(self, index: int, call_id: str, name: str) -> None:
        if index in self._begun or len(self._begun) == MAX_CALLS:
            raise make_error(BadGatewayError, f"The answer asks for more than {MAX_CALLS} tools, or twice for one.")
        self._begun[index] = (call_id, name, [])

    def add(self, index: int, piece: str) -> None:
        """The next piece of the arguments' JSON."""
        self._size += len(piece)
        if self._size > MAX_BYTES:
            raise make_error(BadGatewayError, f"The arguments of tools are larger than {MAX_BYTES} characters.")
        if index not in self._begun:
            raise make_error(BadGatewayError, "Arguments came for a tool call that never began.")
        self._begun[index][2].append(piece)

    def calls(self) -> tuple[ToolCall, ...]:
        """All of them, once the stream has ended; the arguments have passed the gate of `structured.py`."""
        found = tuple(
            ToolCall(clean_text(call_id), clean_text(name), tool_arguments("".join(pieces)))
            for call_id, name, pieces in self._begun.values()
        )
        return with_own_ids(found)


def with_own_ids(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """The calls, of which no two may have one id: raises `BadGatewayError`."""
    ids = {call.id for call in calls}
    if len(ids) < len(calls) or "" in ids:
        raise make_error(BadGatewayError, "A tool call has no id of its own.")
    return calls


def tool_arguments(text: str) -> dict[str, Any]:
    """The arguments of one call; no text at all means none. Raises `BadGatewayError` for all but a JSON object."""
    whole = text.strip()
    if not whole:
        return {}
    if not (whole.startswith("{") and whole.endswith("}")):
        raise make_error(BadGatewayError, "The arguments of a tool call are no JSON object.")
    try:
        found = parse_json(whole)
    except InvalidOutputError as error:
        raise make_error(BadGatewayError, f"The arguments of a tool call are not usable: {error.why}") from None
    if not isinstance(found, dict):
        raise make_error(BadGatewayError, "The arguments of a tool call are no JSON object.")
    return found
