"""A JSON Schema in the words that Google's `responseJsonSchema` knows.

What is not among them moves, in words, into the description, where the model still reads it; an answer is checked by
whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

# The vendor's own list (its SDK 3.4, types.py, `response_json_schema`).
_PLAIN = (
    *("$id", "$anchor", "type", "format", "title", "description", "enum", "required", "propertyOrdering"),
    *("minItems", "maxItems", "minimum", "maximum"),
)
_ONE = ("items", "additionalProperties")
_MANY = ("prefixItems", "anyOf", "oneOf")
_NAMED = ("$defs", "properties")
# Say nothing of which answers fit.
_SILENT = ("$schema", "default", "examples", "discriminator")


def known_schema(schema: Mapping[str, Any]) -> Schema:
    """`schema` without keywords that Google does not know. Beside a `$ref` nothing else is allowed."""
    rest = {name: value for name, value in schema.items() if name not in _SILENT}
    kept: Schema = {name: rest.pop(name) for name in _PLAIN if name in rest}
    kept |= {name: _inner(rest.pop(name)) for name in _ONE if name in rest}
    kept |= {name: [_inner(each) for each in rest.pop(name)] for name in _MANY if name in rest}
    kept |= {name: {key: _inner(each) for key, each in rest.pop(name).items()} for name in _NAMED if name in rest}
    if "$ref" in rest:
        return {name: value for name, value in kept.items() if name.startswith("$")} | {"$ref": rest["$ref"]}
    if isinstance(rest.get("const"), str | int | float) and not isinstance(rest["const"], bool):
        kept["enum"] = [rest.pop("const")]
    return _with_words(kept, rest)


def _inner(schema: Any) -> Any:
    return known_schema(schema) if isinstance(schema, Mapping) else schema


def _with_words(kept: Schema, rest: Schema) -> Schema:
    if not rest:
        return kept
    words = "{" + ", ".join(f"{name}: {value}" for name, value in rest.items()) + "}"
    described = f"{kept['description']}\n\n{words}" if kept.get("description") else words
    return kept | {"description": described}
