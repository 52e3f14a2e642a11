"""An event loop whose time jumps to the next timer when nothing else is left to do: no waiting, and one story a seed.

Only for what lives in the loop alone; a thread's answer would come after any number of jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for nothing: what it would have waited is how far the time goes on."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.jumped += timeout or 0.0
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s."""

    def __init__(self) -> None:
        self._virtual = _Jumping()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.jumped
