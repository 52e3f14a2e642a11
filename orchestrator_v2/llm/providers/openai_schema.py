"""Schemas on the OpenAI-compatible wire: enforced where the wire can, told as they are where it cannot.

The narrow form itself is `strict_schema.py`; which server enforces at all is in its row of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator_v2.llm.strict_schema import strict_schema
from orchestrator_v2.llm.types import ToolSpec

NAME = "answer"
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def enforced_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The wire's `json_schema`: strict and narrow for a schema whose objects are closed and whole, else as it is."""
    narrow = _narrow(schema)
    if narrow is None:
        return {"name": NAME, "schema": dict(schema), "strict": False}
    return {"name": NAME, "schema": narrow, "strict": True}


def enforced_tools(tools: Sequence[ToolSpec], *, strict: bool) -> list[dict[str, Any]]:
    """The wire's `tools`; with `strict` the arguments of those that allow it are held to their schema."""
    found = []
    for tool in tools:
        narrow = _narrow(tool.parameters) if strict else None
        function: dict[str, Any] = {"name": tool.name, "description": tool.description}
        function["parameters"] = tool.parameters if narrow is None else narrow
        found.append({"type": "function", "function": function | ({} if narrow is None else {"strict": True})})
    return found


def _narrow(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where closing the objects and asking for all their fields would change what the schema means."""
    if not all(map(_is_strict, _nodes(schema))):
        return None
    try:
        narrow = strict_schema(schema)
    except ValueError:
        return None
    for node in _nodes(narrow):
        _say_type(node)
    return narrow


def _say_type(node: dict[str, Any]) -> None:
    """This wire wants the type beside fixed values too."""
    values = node.get("enum", [node["const"]] if "const" in node else [])
    kinds = list(dict.fromkeys(_TYPES[type(value)] for value in values))
    if kinds:
        node["type"] = kinds[0] if len(kinds) == 1 else kinds


def _is_strict(node: Mapping[str, Any]) -> bool:
    if "allOf" in node or isinstance(node.get("type"), list):
        return False
    if node.get("type") != "object" and "properties" not in node:
        return True
    fields = node.get("properties", {})
    is_closed = node.get("additionalProperties", False) is False
    return bool(fields) and is_closed and set(node.get("required", ())) == set(fields)


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all schemas in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for name in ("properties", "$defs"):
        for inner in (schema.get(name) or {}).values():
            yield from _nodes(inner)
    for name in ("anyOf", "oneOf"):
        for inner in schema.get(name) or ():
            yield from _nodes(inner)
    yield from _nodes(schema.get("items"))
