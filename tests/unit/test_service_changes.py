"""The news of runs: whoever listens gets every event once and in order, whenever they come, however slow they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.engine.ports import Claim, Journal, RunRow
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.service import changes as changes_module
from orchestrator_v2.service.changes import Changes

STARTED = e.RunStarted("prj_1", "x", "h", Workflow("w", ()), "simulated")


class Run:
    """A run in a journal that grows by `add`, as another process would let it grow."""

    def __init__(self, journal: Journal, claim: Claim) -> None:
        self.journal = journal
        self.claim = claim
        self.count = 1

    async def add(self, count: int) -> list[Recorded]:
        first = self.count + 1
        made = [Recorded(seq, float(seq), e.RunResumed(by=str(seq))) for seq in range(first, first + count)]
        await self.journal.append(self.claim, made)
        self.count += count
        return made


async def new_run(journal: Journal, name: str = "run_1") -> Run:
    row = RunRow(name, 0, "prj_1", "local", "x", "w", "simulated", "running", 1.0, 1.0)
    return Run(journal, await journal.create_run(row, [Recorded(1, 1.0, STARTED)], {}, owner="w", lease=30))


def on(work: Callable[[Journal, Changes], Awaitable[None]], journal: Journal | None = None) -> None:
    async def main() -> None:
        opened = journal or await open_journal("memory:", clock=SystemClock())
        changes = Changes(opened)
        try:
            await work(opened, changes)
        finally:
            await changes.close()

    asyncio.run(asyncio.wait_for(main(), 20))


async def heard(changes: Changes, run_id: str, until: int, after: int = 0, nap: float = 0.0) -> list[int]:
    """The numbers of the events up to `until`; with a nap between two batches."""
    numbers: list[int] = []
    stream = changes.follow(run_id, after)
    async for batch in stream:
        numbers += [it.seq for it in batch]
        if numbers and numbers[-1] >= until:
            break
        await asyncio.sleep(nap)
    await stream.aclose()
    return numbers


def test_many_listeners_that_come_at_any_time_miss_nothing() -> None:
    """Early, late, slow, and from the middle: each has what is after its own start, once and in order."""

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        waiting = [asyncio.create_task(heard(changes, "run_1", 200, nap=nap)) for nap in (0, 0, 0.02, 0.1)]
        for _ in range(10):
            await run.add(10)
            await asyncio.sleep(0.01)
        waiting += [asyncio.create_task(heard(changes, "run_1", 200, after=after)) for after in (0, 50, 101, 150)]
        for _ in range(99):
            await run.add(1)
        found = await asyncio.gather(*waiting)
        starts = [0, 0, 0, 0, 0, 50, 101, 150]
        assert found == [list(range(start + 1, 201)) for start in starts]

    on(work)


def test_a_history_longer_than_what_is_kept_is_whole() -> None:
    """What a feed has let go of is read from the journal, and joins what it still has without a seam."""

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        await run.add(3_000)
        first = asyncio.create_task(heard(changes, "run_1", 3_200))
        await asyncio.sleep(0.3)
        second = asyncio.create_task(heard(changes, "run_1", 3_200, after=10))
        await run.add(199)
        assert await first == list(range(1, 3_201))
        assert await second == list(range(11, 3_201))

    on(work)


def test_what_this_process_commits_is_told_at_once(monkeypatch) -> None:
    """The engine's word wakes the feed: nobody waits for the next look at the journal."""
    monkeypatch.setattr(changes_module, "POLL", 30.0)

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        listener = asyncio.create_task(heard(changes, "run_1", 2))
        await asyncio.sleep(0.05)
        changes.heard("run_1", await run.add(1))
        assert await asyncio.wait_for(listener, 5) == [1, 2]

    on(work)


def test_silence_is_told_and_then_news_come_all_the_same() -> None:
    """A ping is an empty batch; after any number of them the next event is the next number."""

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        stream = changes.follow("run_1", 1, idle=0.05)
        assert await anext(stream) == []
        assert await anext(stream) == []
        await run.add(1)
        seen: list[Recorded] = []
        while not seen:
            seen = await anext(stream)
        assert [it.seq for it in seen] == [2]
        await stream.aclose()

    on(work)


def test_whoever_is_ahead_of_the_run_waits_for_what_comes_after() -> None:
    """A number that no event has yet is no error, and nothing before it is sent again."""

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        listener = asyncio.create_task(heard(changes, "run_1", 8, after=5))
        await run.add(7)
        assert await listener == [6, 7, 8]

    on(work)


def test_a_listener_that_is_far_ahead_spoils_nothing_for_others() -> None:
    """Whatever number the first one comes with, an honest one beside it hears what is committed, at once."""

    async def work(journal: Journal, changes: Changes) -> None:
        run = await new_run(journal)
        ahead = asyncio.create_task(heard(changes, "run_1", 1 << 60, after=10**17))
        await asyncio.sleep(0.05)
        honest = asyncio.create_task(heard(changes, "run_1", 30))
        await run.add(14)
        await asyncio.sleep(0.3)
        changes.heard("run_1", await run.add(15))
        assert await asyncio.wait_for(honest, 3) == list(range(1, 31))
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)

    on(work)


def test_runs_are_not_mixed_and_the_last_listener_takes_the_feed_along() -> None:
    """Ten runs, ten listeners, each its own; when they have gone nothing is kept."""

    async def work(journal: Journal, changes: Changes) -> None:
        runs = {f"run_{n}": await new_run(journal, f"run_{n}") for n in range(10)}
        tasks = [asyncio.create_task(heard(changes, name, 1 + n)) for n, name in enumerate(runs)]
        await asyncio.sleep(0)
        for n, run in enumerate(runs.values()):
            if n:
                await run.add(n)
        assert await asyncio.gather(*tasks) == [list(range(1, n + 2)) for n in range(10)]
        assert changes.listeners == 0
        assert changes._feeds == {}

    on(work)


class Flaky:
    """A journal that is away for a while: the first `faults` looks at it fail."""

    def __init__(self, journal: Journal, faults: int) -> None:
        self._journal = journal
        self.faults = faults

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def change_count(self) -> int:
        if self.faults:
            self.faults -= 1
            raise StoreUnavailableError("away")
        return await self._journal.change_count()


def test_a_database_that_was_away_loses_nobody(monkeypatch) -> None:
    """Listeners stay, and hear all of it once it is back."""
    monkeypatch.setattr(changes_module, "_AWAY", 0.05)

    async def main() -> None:
        flaky = Flaky(await open_journal("memory:", clock=SystemClock()), faults=3)
        changes = Changes(flaky)  # type: ignore[arg-type]
        run = await new_run(flaky)  # type: ignore[arg-type]
        listener = asyncio.create_task(heard(changes, "run_1", 5))
        while flaky.faults:  # noqa: ASYNC110 - it counts what is asked of it, and sets no event
            await asyncio.sleep(0.01)
        await run.add(4)
        assert await asyncio.wait_for(listener, 10) == [1, 2, 3, 4, 5]
        await changes.close()

    asyncio.run(main())


def test_closing_ends_every_stream() -> None:
    """A server that goes down does not wait for whoever listens."""

    async def work(journal: Journal, changes: Changes) -> None:
        await new_run(journal)

        async def all_of_it() -> Sequence[int]:
            return [it.seq async for batch in changes.follow("run_1") for it in batch]

        listeners = [asyncio.create_task(all_of_it()) for _ in range(3)]
        await asyncio.sleep(0.2)
        await changes.close()
        assert await asyncio.wait_for(asyncio.gather(*listeners), 5) == [[1], [1], [1]]

    on(work)
