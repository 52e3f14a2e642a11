"""No journal takes an event whose place is not the next one: not beyond it, not before it, not behind a failed one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from journal_cases import at, new_run, with_journal

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import FencedError, StoreCorruptError, StoreError
from orchestrator_v2.core.events import Recorded, TaskCompleted
from orchestrator_v2.engine.ports import Claim, RunChange
from orchestrator_v2.persistence.journal import StoredJournal


async def seqs(journal: StoredJournal, run_id: str = "run_a") -> list[int]:
    return [it.seq for it in await journal.events(run_id)]


@pytest.mark.parametrize(
    "places",
    [(4,), (5, 6), (99,), (1,), (2,), (2, 3), (1, 2, 3), (3, 3), (3, 5), (4, 3), (0,)],
    ids=lambda places: "-".join(map(str, places)),
)
def test_an_event_out_of_its_place_is_refused(url: str, places: Sequence[int]) -> None:
    """After events 1 and 2 only 3 may follow; with a refused event none of its append's other parts is written."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        await journal.append(claim, [at(2)])
        signal = await journal.send_signal("run_a", "pause")
        with pytest.raises(StoreError) as caught:
            await journal.append(
                claim,
                [at(seq) for seq in places],
                blobs={"h": b"x"},
                change=RunChange("failed", "x"),
                consumed=[signal],
            )
        assert not isinstance(caught.value, FencedError)
        assert caught.value.what and caught.value.do
        assert await journal.events("run_a") == [at(1), at(2)]
        assert (await journal.run("run_a")).status == "running"  # type: ignore[union-attr]
        assert [it.id for it in await journal.signals("run_a")] == [signal]
        with pytest.raises(StoreCorruptError):
            await journal.blobs(["h"])
        await journal.append(claim, [at(3), at(4)])
        assert await seqs(journal) == [1, 2, 3, 4]

    with_journal(url, work)


def test_nothing_is_written_behind_a_gap(url: str) -> None:
    """What was decided on an event that never came is refused too, until the place of that one is filled."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        for seq in (3, 4, 5):
            with pytest.raises(StoreError, match="was not written"):
                await journal.append(claim, [at(seq)])
        assert await seqs(journal) == [1]
        for seq in (2, 3, 4):
            await journal.append(claim, [at(seq)])
        assert await seqs(journal) == [1, 2, 3, 4]

    with_journal(url, work)


def test_a_gap_among_appends_made_at_once_is_refused_alone(url: str) -> None:
    """In one group of appends those that follow each other are written, the ones beyond the gap are not."""

    async def work(journal: StoredJournal) -> None:
        claim, beside = await new_run(journal), await new_run(journal, "run_b")
        appends: list[tuple[Claim, list[Recorded]]] = [
            (claim, [at(2)]),
            (beside, [at(2)]),
            (claim, [at(4)]),
            (claim, [at(3)]),
            (beside, [at(4), at(5)]),
            (claim, [at(4), at(5)]),
            (claim, [at(5)]),
            (beside, [at(3)]),
        ]
        said = await asyncio.gather(*(journal.append(*it) for it in appends), return_exceptions=True)
        assert [type(it) for it in said] == [
            *(type(None), type(None), StoreError, type(None)),
            *(StoreError, type(None), StoreError, type(None)),
        ]
        assert await seqs(journal) == [1, 2, 3, 4, 5]
        assert await seqs(journal, "run_b") == [1, 2, 3]

    with_journal(url, work)


def test_an_append_behind_one_that_the_database_refuses_is_refused(stored_url: str) -> None:
    """Two appends in one group, the first with a value that no database takes: the second has no place either."""

    async def work(journal: StoredJournal) -> None:
        claim, beside = await new_run(journal), await new_run(journal, "run_b")
        bad = RunChange("running", "no text: \ud800")
        said = await asyncio.gather(
            journal.append(claim, [at(2)], change=bad),
            journal.append(claim, [at(3)]),
            journal.append(beside, [at(2)]),
            return_exceptions=True,
        )
        assert [type(it) for it in said] == [StoreError, StoreError, type(None)]
        assert await seqs(journal) == [1]
        assert await seqs(journal, "run_b") == [1, 2]
        await journal.append(claim, [at(2)])
        assert await seqs(journal) == [1, 2]

    with_journal(stored_url, work)


def test_text_that_is_no_unicode_is_refused_by_name(stored_url: str) -> None:
    """An event with a lone surrogate is a `StoreError`, and the place is still free."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        with pytest.raises(StoreError, match="was not written"):
            await journal.append(claim, [at(2, TaskCompleted("a", result="\ud800"))])
        await journal.append(claim, [at(2)])
        assert await seqs(journal) == [1, 2]

    with_journal(stored_url, work)


def test_a_new_claim_goes_on_at_the_next_place(url: str) -> None:
    """The worker that takes a run over is held to the same order, and the one that lost it cannot fill the place."""
    clock = ManualClock()

    async def work(journal: StoredJournal) -> None:
        first = await new_run(journal)
        await journal.append(first, [at(2)])
        clock.advance(31)
        second = await journal.claim("run_a", owner="w2", lease=30)
        assert second is not None
        with pytest.raises(FencedError):
            await journal.append(first, [at(3)])
        with pytest.raises(StoreError, match="was not written"):
            await journal.append(second, [at(4)])
        await journal.append(second, [at(3)])
        assert await seqs(journal) == [1, 2, 3]

    with_journal(url, work, clock=clock)


def test_an_append_without_events_needs_no_place(url: str) -> None:
    """Blobs, a change of the row and taken signals may be written between two events."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        signal = await journal.send_signal("run_a", "pause")
        await journal.append(claim, [], consumed=[signal])
        await journal.append(claim, [], blobs={"h": b"x"}, change=RunChange("paused"))
        await journal.append(claim, [at(2)])
        assert await seqs(journal) == [1, 2]
        assert await journal.signals("run_a") == []

    with_journal(url, work)
