"""Whether an answer could be held to a JSON Schema at all, found out before anybody is asked.

What an answer has to fit is `answer_schema.py`. Nothing is fetched: a `$ref` leads somewhere in its own document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from orchestrator_v2.core.errors import InputError
from orchestrator_v2.tasks.unforeseen import reason_of

# Schemas that look at one and the same value, one behind the other; each takes the validator some frames of the stack.
MAX_IN_PLACE = 64


def _one(value: Any) -> Iterable[Any]:
    return (value,)


def _listed(value: list[Any]) -> Iterable[Any]:
    return value


def _named(value: dict[str, Any]) -> Iterable[Any]:
    return value.values()


_Under = Mapping[str, Callable[[Any], Iterable[Any]]]
# Keywords that hold schemas for the same value, a circle of which never ends; and for what is inside the value.
_IN_PLACE: _Under = {
    "allOf": _listed, "anyOf": _listed, "oneOf": _listed, "not": _one, "if": _one, "then": _one, "else": _one,
    "dependentSchemas": _named,
}  # fmt: skip
_INSIDE: _Under = {
    "properties": _named, "patternProperties": _named, "$defs": _named, "definitions": _named, "prefixItems": _listed,
    "items": _one, "contains": _one, "additionalProperties": _one, "propertyNames": _one, "unevaluatedItems": _one,
    "unevaluatedProperties": _one, "contentSchema": _one,
}  # fmt: skip


class _Place(NamedTuple):
    """A schema, and the resolver (of `referencing`) that its references are read by."""

    schema: dict[str, Any]
    resolver: Any


def unusable_schema(why: str) -> InputError:
    return InputError(
        "The response_schema cannot be used.",
        f"{why[:1].upper()}{why[1:]}.",
        "Nothing was sent. Mend the schema, then give the task again.",
    )


def checked_schema(given: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as plain JSON. Raises `InputError` for what is no JSON Schema of an object or array, or never ends."""
    from jsonschema.exceptions import SchemaError

    try:
        schema: dict[str, Any] = json.loads(json.dumps(dict(given), ensure_ascii=False, allow_nan=False).encode())
        _check_whole(schema)
    except InputError:
        raise
    except SchemaError as error:
        raise unusable_schema(f"{error.json_path}: {error.message[:300]}") from None
    except RecursionError:
        raise unusable_schema("it is nested too deep") from None
    except Exception as problem:
        raise unusable_schema(f"it is no JSON Schema: {reason_of(problem).rstrip('.')}") from problem
    if schema.get("type", "object") not in ("object", "array"):
        raise unusable_schema(f"an answer is an object or an array, and it asks for '{schema['type']}'")
    return schema


def _check_whole(schema: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    Draft202012Validator.check_schema(schema)
    waiting = [_Place(schema, Registry().resolver_with_root(DRAFT202012.create_resource(schema)))]
    targets: list[_Place] = []
    behind: dict[int, list[int]] = {}
    while waiting or targets:
        is_target = not waiting
        place = targets.pop() if is_target else waiting.pop()
        if id(place.schema) in behind:
            continue
        if is_target:
            # It may stand where the first check, which goes by keywords, saw no schema.
            Draft202012Validator.check_schema(place.schema)
        same, inside, led_to = _held(_IN_PLACE, place), _held(_INSIDE, place), list(_led_to(place))
        behind[id(place.schema)] = [id(each.schema) for each in (*same, *led_to)]
        waiting += [*same, *inside]
        targets += led_to
    _check_ends(behind)


def _held(under: _Under, place: _Place) -> list[_Place]:
    from referencing.jsonschema import DRAFT202012

    schemas = [one for name, each in under.items() if name in place.schema for one in each(place.schema[name])]
    return [
        _Place(one, place.resolver.in_subresource(DRAFT202012.create_resource(one)))
        for one in schemas
        if isinstance(one, dict)
    ]


def _led_to(place: _Place) -> Iterator[_Place]:
    from referencing.exceptions import Unresolvable

    for name in ("$ref", "$dynamicRef"):
        reference = place.schema.get(name)
        if reference is None:
            continue
        try:
            found = place.resolver.lookup(reference)
        except (Unresolvable, ValueError, TypeError):
            raise unusable_schema(f"the {name} '{reference}' leads nowhere") from None
        if isinstance(found.contents, dict):
            yield _Place(found.contents, found.resolver)
        elif not isinstance(found.contents, bool):
            raise unusable_schema(f"the {name} '{reference}' leads to no schema")


def _check_ends(behind: Mapping[int, list[int]]) -> None:
    """`behind` has for each schema those that look at the same value after it."""
    depth: dict[int, int] = {}
    try:
        for each in TopologicalSorter(behind).static_order():
            depth[each] = 1 + max((depth[one] for one in behind.get(each, ())), default=0)
    except CycleError:
        raise unusable_schema("a $ref of it leads back to itself, and no answer would ever be looked at") from None
    if max(depth.values()) > MAX_IN_PLACE:
        raise unusable_schema(f"more than {MAX_IN_PLACE} references follow one another in it")
