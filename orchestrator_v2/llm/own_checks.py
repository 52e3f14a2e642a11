"""What has to fit together in a user's own provider, model or dialect; each fault is one sentence with its place.

How the file is read and laid over the package's rows is `own_rows.py`; which variables a row may name is `own_keys.py`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from orchestrator_v2.llm.catalog import LEVELS, Catalog, Dialect, ModelRow, ProviderRow, is_retired
from orchestrator_v2.llm.own_keys import wrong_variable

Table = Mapping[str, Any]

LARGEST_WINDOW = 100_000_000
STRUCTURED = ("json_schema", "json_object", "words")
# Wires that can ask for the vendor's own search.
SEARCHING_WIRES = ("anthropic", "google")
# What the request itself says, and what would multiply its cost past what was reserved.
_TAKEN = frozenset({"model", "messages", "contents", "stream", "n", "best_of", "candidateCount"})
_LENGTHS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "maxOutputTokens"})
_FRAMING = frozenset({"host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding"})
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME_LENGTH = 200


def nearest(name: str, names: Iterable[str]) -> str:
    """`, the nearest is X`, or nothing."""
    near = get_close_matches(name, list(names), n=1)
    return f", the nearest is {near[0]}" if near else ""


def day_of(value: object) -> object:
    """A TOML date as the text that the rows have; all else as it is."""
    is_day = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return value.isoformat() if is_day and isinstance(value, datetime.date) else value


def names_faults(place: str, names: Iterable[str]) -> Iterator[str]:
    """Names of models and aliases that nobody could type or read."""
    for number, name in enumerate(names, 1):
        if not name.strip() or not name.isprintable() or len(name) > _NAME_LENGTH:
            yield f"{place}: name {number} is empty, too long, or holds what cannot be printed"


def model_faults(place: str, table: Table, facts: ModelRow, row: ProviderRow) -> Iterator[str]:
    """Of one model: `table` is what the user wrote, `facts` what came of it, `row` its provider's."""
    if (facts.window or 0) > LARGEST_WINDOW:
        yield f"{place}.window: at most {LARGEST_WINDOW:,}"
    limit = min(facts.window or LARGEST_WINDOW, LARGEST_WINDOW)
    if (facts.max_output or 0) > limit:
        yield f"{place}.max_output: {facts.max_output:,} is more than the window of {limit:,}"
    if table.get("native_search") and row.wire not in SEARCHING_WIRES:
        yield f"{place}.native_search: only on the wires of {' and '.join(SEARCHING_WIRES)}"
    yield from _level_faults(place, facts, row)
    if facts.retires and ("retires" in table or "successor" in table):
        if not facts.successor:
            yield f"{place}.successor: say which model is used instead once this one is retired"
        elif facts.successor not in row.models and not row.open:
            yield f"{place}.successor: there is no model '{facts.successor}'{nearest(facts.successor, row.models)}"


def _level_faults(place: str, facts: ModelRow, row: ProviderRow) -> Iterator[str]:
    for level in facts.reasoning:
        if level not in row.reasoning:
            known = ", ".join(name for name in LEVELS if name in row.reasoning)
            yield f"{place}.reasoning: there is no level '{level[:40]}'{nearest(level, row.reasoning)} of {known}"
    if facts.tools_reasoning and facts.tools_reasoning not in facts.reasoning:
        yield f"{place}.tools_reasoning: '{facts.tools_reasoning[:40]}' is not among the model's levels in reasoning"


def day_fault(place: str, table: Table) -> Iterator[str]:
    """`retires` as the user wrote it, before anything else reads it."""
    value = table.get("retires", "")
    if value == "" or (isinstance(value, str) and _DAY.fullmatch(value) and _is_day(value)):
        return
    yield f"{place}.retires: this is no date such as 2027-06-30"


def dialect_faults(place: str, dialect: Dialect) -> Iterator[str]:
    """Of the dialect as it came out."""
    for field, is_right, words in _DIALECT:
        if not is_right(getattr(dialect, field)):
            yield f"{place}.{field}: {words}"
    yield from _taken_faults(f"{place}.extra", dialect.extra, dialect)


def reasoning_faults(place: str, row: ProviderRow) -> Iterator[str]:
    """Of the words that a provider has for each level."""
    for level, fields in row.reasoning.items():
        if level not in LEVELS:
            yield f"{place}.{level[:40]}: there is no such level{nearest(level, LEVELS)} of {', '.join(LEVELS)}"
        yield from _taken_faults(f"{place}.{level[:40]}", _names_in(fields), row.dialect)


def _names_in(fields: Table) -> Iterator[str]:
    for name, value in fields.items():
        yield name
        if isinstance(value, dict):
            yield from _names_in(value)


def _taken_faults(place: str, fields: Iterable[str], dialect: Dialect) -> Iterator[str]:
    taken = sorted({*fields} & {*_TAKEN, *_LENGTHS, dialect.max_tokens})
    if taken:
        yield f"{place}.{taken[0]}: the request sets this itself"


def provider_faults(
    name: str, table: Table, row: ProviderRow, packaged: Catalog, *, moved: bool, now: float
) -> Iterator[str]:
    """Of one provider; `moved`: its packaged keys were dropped, as it is reached at another origin."""
    wrong = wrong_variable(name, table.get("keys", ()), packaged)
    if wrong:
        yield f"{name}.keys: {wrong}"
    if not (row.keys or row.oauth_keys or row.keyless):
        why = "with another base_url, " if moved else ""
        yield f"{name}.keys: {why}name the environment variable of its key, or say keyless = true"
    yield from alias_faults(name, row)
    yield from reasoning_faults(f"{name}.reasoning", row)
    yield from _pointer_faults(name, table, row, now)


def alias_faults(name: str, row: ProviderRow) -> Iterator[str]:
    """Aliases that lead nowhere, or in a circle."""
    for alias, target in row.aliases.items():
        if target not in row.aliases and target not in row.models and not row.open:
            yield f"{name}.aliases.{alias}: there is no model '{target}'{nearest(target, row.models)}"
        elif not resolved(alias, row.aliases):
            yield f"{name}.aliases.{alias}: this alias leads back to itself"


def resolved(name: str, aliases: Mapping[str, str]) -> str:
    """The model behind an alias, or behind an alias of one; empty where that never ends."""
    seen: set[str] = set()
    while name in aliases:
        if name in seen:
            return ""
        seen.add(name)
        name = aliases[name]
    return name


def _pointer_faults(name: str, table: Table, row: ProviderRow, now: float) -> Iterator[str]:
    for field in ("default", "embedding"):
        target = resolved(getattr(row, field), row.aliases)
        if target and not row.open and target not in row.models:
            yield f"{name}.{field}: there is no model '{target}'{nearest(target, row.models)}"
    chosen = resolved(row.default, row.aliases)
    facts = row.models.get(chosen)
    touched = "default" in table or chosen in table.get("models", {})
    if touched and facts is not None and is_retired(facts, now):
        yield f"{name}.default: the model '{chosen}' is retired since {facts.retires}; name another default"


def _is_day(text: str) -> bool:
    try:
        return bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


# A field of the dialect, whether its value is right, and what a right one is.
_DIALECT: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("structured", lambda value: value in STRUCTURED, f"one of {', '.join(STRUCTURED)}"),
    ("max_tokens", lambda value: _FIELD.fullmatch(value) and value not in _TAKEN, "the name of a field of the request"),
    ("seed", lambda value: not value or (_FIELD.fullmatch(value) and value not in _TAKEN | _LENGTHS), "a field, or ''"),
    (
        "key_header",
        lambda value: _HEADER.fullmatch(value) and value.lower() not in _FRAMING,
        "the name of a header that can carry a key",
    ),
)
