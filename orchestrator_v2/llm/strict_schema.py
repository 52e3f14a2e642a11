"""A JSON Schema in the narrow form that providers enforce: closed objects, and few keywords beside the types.

What an enforced answer still has to pass is `structured.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Schema = dict[str, Any]

# Anthropic's own list (its SDK 2.11, lib/_parse/_transform.py), against which a test compares this file.
FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
# Choices, and the keyword that says them in the narrow form; the first that is there counts.
_CHOICES = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}


def schema_in_words(schema: Mapping[str, Any]) -> str:
    """For a server that enforces no schema, what is wanted in the prompt."""
    text = msgspec.json.encode(schema).decode()
    return f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{text}"


def strict_schema(schema: Mapping[str, Any]) -> Schema:
    """`schema` with closed objects; a keyword that no provider enforces moves, in words, into the description.

    Raises `ValueError` for a schema that says neither its type nor its choices or values.
    """
    rest = dict(schema)
    strict: Schema = {}
    definitions = rest.pop("$defs", None)
    if definitions is not None:
        strict["$defs"] = {name: strict_schema(each) for name, each in definitions.items()}
    if "$ref" in rest:
        return strict | {"$ref": rest["$ref"]}
    kind = _take_kind(rest, strict)
    strict |= {name: rest.pop(name) for name in ("description", "title") if rest.get(name) is not None}
    if kind in _KEPT:
        _KEPT[kind](rest, strict)
    if rest:
        words = "{" + ", ".join(f"{name}: {value}" for name, value in rest.items()) + "}"
        strict["description"] = f"{strict['description']}\n\n{words}" if "description" in strict else words
    return strict


def _take_kind(rest: Schema, strict: Schema) -> str | None:
    """Moves what says which values there are; gives the type where that is what says it."""
    kind = rest.pop("type", None)
    choices = [(told, rest.pop(name, None)) for name, told in _CHOICES.items()]
    fixed = {name: rest.pop(name) for name in ("enum", "const") if _is_plain(name, rest)}
    strict |= fixed
    chosen = next(((told, choice) for told, choice in choices if isinstance(choice, list)), None)
    if chosen is not None:
        strict[chosen[0]] = [strict_schema(each) for each in chosen[1]]
    elif not fixed:
        if not isinstance(kind, str):
            raise ValueError("A schema must have a type, anyOf, oneOf or allOf, or plain values in const or enum.")
        strict["type"] = kind
    return None if fixed else kind


def _is_plain(name: str, rest: Schema) -> bool:
    if name not in rest:
        return False
    values = rest[name] if name == "enum" else [rest[name]]
    return isinstance(values, list) and bool(values) and all(_is_primitive(value) for value in values)


def _is_primitive(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _keep_object(rest: Schema, strict: Schema) -> None:
    strict["properties"] = {name: strict_schema(each) for name, each in rest.pop("properties", {}).items()}
    rest.pop("additionalProperties", None)
    strict["additionalProperties"] = False
    required = rest.pop("required", None)
    if required is not None:
        strict["required"] = list(required)


def _keep_string(rest: Schema, strict: Schema) -> None:
    form = rest.pop("format", None)
    if form:
        (strict if form in FORMATS else rest)["format"] = form


def _keep_array(rest: Schema, strict: Schema) -> None:
    items = rest.pop("items", None)
    if items is not None:
        strict["items"] = strict_schema(items)
    if "minItems" in rest:
        least = rest.pop("minItems")
        (strict if least in (0, 1) else rest)["minItems"] = least


_KEPT: Mapping[str | None, Callable[[Schema, Schema], None]] = {
    "object": _keep_object,
    "string": _keep_string,
    "array": _keep_array,
}
