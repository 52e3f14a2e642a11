"""Workers that share one lane, each with a clock an hour ahead of the one before, and a board with a clock of its own.

Time moves from one sleeper's waking to the next's, once every question to the board is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from orchestrator_v2.core.clock import Clock, ManualClock
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.llm.lane import Lane, RateLimits, Sent
from orchestrator_v2.llm.lane_board import Answer, Ask, LaneBoard, News
from orchestrator_v2.llm.lane_line import MemoryLaneBoard
from orchestrator_v2.llm.lane_seat import LaneSeat
from orchestrator_v2.persistence.batch import Session
from orchestrator_v2.persistence.group_commit import Backend, GroupCommit
from orchestrator_v2.persistence.postgres_writer import PostgresBackend
from orchestrator_v2.persistence.sql_lanes import SqlLanes
from orchestrator_v2.persistence.sqlite_writer import SqliteBackend

T = TypeVar("T")
HOUR = 3600.0
NAME = "a-lane"


class SteppingClock(ManualClock):
    """Goes from waking to waking."""

    def next_wake(self) -> float:
        return min((moment for moment, _, future in self._sleepers if not future.done()), default=float("inf"))

    def go_to(self, moment: float) -> None:
        self._now = max(self._now, moment)
        self.advance(0.0)


class Ahead:
    """Another clock's time, so many seconds ahead of it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._ahead = seconds

    def now(self) -> float:
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Line:
    """The line to a board, which may be cut: `asked` counts what went over it, `open` what is not answered yet."""

    def __init__(self, board: LaneBoard) -> None:
        self._board = board
        self.open = 0
        self.asked = 0
        self.cut: Exception | None = None

    async def ask(self, lane: str, ask: Ask) -> Answer:
        self._used()
        self.open += 1
        try:
            return await self._board.ask(lane, ask)
        finally:
            self.open -= 1

    def tell(self, lane: str, news: News) -> asyncio.Future[None]:
        self._used()
        told = self._board.tell(lane, news)
        self.open += 1
        told.add_done_callback(self._answered)
        return told

    def _used(self) -> None:
        if self.cut is not None:
            raise self.cut
        self.asked += 1

    def _answered(self, told: object) -> None:
        self.open -= 1


class Went(NamedTuple):
    """A call: `at` seconds since the beginning, by the board's clock."""

    at: float
    worker: int
    tokens: int
    sent: Sent


class Fleet:
    def __init__(self, clock: SteppingClock, boards: Sequence[LaneBoard], limits: RateLimits | None = None) -> None:
        self.clock = clock
        self.start = clock.monotonic()
        self.lines = [Line(board) for board in boards]
        clocks = [Ahead(clock, number * HOUR) for number in range(len(boards))]
        self.lanes = [
            Lane(own, limits, LaneSeat(line, NAME, f"worker {number}", own))
            for number, (own, line) in enumerate(zip(clocks, self.lines, strict=True))
        ]
        self.went: list[Went] = []

    async def call(self, worker: int, tokens: int = 0, *, cap: float = 10_000.0) -> Went:
        """A call of that worker, when it goes out."""
        sent = await self.lanes[worker].enter(tokens, cap=cap)
        went = Went(self.clock.monotonic() - self.start, worker, tokens, sent)
        self.went.append(went)
        return went

    async def settle(self) -> None:
        """Until nobody can do anything more at this moment."""
        quiet = 0
        while quiet < 8:
            is_busy = any(line.open for line in self.lines)
            await asyncio.sleep(0.0005 if is_busy else 0)
            quiet = 0 if is_busy else quiet + 1

    async def until(self, moment: float) -> None:
        """Goes on to so many seconds after the beginning."""
        await self.settle()
        while (wake := self.clock.next_wake()) <= self.start + moment:
            self.clock.go_to(wake)
            await self.settle()
        self.clock.go_to(self.start + moment)
        await self.settle()

    async def all(self, calls: Sequence[Coroutine[Any, Any, Went]]) -> list[Any]:
        """What became of those calls, begun in order at this moment; an error where one was refused."""
        tasks = []
        for call in calls:
            tasks.append(asyncio.ensure_future(call))
            await self.settle()
        return await self.done(tasks)

    async def done(self, tasks: Sequence[asyncio.Task[Went]]) -> list[Any]:
        await self.settle()
        while not all(task.done() for task in tasks):
            wake = self.clock.next_wake()
            assert wake < float("inf"), "the lane never let them through"
            self.clock.go_to(wake)
            await self.settle()
        return await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def opened(url: str, count: int, now: Callable[[], float] | None) -> AsyncIterator[list[LaneBoard]]:
    """The boards of `count` processes on the database at `url`; `now` in place of the database's own clock."""
    writers = [GroupCommit(_backend(url)) for _ in range(count)]
    try:
        for writer in writers:
            await writer.start()
        yield [SqlLanes(writer, _backend(url).dialect, now and _reading(now)) for writer in writers]
    finally:
        for writer in writers:
            await writer.close()


def _reading(now: Callable[[], float]) -> Callable[[Session], float]:
    return lambda session: now()


def _backend(url: str) -> Backend:
    if url.startswith("sqlite:///"):
        return SqliteBackend(url.removeprefix("sqlite:///"), no_probe, "normal")
    return PostgresBackend(url, no_probe)


def with_fleet(url: str, count: int, limits: RateLimits | None, work: Callable[[Fleet], Awaitable[T]]) -> T:
    """What `work` gives, done with `count` workers that share what is at `url`."""

    async def whole() -> T:
        clock = SteppingClock()
        if url == "memory:":
            return await work(Fleet(clock, [MemoryLaneBoard(clock)] * count, limits))
        async with opened(url, count, clock.monotonic) as boards:
            return await work(Fleet(clock, boards, limits))

    return asyncio.run(whole())
