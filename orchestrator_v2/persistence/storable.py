"""Which texts every database takes, so that the same call has the same answer on each of them and in memory.

What a database refuses for other reasons is said by `batch.unstorable`.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator_v2.core.errors import StoreError
from orchestrator_v2.persistence.batch import unstorable


def storable(values: Iterable[object]) -> bool:
    """Whether all texts among `values` can be stored: PostgreSQL takes no NUL, neither takes half a surrogate."""
    return not any(isinstance(value, str) and _odd(value) for value in values)


def require_storable(values: Iterable[object]) -> None:
    """Raises `StoreError` for a text that is not storable."""
    if not storable(values):
        raise odd_text()


def odd_text() -> StoreError:
    return unstorable(ValueError("a text holds a NUL or half a character"))


def _odd(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
