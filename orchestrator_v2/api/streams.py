"""Server-sent events: a run's events as a stream that starts after `Last-Event-ID`, in order and without a gap.

Where the events come from is `service/changes.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.responses import StreamingResponse

from orchestrator_v2.api.answers import event_values
from orchestrator_v2.core.events import Recorded

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING = b": still here\n\n"
# How long a client waits before it comes back (milliseconds), told at the start.
OPENING = b"retry: 1000\n\n"

# How often a stream asks whether its user is still let in (seconds); silence is broken more often than that.
ASK_AGAIN = 10.0

Frame = Callable[[Recorded], bytes]


def event_frame(recorded: Recorded) -> bytes:
    """The event as the API gives it, named by its type."""
    values = event_values(recorded)
    return frame(recorded.seq, values["type"], json.dumps(values, separators=(",", ":")))


def change_frame(recorded: Recorded) -> bytes:
    """That something changed, for a page that then asks for what it shows."""
    return frame(recorded.seq, "change", str(recorded.seq))


def frame(number: int, name: str, data: str) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode()


def last_event(header: str | None, after: int) -> int:
    """Where to start: `Last-Event-ID` where a client comes back with one, else `after`."""
    return int(header) if header is not None and header.isdigit() and len(header) <= 18 else after


class EventStream(StreamingResponse):
    """`done` is called when the client is gone or the stream ends, whichever way. `allowed` is asked now and then: who
    was shut out hears nothing more."""

    media_type = "text/event-stream"

    def __init__(
        self,
        batches: AsyncGenerator[list[Recorded], None],
        each: Frame,
        *,
        allowed: Callable[[], Awaitable[bool]],
        done: Callable[[], None],
    ) -> None:
        self._batches = batches
        self._frames = _frames(batches, each, allowed)
        self._done = done
        super().__init__(self._frames, headers=HEADERS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()
            await self._frames.aclose()
            await self._batches.aclose()


async def _frames(
    batches: AsyncGenerator[list[Recorded], None], each: Frame, allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    yield OPENING
    # Spread out: those who came together would ask together.
    asked = time.monotonic() - ASK_AGAIN * (id(batches) // 64 % 97) / 97
    async for batch in batches:
        if time.monotonic() - asked > ASK_AGAIN:
            asked = time.monotonic()
            if not await allowed():
                return
        yield b"".join(each(recorded) for recorded in batch) if batch else PING
