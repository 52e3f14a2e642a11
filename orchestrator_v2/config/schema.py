"""Holds a document to the JSON Schema that ships with the package, and says in plain words what does not fit.

What a schema cannot say, such as which models there are, is `project_checks.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator_v2.config.problems import Problem, nearest
from orchestrator_v2.config.project_file import Document, Key

NAME = "project-config.schema.json"
_KINDS = {"string": "text", "object": "a table of words", "array": "a list", "number": "a number"}
_NO_KEY_HERE = (
    "A key itself does not belong into this file. Put it into the environment or into .env, and write its variable as "
    "${NAME}."
)
# Why a text is refused, by the last word of its key.
_PATTERNS = {
    "api_key": _NO_KEY_HERE,
    "base_url": "It is no http(s) URL without user info, such as https://host/path.",
    "model": "A name neither begins nor ends with a blank.",
}


def schema_path() -> Path:
    """Where the schema lies, for editors."""
    return Path(str(resources.files("orchestrator_v2.config.schemas").joinpath(NAME)))


@cache
def load_schema() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(schema_path().read_text("utf-8"))
    return found


def schema_problems(document: Document, *, of_agent: str = "") -> list[Problem]:
    """What does not fit, all of it, in the order of lines; `of_agent` for that role's own file."""
    from jsonschema import Draft202012Validator

    schema = load_schema()
    if of_agent:
        schema = {"$ref": "#/$defs/agent_file", "$defs": schema["$defs"]}
    what = f"The model of agent '{of_agent}' cannot be used." if of_agent else ""
    found: list[Problem] = []
    for error in Draft202012Validator(schema).iter_errors(document.data):
        key = tuple(error.absolute_path)
        for place, reason, valid in _SENTENCES.get(error.validator, _other)(error, key):
            found.append(document.problem(place, reason, what=what, valid=tuple(valid)))
    return sorted(found, key=lambda problem: (problem.line, problem.key))


_Told = Iterator[tuple[Key, str, tuple[str, ...]]]


def _kind(error: Any, key: Key) -> _Told:
    wanted = error.validator_value
    names = [wanted] if isinstance(wanted, str) else wanted
    yield key, f"This is not {' or '.join(_KINDS.get(name, name) for name in names)}.", ()


def _enum(error: Any, key: Key) -> _Told:
    valid = tuple(map(str, error.validator_value))
    given = error.instance if isinstance(error.instance, str) else ""
    # A name of an agent is a key itself, and the path ends above it.
    place = (*key, given) if "propertyNames" in error.absolute_schema_path else key
    said = f"There is no agent of the name '{given[:40]}'." if place != key else "It is none of the words known here."
    yield place, said + nearest(given, valid), valid


def _unknown(error: Any, key: Key) -> _Told:
    known = tuple(name for name in error.schema["properties"] if name != "$schema")
    for name in error.instance:
        if name not in error.schema["properties"]:
            yield (*key, name), f"There is no such word.{nearest(name, known)}", known


def _pattern(error: Any, key: Key) -> _Told:
    yield key, _PATTERNS.get(str(key[-1]) if key else "", "It names no model; write it as provider/model."), ()


def _too_small(error: Any, key: Key) -> _Told:
    yield key, f"It is less than {error.validator_value}.", ()


def _too_large(error: Any, key: Key) -> _Told:
    yield key, f"It is more than {error.validator_value}.", ()


def _too_many(error: Any, key: Key) -> _Told:
    yield key, f"There are more than {error.validator_value}.", ()


def _empty(error: Any, key: Key) -> _Told:
    yield key, "It is empty.", ()


def _required(error: Any, key: Key) -> _Told:
    # One error for each name that is missing, and jsonschema names it in its message alone.
    for name in error.validator_value:
        if error.message.startswith(f"{name!r} "):
            yield key, f"The word '{name}' is missing.", ()


def _depends(error: Any, key: Key) -> _Told:
    for name, others in error.validator_value.items():
        for other in others:
            if name in error.instance and other not in error.instance and error.message.startswith(f"{other!r} "):
                yield (*key, name), f"It says nothing without '{other}'.", ()


def _other(error: Any, key: Key) -> _Told:
    yield key, f"It does not fit the schema ({error.validator}).", ()


_SENTENCES: Mapping[str, Callable[[Any, Key], _Told]] = {
    "type": _kind,
    "enum": _enum,
    "additionalProperties": _unknown,
    "pattern": _pattern,
    "minimum": _too_small,
    "maximum": _too_large,
    "maxItems": _too_many,
    "minLength": _empty,
    "required": _required,
    "dependentRequired": _depends,
}
