"""Work for a caller who waits: cancelled when the caller hangs up, as nobody would see what comes of it.

Streams see for themselves that nobody listens (`streams.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

_T = TypeVar("_T")
# What some servers log for a request whose caller is gone; nobody receives it.
_CLIENT_CLOSED = 499


async def while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` gives, unless the caller hangs up before. The request's body must have been read."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise HTTPException(_CLIENT_CLOSED, "The caller hung up.")
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
