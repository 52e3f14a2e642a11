"""The news of runs for any number of listeners: one look at the journal serves them all, in order and without a gap.

What an event looks like on a wire is the API's. A listener that is slow holds nobody up: it reads on from the
journal where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence

from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.ports import Journal

_log = logging.getLogger(__name__)
# How often the journal is asked whether anything was committed, by whichever process (seconds).
POLL = 0.1
# How long it is left alone after it could not be asked (seconds).
_AWAY = 1.0
# How many of a run's latest events are kept for those who listen; what is older is read from the journal.
KEPT = 1_000
# So many runs that are listened to are swept over at each look; with more it rests longer, up to so many looks.
FEW, MOST = 20, 10.0
# How many events one read gives.
PAGE = 500


class _Feed:
    """A run that somebody listens to: its latest events, and what wakes the listeners."""

    def __init__(self) -> None:
        self.listeners = 0
        # Never what a listener says: it may be ahead of the run, and others listen too.
        self.last = 0
        self.kept: list[Recorded] = []
        self.news = asyncio.Event()

    def add(self, events: Sequence[Recorded]) -> None:
        if events:
            self.last = events[-1].seq
            self.kept = [*self.kept, *events][-KEPT:]
            self.wake()

    def wake(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()

    def since(self, after: int) -> list[Recorded] | None:
        """What is kept after that event; None where that reaches further back."""
        if after >= self.last:
            return []
        if not self.kept or self.kept[0].seq > after + 1:
            return None
        return self.kept[after + 1 - self.kept[0].seq :]


class Changes:
    """`heard` is told by the engine of what this process committed, so that nobody waits for the next look."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._feeds: dict[str, _Feed] = {}
        self._fresh: set[str] = set()
        self._poke = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listeners(self) -> int:
        return sum(feed.listeners for feed in self._feeds.values())

    def heard(self, run_id: str, recorded: Sequence[Recorded]) -> None:
        if run_id in self._feeds:
            self._ask(run_id)

    def _ask(self, run_id: str) -> None:
        self._fresh.add(run_id)
        self._poke.set()

    async def close(self) -> None:
        """Ends every listener's stream; each may come back elsewhere and go on where it was."""
        self._closed = True
        for feed in self._feeds.values():
            feed.wake()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def follow(self, run_id: str, after: int = 0, *, idle: float = 5.0) -> AsyncGenerator[list[Recorded], None]:
        """The run's events after `after`, some at a time, as they are committed; [] after `idle` seconds of silence.

        It ends when the caller stops asking, or with `close`. Raises `StoreError`.
        """
        feed = self._listen(run_id)
        try:
            while not self._closed:
                news = feed.news
                events = feed.since(after)
                if events is None:
                    events = await self._journal.events(run_id, after, PAGE)
                if events:
                    after = events[-1].seq
                    yield events
                    continue
                try:
                    async with asyncio.timeout(idle):
                        await news.wait()
                except TimeoutError:
                    yield []
        finally:
            feed.listeners -= 1
            if not feed.listeners and self._feeds.get(run_id) is feed:
                del self._feeds[run_id]

    def _listen(self, run_id: str) -> _Feed:
        feed = self._feeds.get(run_id)
        if feed is None:
            feed = self._feeds[run_id] = _Feed()
            self._ask(run_id)
        feed.listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return feed

    async def _look(self) -> None:
        seen, rest = -1, 0.0
        loop = asyncio.get_running_loop()
        while not self._closed:
            self._poke.clear()
            try:
                fresh, self._fresh = self._fresh, set()
                await self._read(fresh)
                if loop.time() >= rest:
                    count = await self._journal.change_count()
                    if count != seen:
                        await self._read(list(self._feeds))
                        seen = count
                    # Another process's news costs a read for each run that is listened to: the more, the rarer.
                    rest = loop.time() + POLL * min(max(1.0, len(self._feeds) / FEW), MOST)
                wait = POLL
            except OrchestratorError as error:
                # The database may be away for a while; listeners hear on when it is back.
                _log.warning("the journal cannot be asked for news: %s", error)
                seen, wait = -1, _AWAY
            except Exception:  # noqa: BLE001 - whatever it is, listeners must not be left without news for good
                _log.exception("the journal cannot be asked for news")
                seen, wait = -1, _AWAY
            # Not wait_for: it may swallow a cancel that comes with the end of what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._poke.wait()

    async def _read(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            feed = self._feeds.get(run_id)
            while feed is not None:
                events = await self._journal.events(run_id, feed.last, PAGE)
                feed.add(events)
                if len(events) < PAGE:
                    break
