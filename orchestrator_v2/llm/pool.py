"""Vendors' clients, one for each (provider, base_url, credential) and event loop, kept as long as the factory.

How one is built is its provider's file. A client of another loop is never handed out: its sockets belong there.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

C = TypeVar("C")
_Entry = tuple[Any, Callable[[], Awaitable[None]]]


class ClientPool:
    def __init__(self) -> None:
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry]]
        self._loops = weakref.WeakKeyDictionary()

    def get(self, key: Hashable, build: Callable[[], tuple[C, Callable[[], Awaitable[None]]]]) -> C:
        """The client of that key on the running loop; `build` gives a new one and how it is closed."""
        entries = self._loops.setdefault(asyncio.get_running_loop(), {})
        if key not in entries:
            entries[key] = build()
        client: C = entries[key][0]
        return client

    async def aclose(self) -> None:
        """Closes the clients of the running loop; those of loops that are gone have lost their sockets already."""
        for _, close in self._loops.pop(asyncio.get_running_loop(), {}).values():
            await close()
