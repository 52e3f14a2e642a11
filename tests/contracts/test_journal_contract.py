"""What every journal must do, the same on SQLite, on PostgreSQL and in memory: runs, events, blobs, signals, leases."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from journal_cases import at, new_run, row, with_journal

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import FencedError, StoreCorruptError, StoreError, StoreUnavailableError
from orchestrator_v2.core.events import RunCompleted, TaskStarted
from orchestrator_v2.engine.ports import Claim, RunChange
from orchestrator_v2.persistence.journal import StoredJournal


def test_a_created_run_is_read_back_as_it_was_given(url: str) -> None:
    """Row, events and blobs of an accepted run are all there, and only the run's number is the journal's own."""

    async def work(journal: StoredJournal) -> None:
        given = row(out="/tmp/x", stopped="s", resume_at=5.5, forked_from="run_0", name="Ünï 🍅")
        claim = await journal.create_run(given, [at(1, TaskStarted("a"))], {"h1": b"\x00\xff"}, owner="w1", lease=9)
        assert (claim.run_id, claim.epoch) == ("run_a", 1)
        found = await journal.run("run_a")
        assert found == msgspec.structs.replace(given, run_no=claim.run_no)
        assert await journal.events("run_a") == [at(1, TaskStarted("a"))]
        assert await journal.blobs(["h1"]) == {"h1": b"\x00\xff"}

    with_journal(url, work)


def test_events_come_back_in_order_and_can_be_paged(url: str) -> None:
    """`after` and `limit` cut a page out of the run's own events, whatever other runs hold."""

    async def work(journal: StoredJournal) -> None:
        first, second = await new_run(journal, "run_a"), await new_run(journal, "run_b")
        for seq in range(2, 8):
            await journal.append(first, [at(seq)])
            await journal.append(second, [at(seq, TaskStarted("b"))])
        assert await journal.events("run_a") == [at(seq) for seq in range(1, 8)]
        assert [it.seq for it in await journal.events("run_a", after=2, limit=3)] == [3, 4, 5]
        assert await journal.events("run_b", after=7) == []
        assert await journal.events("run_none") == []

    with_journal(url, work)


def test_appends_at_once_are_durable_in_the_order_of_their_calls(url: str) -> None:
    """Three hundred concurrent appends are acknowledged in the order in which they were made, and none is missing."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        done: list[int] = []

        async def one(seq: int) -> None:
            await journal.append(claim, [at(seq)])
            done.append(seq)

        await asyncio.gather(*(one(seq) for seq in range(2, 302)))
        assert done == list(range(2, 302))
        assert [it.seq for it in await journal.events("run_a")] == list(range(1, 302))

    with_journal(url, work)


def test_an_append_carries_all_its_parts_or_none(url: str) -> None:
    """Events, blobs, the row's change and consumed signals land together; a refused append leaves none of them."""
    clock = ManualClock(500.0)

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        signal = await journal.send_signal("run_a", "pause", b"{}")
        change = RunChange("paused", "by ann", 7.0)
        with pytest.raises(StoreError):
            await journal.append(claim, [at(1)], blobs={"h": b"x"}, change=change, consumed=[signal])
        assert (await journal.run("run_a")).status == "running"  # type: ignore[union-attr]
        assert [it.id for it in await journal.signals("run_a")] == [signal]
        with pytest.raises(StoreCorruptError):
            await journal.blobs(["h"])
        await journal.append(claim, [at(2)], blobs={"h": b"x"}, change=change, consumed=[signal])
        found = await journal.run("run_a")
        assert found is not None
        assert (found.status, found.stopped, found.resume_at, found.updated_at) == ("paused", "by ann", 7.0, 500.0)
        assert await journal.signals("run_a") == []
        assert await journal.blobs(["h", "h"]) == {"h": b"x"}

    with_journal(url, work, clock=clock)


def test_a_bad_append_in_a_group_fails_alone(url: str) -> None:
    """Of many appends made at once, the one on a taken place fails with a clear error; all others are there."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        old = Claim(claim.run_id, claim.run_no, claim.epoch - 1)
        many = [journal.append(claim, [at(seq)]) for seq in range(2, 12)]
        taken, stale = journal.append(claim, [at(1)]), journal.append(old, [at(99)])
        said = await asyncio.gather(*many[:5], taken, stale, *many[5:], return_exceptions=True)
        assert [type(it) for it in said if it is not None] == [StoreError, FencedError]
        assert [it.seq for it in await journal.events("run_a")] == list(range(1, 12))

    with_journal(url, work)


def test_blobs_are_kept_once_and_never_change(url: str) -> None:
    """A second content under the same address does not replace the first, and is no error."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        await journal.append(claim, [], blobs={"h": b"first"})
        await journal.append(claim, [], blobs={"h": b"second", "i": b""})
        assert await journal.blobs(["i", "h"]) == {"i": b"", "h": b"first"}

    with_journal(url, work)


def test_a_run_is_held_by_one_worker_until_its_lease_ends(url: str) -> None:
    """A live lease keeps others out and names its holder; after its end the run passes on and the old claim is dead."""
    clock = ManualClock(1000.0)

    async def work(journal: StoredJournal) -> None:
        first = await new_run(journal)
        assert await journal.holder("run_a") == "w1"
        assert await journal.claim("run_a", owner="w2", lease=30) is None
        clock.advance(29)
        assert await journal.renew(first, lease=30)
        clock.advance(29)
        assert await journal.claim("run_a", owner="w2", lease=30) is None
        clock.advance(2)
        assert await journal.holder("run_a") == ""
        second = await journal.claim("run_a", owner="w2", lease=30)
        assert second == Claim("run_a", first.run_no, 2)
        assert not await journal.renew(first, lease=30)
        with pytest.raises(FencedError, match="run_a"):
            await journal.append(first, [at(2)], blobs={"h": b""}, change=RunChange("failed"))
        await journal.release(first)
        assert await journal.holder("run_a") == "w2"
        assert [it.seq for it in await journal.events("run_a")] == [1]
        assert (await journal.run("run_a")).status == "running"  # type: ignore[union-attr]

    with_journal(url, work, clock=clock)


def test_a_lease_passes_on_when_released_seized_or_its_own(url: str) -> None:
    """A released run, the worker's own run, and the run of a worker that is known to be gone can be claimed at once."""

    async def work(journal: StoredJournal) -> None:
        first = await new_run(journal)
        again = await journal.claim("run_a", owner="w1", lease=30)
        assert again is not None and again.epoch == 2
        assert await journal.claim("run_a", owner="w2", lease=30, seize="w9") is None
        seized = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
        assert seized is not None and seized.epoch == 3
        await journal.release(seized)
        assert not await journal.renew(seized, lease=30)
        freed = await journal.claim("run_a", owner="w3", lease=30)
        assert freed is not None and freed.epoch == 4
        with pytest.raises(FencedError):
            await journal.append(first, [at(2)])
        await journal.append(freed, [at(2)])

    with_journal(url, work)


def test_only_one_of_many_claims_at_once_wins(url: str) -> None:
    """Twenty workers who claim a free run in the same moment get one claim between them."""

    async def work(journal: StoredJournal) -> None:
        await journal.release(await new_run(journal))
        claims = await asyncio.gather(*(journal.claim("run_a", owner=f"w{n}", lease=30) for n in range(20)))
        assert len([it for it in claims if it is not None]) == 1

    with_journal(url, work)


def test_a_run_is_found_by_a_unique_prefix(url: str) -> None:
    """The whole id wins over longer ones, a unique prefix finds its run, an ambiguous or empty one finds none."""

    async def work(journal: StoredJournal) -> None:
        for name in ("run_ab", "run_abc", "run_x%", "rün_1"):
            await new_run(journal, name)

        async def named(prefix: str) -> str | None:
            found = await journal.run(prefix)
            return found.run_id if found else None

        assert await named("run_ab") == "run_ab"
        assert await named("run_abc") == "run_abc"
        assert await named("rü") == "rün_1"
        assert [await named(it) for it in ("run_", "", "run_x_", "%", "runXab")] == [None] * 5

    with_journal(url, work)


def test_runs_are_listed_newest_first_in_pages(url: str) -> None:
    """Pages joined by `before` hold each run of the owner once, also while newer ones come in; filters combine."""

    async def work(journal: StoredJournal) -> None:
        for number in range(7):
            await new_run(journal, f"run_{number}", owner_id="ann" if number % 2 else "bob")
        first = await journal.runs(limit=3)
        await new_run(journal, "run_new")
        rest = await journal.runs(limit=10, before=first[-1].run_no)
        assert [it.run_id for it in first + rest] == [f"run_{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
        assert [it.run_id for it in await journal.runs(owner_id="bob", limit=2)] == ["run_6", "run_4"]
        claim = await journal.claim("run_3", owner="w1", lease=1)
        assert claim is not None
        await journal.append(claim, [at(2, RunCompleted())], change=RunChange("completed"))
        assert [it.run_id for it in await journal.runs(statuses=["completed"])] == ["run_3"]
        assert await journal.runs(statuses=["completed", "failed"], owner_id="bob") == []

    with_journal(url, work)


def test_runs_to_recover_and_runs_with_signals_are_found(url: str) -> None:
    """`due` gives what could go on and nobody holds, oldest first; `signalled` a run until its last one is consumed."""
    clock = ManualClock(1000.0)

    async def work(journal: StoredJournal) -> None:
        async def due(moment: float, **more: Any) -> list[str]:
            found = await journal.due(moment, **more)
            assert {owner for _, owner in found} <= {"ann"}
            return [run_id for run_id, _ in found]

        claims = [await new_run(journal, f"run_{n}", status=s) for n, s in enumerate(("running", "paused", "running"))]
        now = clock.now()
        assert (await journal.holders(now), await due(now)) == (["w1"], [])
        assert await due(now, gone=["nobody", "w1"]) == ["run_0", "run_2"]
        await journal.release(claims[2])
        assert (await due(now), await due(now + 31, limit=1)) == (["run_2"], ["run_0"])
        await journal.append(claims[2], [], change=RunChange("waiting_provider", "later", now + 60))
        assert (await due(now), await due(now + 60)) == ([], ["run_0", "run_2"])
        one, two = await journal.send_signal("run_1", "pause"), await journal.send_signal("run_1", "cancel", b"\x00")
        assert [(it.id, it.kind, it.payload) for it in await journal.signals("run_1")] == [
            (one, "pause", b""),
            (two, "cancel", b"\x00"),
        ]
        await journal.append(claims[1], [], consumed=[one])
        await journal.append(claims[0], [], consumed=[two])
        assert await journal.signalled() == ["run_1"]
        await journal.append(claims[1], [], consumed=[two])
        assert await journal.signalled() == []

    with_journal(url, work, clock=clock)


def test_the_change_count_grows_with_every_commit_only(url: str) -> None:
    """A poller sees another number after each kind of write, and the same one while nothing happens."""

    async def work(journal: StoredJournal) -> None:
        seen = [await journal.change_count()]
        claim = await new_run(journal)
        seen.append(await journal.change_count())
        await journal.append(claim, [at(2)])
        seen.append(await journal.change_count())
        await journal.send_signal("run_a", "pause")
        seen.append(await journal.change_count())
        await journal.set_out("run_a", "/somewhere")
        seen.append(await journal.change_count())
        assert seen == sorted(set(seen))
        if not url.startswith("postgres"):
            # PostgreSQL's counter also moves with the server's own housekeeping.
            assert await journal.change_count() == seen[-1]
        assert (await journal.run("run_a")).out == "/somewhere"  # type: ignore[union-attr]

    with_journal(url, work)


def test_what_is_not_there_is_said(url: str) -> None:
    """Writes on a run that does not exist, and a second run of the same id, are clear errors, and change nothing."""

    async def work(journal: StoredJournal) -> None:
        await new_run(journal)
        for refused in (
            journal.claim("run_none", owner="w", lease=1),
            journal.send_signal("run_none", "pause"),
            journal.set_out("run_none", "/x"),
            new_run(journal),
        ):
            with pytest.raises(StoreError) as caught:
                await refused
            assert caught.value.what and caught.value.do
        with pytest.raises(FencedError):
            await journal.append(Claim("run_none", 77, 1), [at(1)])
        assert await journal.run("run_none") is None
        assert await journal.holder("run_none") == ""
        assert await journal.signals("run_none") == []
        assert await journal.recorded_calls("run_none") == []
        assert len(await journal.runs()) == 1

    with_journal(url, work)


def test_a_closed_journal_refuses(url: str) -> None:
    """After `close`, which may be called twice, reads and writes say that it is closed; what was queued is written."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        last = asyncio.create_task(journal.append(claim, [at(2)]))
        await asyncio.sleep(0)
        await journal.close()
        await journal.close()
        await last
        with pytest.raises(StoreUnavailableError):
            await journal.append(claim, [at(3)])
        with pytest.raises(StoreUnavailableError):
            await journal.events("run_a")

    with_journal(url, work)


def test_an_abandoned_wait_does_not_disturb_the_writer(url: str) -> None:
    """Cancelling the one who waits for an append neither loses the append nor the word to those beside it."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        waiting = asyncio.create_task(journal.append(claim, [at(2)]))
        await asyncio.sleep(0)
        beside = asyncio.create_task(journal.append(claim, [at(3)]))
        waiting.cancel()
        await asyncio.wait_for(beside, 5)
        assert [it.seq for it in await journal.events("run_a")] == [1, 2, 3]

    with_journal(url, work)
