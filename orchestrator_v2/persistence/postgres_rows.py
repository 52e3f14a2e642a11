"""Event rows for PostgreSQL: one prepared insert that takes any number of rows, one binary array for each column.

Who sends it is `postgres_session.py`; how an array travels: `array_send` in PostgreSQL's `arrayfuncs.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from orchestrator_v2.persistence.batch import Row

INSERT_EVENTS = (
    b"INSERT INTO events (id, at, type, payload)"
    b" SELECT * FROM unnest($1::bigint[], $2::double precision[], $3::text[], $4::bytea[])"
)

_BIGINT, _DOUBLE, _TEXT, _BYTEA = 20, 701, 25, 17
# One dimension, no nulls, the element's type, the number of elements, the first index.
_HEADER = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_FLOAT = struct.Struct(">d")


def event_arrays(rows: Sequence[Row]) -> list[bytes]:
    """The parameters of `INSERT_EVENTS`, all in binary; raises OverflowError for an id that no bigint holds."""
    ids, moments, types, payloads = zip(*rows, strict=True)
    return [
        _array(_BIGINT, [number.to_bytes(8, "big", signed=True) for number in ids]),
        _array(_DOUBLE, [_FLOAT.pack(moment) for moment in moments]),
        _array(_TEXT, [name.encode() for name in types]),
        _array(_BYTEA, payloads),
    ]


def _array(element: int, values: Sequence[bytes]) -> bytes:
    return b"".join((_HEADER.pack(1, 0, element, len(values), 1), *_with_lengths(values)))


def _with_lengths(values: Sequence[bytes]) -> Iterable[bytes]:
    for value in values:
        yield _LENGTH.pack(len(value))
        yield value
