"""What the stores behind `core/accounts.py` share in memory: the journal that they belong to.

The stores are `memory_accounts.py`, `memory_credentials.py`, `memory_projects.py`, `memory_usage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator_v2.persistence.storable import require_storable


class MemoryStore:
    """`opened` raises when the journal is closed, `committed` is called after each change."""

    def __init__(self, opened: Callable[[], None], committed: Callable[[], None]) -> None:
        self._opened = opened
        self._committed = committed

    def _writes(self, values: Iterable[object] = ()) -> None:
        self._opened()
        require_storable(values)
