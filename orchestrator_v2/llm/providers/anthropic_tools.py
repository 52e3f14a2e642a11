"""Tools as Anthropic's wire has them: which are held to their schema, and how.

The rest of the request is `anthropic_request.py`. The limits are the vendor's, from its page on structured outputs
(2026): over them, or with an open or recursive schema, the whole request would be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator_v2.llm.strict_schema import strict_schema
from orchestrator_v2.llm.types import ToolSpec

MAX_STRICT_TOOLS = 20
MAX_OPTIONAL = 24
MAX_UNIONS = 16


def wire_tools(
    tools: Sequence[ToolSpec], *, strict: bool, response_schema: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The tools in order; with `strict` as many of the first ones as may be held to their schema are.

    `response_schema` counts against the same limits. The others go with the schema as it stands.
    """
    used = _Weight(response_schema) if response_schema is not None else _Weight({})
    left = MAX_STRICT_TOOLS if strict else 0
    found = []
    for tool in tools:
        given: dict[str, Any] = {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        schema = _narrowed(tool.parameters) if left else None
        if schema is not None and used.takes(schema):
            given |= {"input_schema": schema, "strict": True}
            left -= 1
        found.append(given)
    return found


class _Weight:
    """Optional parameters and parameters of several types so far."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._optional, self._unions = _count(schema)

    def takes(self, schema: Mapping[str, Any]) -> bool:
        optional, unions = _count(schema)
        if self._optional + optional > MAX_OPTIONAL or self._unions + unions > MAX_UNIONS:
            return False
        self._optional += optional
        self._unions += unions
        return True


def _narrowed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the form that is enforced; None where that would forbid what it allows."""
    if any(_is_open(each) for each in _objects(schema)) or _is_recursive(schema):
        return None
    try:
        return strict_schema(schema)
    except ValueError:
        return None


def _is_open(schema: Mapping[str, Any]) -> bool:
    """An object with keys that the schema does not name, or a value of any kind."""
    return schema.get("type") == "object" and bool(schema.get("additionalProperties", not schema.get("properties")))


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    definitions = schema.get("$defs") or {}

    def reaches(name: str, seen: tuple[str, ...]) -> bool:
        refs = (str(each.get("$ref", "")).rpartition("/")[2] for each in _objects(definitions.get(name, {})))
        return any(ref in (*seen, name) or (ref in definitions and reaches(ref, (*seen, name))) for ref in refs)

    return any("$ref" in each and each["$ref"] == "#" for each in _objects(schema)) or any(
        reaches(name, ()) for name in definitions
    )


def _count(schema: Mapping[str, Any]) -> tuple[int, int]:
    optional = unions = 0
    for each in _objects(schema):
        properties = each.get("properties")
        if isinstance(properties, dict):
            optional += len(properties.keys() - set(each.get("required") or ()))
        unions += "anyOf" in each or "oneOf" in each or isinstance(each.get("type"), list)
    return optional, unions


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every JSON object in a schema, itself first."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
