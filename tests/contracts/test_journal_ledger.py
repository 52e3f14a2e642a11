"""The ledger of model calls, the same on every database: nothing paid twice, nothing over the budget."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_cases import at, intent, new_run, with_journal

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    BudgetExceededError,
    CallConflictError,
    FencedError,
    StoreError,
    UnknownPriceError,
)
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.ledger import CallLedger, CallRow
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import StoredJournal

ANSWER = Completion("an answer ✓", usage=Usage(5, 7, calls=1, cost=6), provenance=Provenance("real", "anthropic", "m"))


def test_an_answer_is_found_again_whole(url: str) -> None:
    """A finished call gives its completion back for the same key and request, and another request is a conflict."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        assert await ledger.find("k", "h1") is None
        call = await ledger.begin(intent("k"))
        assert await ledger.find("k", "h1") is None
        await ledger.finish(call, ANSWER, 6)
        assert await ledger.find("k", "h1") == ANSWER
        assert await ledger.find("other", "h1") is None
        with pytest.raises(CallConflictError, match="'k'"):
            await ledger.find("k", "h2")

    with_journal(url, work)


def test_the_newest_answer_of_a_key_counts(url: str) -> None:
    """After a second answer to the same key, the first one's request is the one that conflicts."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        for request in ("h1", "h2"):
            await ledger.finish(await ledger.begin(intent("k", request)), Completion(request), 1)
        await ledger.fail(await ledger.begin(intent("k", "h3")), "overloaded", 0)
        assert await ledger.find("k", "h2") == Completion("h2")
        with pytest.raises(CallConflictError):
            await ledger.find("k", "h1")

    with_journal(url, work)


def test_every_call_is_listed_as_it_happened(url: str) -> None:
    """Attempts of a key count up, each with its outcome, its reservation and what it cost in the end."""
    clock = ManualClock(50.0)

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), 100)
        first = await ledger.begin(intent("k", reserved=30))
        await ledger.fail(first, "rate_limited", None)
        second = await ledger.begin(intent("k", reserved=30))
        await ledger.finish(second, ANSWER, 6)
        third = await ledger.begin(intent("l", "h9", reserved=40))
        common: dict[str, Any] = {"provider": "anthropic", "model": "a-model", "at": 50.0}
        expected = [
            CallRow(
                id=first,
                key="k",
                attempt=1,
                request_hash="h1",
                outcome="failed",
                reserved=30,
                charged=30,
                error="rate_limited",
                **common,
            ),
            CallRow(
                id=second,
                key="k",
                attempt=2,
                request_hash="h1",
                outcome="done",
                reserved=30,
                charged=6,
                completion=ANSWER,
                **common,
            ),
            CallRow(id=third, key="l", attempt=1, request_hash="h9", outcome="intent", reserved=40, **common),
        ]
        assert await ledger.calls() == expected
        assert await journal.recorded_calls("run_a") == expected
        assert await ledger.spent() == 30 + 6 + 40

    with_journal(url, work, clock=clock)


def test_a_call_that_does_not_fit_is_not_written(url: str) -> None:
    """The budget is a ceiling on what is charged and reserved together; to the last nano-dollar it may be used."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), 100)
        await ledger.finish(await ledger.begin(intent("a", reserved=60)), ANSWER, 20)
        await ledger.begin(intent("b", reserved=80))
        with pytest.raises(BudgetExceededError) as caught:
            await ledger.begin(intent("c", reserved=1))
        assert caught.value.what and caught.value.why and caught.value.do
        with pytest.raises(UnknownPriceError):
            await ledger.begin(intent("d", reserved=None))
        assert [it.key for it in await ledger.calls()] == ["a", "b"]
        assert await ledger.spent() == 100

    with_journal(url, work)


def test_fifty_calls_racing_for_the_last_five_get_five(url: str) -> None:
    """Budget for five, fifty begun at once: exactly five are recorded, forty-five are refused, nothing is overspent."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), 50)
        said = await asyncio.gather(*(ledger.begin(intent(f"k{n}")) for n in range(50)), return_exceptions=True)
        assert [type(it) for it in said].count(int) == 5
        assert [type(it) for it in said].count(BudgetExceededError) == 45
        assert len(await ledger.calls()) == 5
        assert await ledger.spent() == 50

    with_journal(url, work)


@pytest.mark.parametrize("charged", [None, -3])
def test_a_charge_that_cannot_be_true_costs_the_reservation(url: str, charged: int | None) -> None:
    """A missing or negative charge is taken as the worst case, whether the call was answered or failed."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), 100)
        await ledger.finish(await ledger.begin(intent("a", reserved=30)), ANSWER, charged)
        await ledger.fail(await ledger.begin(intent("b", reserved=20)), "x", charged)
        assert [it.charged for it in await ledger.calls()] == [30, 20]
        assert await ledger.spent() == 50

    with_journal(url, work)


def test_an_unknown_cost_is_unknown_and_never_nothing(url: str) -> None:
    """Without a price `spent` is None until the charge is known, and a budget that is set later refuses to guess."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        call = await ledger.begin(intent("a", reserved=None))
        assert await ledger.spent() is None
        with pytest.raises(UnknownPriceError):
            await journal.ledger(claim, 1000).begin(intent("b", reserved=1))
        await ledger.finish(call, ANSWER, 9)
        assert await ledger.spent() == 9
        await ledger.fail(await ledger.begin(intent("c", reserved=None)), "x", None)
        assert await ledger.spent() is None

    with_journal(url, work)


def test_calls_in_flight_when_the_worker_went_are_unknown_and_stay_charged(url: str) -> None:
    """A new claim turns old intents into `outcome_unknown` at their reserved cost; the old worker is too late."""

    async def work(journal: StoredJournal) -> None:
        old = journal.ledger(await new_run(journal), 100)
        done, lost = await old.begin(intent("a", reserved=30)), await old.begin(intent("b", reserved=30))
        await old.finish(done, ANSWER, 10)
        claim = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
        assert claim is not None
        new = journal.ledger(claim, 100)
        assert [(it.outcome, it.charged) for it in await new.calls()] == [("done", 10), ("outcome_unknown", 30)]
        assert await new.spent() == 40
        for refused in (old.begin(intent("c")), old.finish(lost, ANSWER, 1), old.fail(lost, "x", 0)):
            with pytest.raises(FencedError):
                await refused
        with pytest.raises(BudgetExceededError):
            await new.begin(intent("b", reserved=61))
        await new.begin(intent("b", reserved=60))
        assert [(it.key, it.attempt) for it in await new.calls()] == [("a", 1), ("b", 1), ("b", 2)]

    with_journal(url, work)


def test_a_call_that_was_handed_in_outlives_its_worker(url: str) -> None:
    """A new claim finds it under the provider's name for it, still reserved, and can settle it; once."""

    async def work(journal: StoredJournal) -> None:
        old = journal.ledger(await new_run(journal), 100)
        call = await old.begin(intent("a", reserved=30))
        assert await old.waiting("a", "h1") is None
        await old.submitted(call, "batch_✓")
        claim = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
        assert claim is not None
        new = journal.ledger(claim, 100)
        found = await new.waiting("a", "h1")
        assert found is not None
        assert (found.id, found.outcome, found.handle, found.reserved) == (call, "submitted", "batch_✓", 30)
        assert await new.calls() == [found]
        assert (await new.find("a", "h1"), await new.waiting("b", "h1"), await new.spent()) == (None, None, 30)
        with pytest.raises(CallConflictError, match="'a'"):
            await new.waiting("a", "h2")
        with pytest.raises(FencedError):
            await old.submitted(call, "another")
        await new.finish(call, ANSWER, 6)
        assert (await new.find("a", "h1"), await new.waiting("a", "h1"), await new.spent()) == (ANSWER, None, 6)
        with pytest.raises(StoreError):
            await new.finish(call, ANSWER, 6)

    with_journal(url, work)


def test_only_an_open_call_of_the_run_can_be_handed_in(url: str) -> None:
    """A settled one, one that was handed in before, another run's and an unknown one are errors and change nothing."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        other = journal.ledger(await new_run(journal, "run_b"), None)
        done, twice, failed = [await ledger.begin(intent(key)) for key in "abc"]
        await ledger.finish(done, ANSWER, 4)
        await ledger.submitted(twice, "first")
        await ledger.submitted(failed, "third")
        await ledger.fail(failed, "expired", 0)
        before = await ledger.calls()
        for who, call in ((ledger, done), (ledger, twice), (ledger, failed), (other, twice), (ledger, 999)):
            with pytest.raises(StoreError):
                await who.submitted(call, "second")
        assert await ledger.calls() == before
        assert [(it.outcome, it.handle) for it in before] == [("done", ""), ("submitted", "first"), ("failed", "third")]

    with_journal(url, work)


def test_a_call_is_settled_once_by_its_own_run(url: str) -> None:
    """A second settlement, an unknown call, and another run's call are errors and change no sum."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        other = journal.ledger(await new_run(journal, "run_b"), None)
        call = await ledger.begin(intent())
        await ledger.finish(call, ANSWER, 4)
        for refused in (
            ledger.finish(call, ANSWER, 5),
            ledger.fail(call, "x", 5),
            ledger.finish(call + 99, ANSWER, 5),
            other.finish(call, ANSWER, 5),
        ):
            with pytest.raises(StoreError):
                await refused
        assert (await ledger.spent(), await other.spent()) == (4, 0)

    with_journal(url, work)


def test_ledger_and_events_share_one_order(url: str) -> None:
    """Calls and appends made at once, over several runs, all land, and each run keeps its own sums."""

    async def one(journal: StoredJournal, number: int) -> tuple[int | None, int]:
        claim = await new_run(journal, f"run_{number}")
        ledger = journal.ledger(claim, 1000)
        for seq in range(2, 6):
            call = await ledger.begin(intent(f"k{seq}", reserved=9))
            await asyncio.gather(ledger.finish(call, ANSWER, number), journal.append(claim, [at(seq)]))
        return await ledger.spent(), len(await journal.events(claim.run_id))

    async def work(journal: StoredJournal) -> None:
        said = await asyncio.gather(*(one(journal, number) for number in range(10)))
        assert said == [(4 * number, 5) for number in range(10)]

    with_journal(url, work)


_AMOUNT = st.one_of(st.none(), st.integers(-5, 50))
_STEP = st.tuples(st.sampled_from(["finish", "fail", "leave"]), st.one_of(st.none(), st.integers(0, 50)), _AMOUNT)


async def _play(ledger: CallLedger, steps: list[tuple[str, int | None, int | None]]) -> None:
    for outcome, reserved, charged in steps:
        try:
            call = await ledger.begin(intent("k", reserved=reserved))
        except (BudgetExceededError, UnknownPriceError):
            continue
        if outcome == "finish":
            await ledger.finish(call, ANSWER, charged)
        elif outcome == "fail":
            await ledger.fail(call, "x", charged)


@given(st.lists(_STEP, max_size=12), st.one_of(st.none(), st.integers(0, 120)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_spent_is_always_the_sum_of_the_calls(
    sqlite_url: str, steps: list[tuple[str, int | None, int | None]], budget: int | None
) -> None:
    """The running sum equals the calls added up, in any history and after a new claim, and equals the twin's."""

    async def work(journal: StoredJournal) -> tuple[int | None, list[tuple[str, int | None, int | None]]]:
        number = len(await journal.runs(limit=10_000))
        claim = await new_run(journal, f"run_{number}")
        await _play(journal.ledger(claim, budget), steps)
        fresh = await journal.claim(claim.run_id, owner="w1", lease=1)
        assert fresh is not None
        ledger = journal.ledger(fresh, budget)
        calls = await ledger.calls()
        costs = [it.charged for it in calls]
        spent = await ledger.spent()
        assert spent == (None if None in costs else sum(it or 0 for it in costs))
        return spent, [(it.outcome, it.reserved, it.charged) for it in calls]

    assert with_journal(sqlite_url, work) == with_journal("memory:", work)
