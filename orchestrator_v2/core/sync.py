"""Calling async code from code that is not: a loop of one's own for one call, or a loop that lives in a thread.

Async is the truth everywhere else; the `_sync` twins of the product stand on these two.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from orchestrator_v2.core.errors import SyncInLoopError

_T = TypeVar("_T")


def refuse_in_loop() -> None:
    """Raises `SyncInLoopError` inside a running loop, which the caller would block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SyncInLoopError(
        "A `_sync` method was called inside a running event loop.",
        "It would block the loop that it waits for.",
        "Await the method without `_sync` instead.",
    )


def run_sync(start: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What the coroutine gives, in a loop of its own. Raises `SyncInLoopError` inside a running loop."""
    refuse_in_loop()
    return asyncio.run(start())


def call_in(loop: asyncio.AbstractEventLoop, start: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What the coroutine gives in `loop`, which runs in another thread.

    Raises `SyncInLoopError` inside a running loop, and where `loop` does not run any more. An interrupt of the waiting
    thread cancels the coroutine.
    """
    refuse_in_loop()
    if not loop.is_running():
        raise SyncInLoopError(
            "The event loop that this was opened in does not run.",
            "It ended, or was left.",
            "Open it anew, as by `open_operations_sync()`.",
        )
    future = asyncio.run_coroutine_threadsafe(start(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


class LoopThread:
    """An event loop in a thread of its own; close it. The thread ends with the process if nobody does."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        started = threading.Event()
        self.loop.call_soon(started.set)
        self._thread.start()
        started.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def call(self, start: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What the coroutine gives; raises what it raises."""
        return call_in(self.loop, start)

    def close(self) -> None:
        if self.loop.is_running():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
