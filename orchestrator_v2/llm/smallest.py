"""The smallest JSON value that fits a JSON Schema, found without asking anyone and always the same.

Who hands it out as an answer is `providers/simulated.py`; whether a model's answer fits is judged by who asked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator_v2.llm.errors import unsupported

Schema = Mapping[str, Any]

_MAX_DEPTH = 64
_FORMATS = {
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "P1D",
    "email": "nobody@example.org",
    "hostname": "example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.org",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
_LETTERS = "simulated"
# Tried in turn where a pattern is asked for.
_WORDS = (
    "",
    "a",
    "A",
    "0",
    "aa",
    "a1",
    "A1",
    "simulated",
    "Simulated",
    "1.0",
    "1.0.0",
    "00",
    "000",
    "0000",
    "2026-01-01",
)
# Keywords that say the type where `type` does not.
_TELLING = {
    "object": ("properties", "required", "minProperties"),
    "array": ("items", "prefixItems", "minItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def smallest_instance(schema: Schema) -> Any:
    """The value. Raises `RequestRejectedError` for a schema that nothing finite fits, or whose pattern is not met."""
    return _Maker(schema).make(schema, 0)


class _Maker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._by_type: Mapping[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": lambda schema, depth: _string(schema),
            "integer": lambda schema, depth: _number(schema, whole=True),
            "number": lambda schema, depth: _number(schema, whole=False),
            "boolean": lambda schema, depth: False,
            "null": lambda schema, depth: None,
        }

    def make(self, schema: Any, depth: int) -> Any:
        if schema is True:
            return None
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            raise _impossible("It nests without an end." if depth > _MAX_DEPTH else "A part of it allows nothing.")
        schema = self._flat(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _first(schema["enum"], "It has a choice of no values.")
        choices = schema.get("anyOf", schema.get("oneOf"))
        if choices is not None:
            return self._chosen(schema, choices, depth)
        kinds = schema.get("type", _told_type(schema))
        if isinstance(kinds, list):
            return self._chosen({**schema, "type": None}, [{"type": kind} for kind in kinds], depth)
        if kinds not in self._by_type:
            raise _impossible(f"'{kinds}' is no type of JSON.")
        return self._by_type[kinds](schema, depth)

    def _flat(self, schema: Schema, depth: int) -> Schema:
        """`schema` with its reference and its `allOf` put into it."""
        if "$ref" in schema:
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            return self._flat(_merged(self._target(schema["$ref"], depth), rest), depth + 1)
        if "allOf" not in schema:
            return schema
        merged = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            merged = _merged(merged, self._flat(part, depth + 1))
        return merged

    def _target(self, reference: str, depth: int) -> Schema:
        if depth > _MAX_DEPTH:
            raise _impossible("It nests without an end.")
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise _impossible(f"Its reference '{reference}'"[:100] + " leads nowhere.")
        return found

    def _chosen(self, schema: Schema, choices: list[Any], depth: int) -> Any:
        """The shortest of what the choices allow; one that is impossible is passed over."""
        base = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf") and value is not None}
        made, refused = [], _impossible("It has a choice of nothing.")
        for choice in choices:
            try:
                made.append(self.make(_merged(base, choice) if isinstance(choice, Mapping) else choice, depth + 1))
            except type(refused) as error:
                refused = error
        if not made:
            raise refused
        return min(made, key=lambda value: len(json.dumps(value)))

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        names = [name for name in properties if name in required]
        names += [name for name in required if name not in properties]
        spare = [name for name in properties if name not in names]
        spare += [f"{_LETTERS}{number}" for number in range(schema.get("minProperties", 0))]
        names += spare[: max(0, schema.get("minProperties", 0) - len(names))]
        others = schema.get("additionalProperties", True)
        return {name: self.make(properties.get(name, others), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        count = schema.get("minItems", 0)
        items = [*first, *([schema.get("items", True)] * max(0, count - len(first)))][:count]
        if not schema.get("uniqueItems"):
            return [self.make(item, depth + 1) for item in items]
        made: list[Any] = []
        for item in items:
            fresh = (value for value in self._variants(item, depth + 1) if value not in made)
            made.append(_first(fresh, "Its array has more distinct items than there are."))
        return made

    def _variants(self, schema: Any, depth: int) -> Iterator[Any]:
        """The smallest value, and others of its kind, for arrays whose items must differ."""
        flat = self._flat(schema, depth) if isinstance(schema, Mapping) else {}
        if "enum" in flat:
            yield from flat["enum"]
            return
        yield (value := self.make(schema, depth))
        if isinstance(value, bool):
            yield not value
        elif isinstance(value, int) and "maximum" not in flat and "multipleOf" not in flat:
            yield from (value + step for step in range(1, 1000))
        elif isinstance(value, str) and not {"pattern", "format", "maxLength"} & set(flat):
            yield from (f"{value}{step}" for step in range(1, 1000))


def _merged(one: Schema, other: Schema) -> dict[str, Any]:
    joined = {**one, **other}
    for name in ("properties", "$defs"):
        if name in one and name in other:
            joined[name] = {**one[name], **other[name]}
    if "required" in one and "required" in other:
        joined["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return joined


def _told_type(schema: Schema) -> str:
    return next((kind for kind, words in _TELLING.items() if any(word in schema for word in words)), "null")


def _string(schema: Schema) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    padded = (_LETTERS * (least // len(_LETTERS) + 1))[:least]
    pattern = schema.get("pattern")
    words = [_FORMATS[schema["format"]]] if schema.get("format") in _FORMATS else [padded]
    words += [*_WORDS, *(letter * least for letter in "aA0")] if pattern else []
    fits = (
        word
        for word in words
        if least <= len(word) <= most and (pattern is None or re.search(pattern, word) is not None)
    )
    return str(_first(fits, f"No simulated text fits its pattern '{pattern}'."[:200]))


def _number(schema: Schema, *, whole: bool) -> int | float:
    """The number nearest to 0 within the bounds; an integer where one lies between them."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf", 1)
    nearest = min(max(0, low), high)
    if not math.isfinite(nearest):
        raise _impossible("No number fits its bounds.")
    steps = [(math.floor(nearest / step) + away) * step for away in (0, 1, -1, 2)]
    between = [] if whole or "multipleOf" in schema else [nearest, (low + high) / 2]
    fits = (value for value in (*steps, *between) if _within(value, schema))
    value: int | float = _first(fits, "No number fits its bounds.")
    return value


def _within(value: float, schema: Schema) -> bool:
    return (
        schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        and math.isfinite(value)
    )


def _first(values: Any, why: str) -> Any:
    for value in values:
        return value
    raise _impossible(why)


def _impossible(why: str) -> Exception:
    return unsupported(f"The response schema has no simulated answer. {why}", "Use another schema, or a real model.")
