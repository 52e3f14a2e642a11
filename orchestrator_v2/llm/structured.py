"""The gate that a model's text passes before anything else touches it: hostile bytes in, plain JSON values out.

Whether the value fits its schema is the agents' `response_parser.py`; file names are `workspace/files.py`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from orchestrator_v2.core.errors import InvalidOutputError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 50_000
MAX_NUMBER_LENGTH = 64
_MAX_CANDIDATES = 32
# Stray brackets in prose; each costs a walk to the end of the text.
_MAX_UNMATCHED = 4

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FENCE = re.compile(r"```[^\n`]{0,40}\n(.*?)```", re.DOTALL)
_BRACKET = re.compile(r'["\[\]{}]')
_SHAPE = re.compile(r'["\[\]{},]')
_STRING_REST = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_JSON_OPENING = re.compile(r'\{\s*["}]|\[\s*["\[\]{0-9tfn-]')


def parse_json(text: str | bytes) -> Any:
    """The JSON value in a model's answer: the whole text, a fenced block, or the first object or array in the prose.

    Strings in it are clean (`clean_text`). Raises `InvalidOutputError`, and nothing else, on any other input.
    """
    text = _bounded(text)
    reason = "It holds no JSON object or array."
    for candidate in _candidates(text):
        try:
            return _clean(_load(candidate))
        except _Refused as refused:
            raise _invalid(str(refused)) from None
        except (ValueError, RecursionError) as exc:
            reason = f"{exc}"
    raise _invalid(reason)


def clean_text(text: str) -> str:
    """`text` without NUL and C0 controls (tab and line ends stay), lone surrogates as U+FFFD."""
    if not text.isascii():
        # A pair that was split over two escapes becomes one character again, a lone half does not.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROLS.sub("", text)


class _Refused(Exception):
    """JSON that is well-formed and not allowed: no other candidate is looked at."""


def _bounded(text: str | bytes) -> str:
    size = len(text)
    if isinstance(text, str) and size <= MAX_BYTES:
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _invalid(f"It is larger than {MAX_BYTES} bytes.")
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _candidates(text: str) -> Iterator[str]:
    whole = text.strip().removeprefix("\ufeff").strip()
    if whole[:1] in ("{", "["):
        yield whole
    fenced = (match.group(1).strip() for match in itertools.islice(_FENCE.finditer(text), _MAX_CANDIDATES))
    yield from sorted((block for block in fenced if block[:1] in ("{", "[")), key=len, reverse=True)
    # The longest first: a footnote such as [1] is JSON too.
    yield from sorted(_balanced(text), key=len, reverse=True)


def _balanced(text: str) -> Iterator[str]:
    """Spans from an opening bracket to its match, outermost ones only."""
    position = unmatched = 0
    for _ in range(_MAX_CANDIDATES):
        start = min((i for i in (text.find("{", position), text.find("[", position)) if i >= 0), default=-1)
        if start < 0:
            return
        end = _matching_end(text, start)
        if end > 0:
            yield text[start:end]
        elif _JSON_OPENING.match(text, start) or unmatched == _MAX_UNMATCHED:
            return  # JSON that breaks off: a part from its inside is not the answer.
        unmatched += end < 0
        position = end if end > 0 else start + 1


def _matching_end(text: str, start: int) -> int:
    depth, position = 0, start
    while mark := _BRACKET.search(text, position):
        position = mark.end()
        if mark.group() == '"':
            rest = _STRING_REST.match(text, position)
            if rest is None:
                return -1
            position = rest.end()
            continue
        depth += 1 if mark.group() in "[{" else -1
        if depth == 0:
            return position
    return -1


def _load(candidate: str) -> Any:
    _check_shape(candidate)
    return json.loads(
        candidate,
        strict=False,
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_float,
    )


def _check_shape(candidate: str) -> None:
    """Depth and nodes before the parser builds anything."""
    depth = nodes = position = 0
    while mark := _SHAPE.search(candidate, position):
        position = mark.end()
        sign = mark.group()
        if sign == '"':
            rest = _STRING_REST.match(candidate, position)
            if rest is None:
                raise ValueError("A string is not closed.")
            position = rest.end()
            continue
        depth += (sign in "[{") - (sign in "]}")
        nodes += sign in "[{,"
        if depth > MAX_DEPTH:
            raise _Refused(f"It is nested deeper than {MAX_DEPTH}.")
        if nodes > MAX_NODES:
            raise _Refused(f"It has more than {MAX_NODES} values.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("An object has the same key twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise _Refused("A number is too long.")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise _Refused("A number is too long.")
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _Refused("A number is too large.")
    return value


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        cleaned = {clean_text(key): _clean(item) for key, item in value.items()}
        if len(cleaned) != len(value):
            raise _Refused("An object has the same key twice.")
        return cleaned
    return value


def _invalid(reason: str) -> InvalidOutputError:
    return InvalidOutputError("The model's answer is not usable JSON.", reason[:300], "Ask the model again.")
