"""An owner's daily and monthly ceilings over all runs at once, the same on SQLite, PostgreSQL and in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_cases import intent, new_run, with_journal

from orchestrator_v2.core.accounts import Ceilings
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import BudgetExceededError, FencedError, StoreError, UnknownPriceError
from orchestrator_v2.core.usage import NANO
from orchestrator_v2.engine.ports import Claim
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

ANSWER = Completion("an answer")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def fits(journal: StoredJournal, claim: Claim, ceilings: Ceilings, reserved: int = 1) -> bool:
    """Whether a call of that worst case would be let through; it is settled at nothing if it was."""
    ledger = journal.ledger(claim, None, ceilings)
    try:
        call = await ledger.begin(intent("probe", reserved=reserved))
    except BudgetExceededError:
        return False
    await ledger.fail(call, "only asked", 0)
    return True


def test_a_ceiling_is_held_over_all_runs_of_the_owner(url: str) -> None:
    """What one run has charged or reserved leaves less for the next; to the last nano-dollar it may be used."""

    async def work(journal: StoredJournal) -> None:
        first, second = await new_run(journal, "run_a"), await new_run(journal, "run_b")
        other = await new_run(journal, "run_c", owner_id="bob")
        ceilings = Ceilings("ann", daily=100)
        ledger = journal.ledger(first, None, ceilings)
        await ledger.finish(await ledger.begin(intent("a", reserved=90)), ANSWER, 30)
        await ledger.begin(intent("b", reserved=50))
        assert not await fits(journal, second, ceilings, 21)
        assert await fits(journal, other, Ceilings("bob", daily=100), 100)
        await journal.ledger(second, None, ceilings).begin(intent("c", reserved=20))
        assert not await fits(journal, first, ceilings, 1)
        assert await fits(journal, first, ceilings, 0)

    with_journal(url, work)


@pytest.mark.parametrize(
    ("ceilings", "words"),
    [
        (Ceilings("ann", daily=NANO), ("your daily ceiling", "$1.00", "2026-12-01 at 00:00 UTC")),
        (Ceilings("ann", daily=NANO, monthly=10 * NANO), ("your daily ceiling", "$1.00", "2026-12-01 at 00:00 UTC")),
        (Ceilings("ann", monthly=2 * NANO), ("your monthly ceiling", "$2.00", "2026-12-01 at 00:00 UTC")),
        (Ceilings("ann", 9 * NANO, 2 * NANO), ("your monthly ceiling", "$2.00", "2026-12-01 at 00:00 UTC")),
    ],
    ids=["day", "day-first", "month", "month-alone"],
)
def test_a_refusal_says_which_ceiling_and_when_it_begins_anew(
    url: str, ceilings: Ceilings, words: tuple[str, ...]
) -> None:
    """The nearer one that is full, its figure, and the day it starts again; and nothing is written."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None, ceilings)
        with pytest.raises(BudgetExceededError) as caught:
            await ledger.begin(intent("a", reserved=3 * NANO))
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert await ledger.calls() == []
        assert await ledger.spent() == 0

    with_journal(url, work, clock=ManualClock(moment("2026-11-30T23:59:59")))


def test_a_day_and_a_month_begin_anew_at_midnight_utc(url: str) -> None:
    """At the last second of the day it is full, at the next it is empty; the month is full until the month ends."""
    clock = ManualClock(moment("2026-11-29T23:59:59"))

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        await ledger.finish(await ledger.begin(intent("a", reserved=60)), ANSWER, 60)
        day, month = Ceilings("ann", daily=60), Ceilings("ann", monthly=60)
        assert [await fits(journal, claim, it) for it in (day, month)] == [False, False]
        clock.advance(1)
        assert [await fits(journal, claim, it) for it in (day, month)] == [True, False]
        clock.advance(86_399)
        assert [await fits(journal, claim, it) for it in (day, month)] == [True, False]
        clock.advance(1)
        assert [await fits(journal, claim, it) for it in (day, month)] == [True, True]

    with_journal(url, work, clock=clock)


def test_a_call_is_settled_in_the_period_of_its_reservation(url: str) -> None:
    """Answered after midnight, it lowers yesterday's sum, not today's; also when no ceiling is set by then."""
    clock = ManualClock(moment("2026-11-30T23:00:00"))

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        late, other = [await ledger.begin(intent(key, reserved=50)) for key in ("late", "other")]
        clock.advance(7200)
        today = await ledger.begin(intent("today", reserved=30))
        await ledger.finish(late, ANSWER, 10)
        await ledger.fail(other, "x", 0)
        assert not await fits(journal, claim, Ceilings("ann", daily=30))
        assert await fits(journal, claim, Ceilings("ann", daily=31))
        assert await fits(journal, claim, Ceilings("ann", monthly=31))
        await ledger.finish(today, ANSWER, 80)
        assert not await fits(journal, claim, Ceilings("ann", daily=80))
        clock.advance(-7200)
        assert not await fits(journal, claim, Ceilings("ann", daily=10))
        assert await fits(journal, claim, Ceilings("ann", daily=11))
        assert await fits(journal, claim, Ceilings("ann", monthly=11))

    with_journal(url, work, clock=clock)


def test_a_ceiling_that_is_set_later_knows_what_was_spent(url: str) -> None:
    """Calls without any ceiling count; a call that was lost in a crash stays counted at its reservation."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        await ledger.finish(await ledger.begin(intent("a", reserved=30)), ANSWER, 20)
        await ledger.begin(intent("lost", reserved=30))
        submitted = await ledger.begin(intent("batch", reserved=30))
        await ledger.submitted(submitted, "batch_1")
        taken = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
        assert taken is not None
        assert not await fits(journal, taken, Ceilings("ann", daily=80))
        assert await fits(journal, taken, Ceilings("ann", daily=81))
        await journal.ledger(taken, None).finish(submitted, ANSWER, 1)
        assert not await fits(journal, taken, Ceilings("ann", monthly=51))
        assert await fits(journal, taken, Ceilings("ann", monthly=52))

    with_journal(url, work)


def test_an_unknown_price_is_refused_under_a_ceiling(url: str) -> None:
    """The call itself without a price, or an earlier one of the same period; no ceiling, or another day, does not."""
    clock = ManualClock(moment("2026-11-05T12:00:00"))

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        day, month = Ceilings("ann", daily=1000), Ceilings("ann", monthly=1000)
        for ceilings in (day, month):
            with pytest.raises(UnknownPriceError, match="ceiling"):
                await journal.ledger(claim, None, ceilings).begin(intent("a", reserved=None))
        free = journal.ledger(claim, None, Ceilings("ann"))
        call = await free.begin(intent("a", reserved=None))
        with pytest.raises(UnknownPriceError, match="ceiling"):
            await journal.ledger(claim, None, day).begin(intent("b"))
        clock.advance(86_400)
        assert await fits(journal, claim, day)
        with pytest.raises(UnknownPriceError, match="monthly"):
            await journal.ledger(claim, None, month).begin(intent("b"))
        await free.finish(call, ANSWER, 400)
        assert await fits(journal, claim, month, 600)
        assert not await fits(journal, claim, month, 601)

    with_journal(url, work, clock=clock)


def test_a_refused_or_failing_call_moves_no_sum(url: str) -> None:
    """Over the run's budget, over a ceiling, of an old claim, settled twice: what is left is what it was."""

    async def work(journal: StoredJournal) -> None:
        claim = await new_run(journal)
        ceilings = Ceilings("ann", daily=100, monthly=100)
        ledger = journal.ledger(claim, 50, ceilings)
        call = await ledger.begin(intent("a", reserved=40))
        await ledger.finish(call, ANSWER, 40)
        with pytest.raises(BudgetExceededError, match="does not fit the budget"):
            await ledger.begin(intent("b", reserved=20))
        with pytest.raises(BudgetExceededError, match="daily"):
            await journal.ledger(claim, None, ceilings).begin(intent("b", reserved=61))
        with pytest.raises(BudgetExceededError, match="monthly"):
            await journal.ledger(claim, None, Ceilings("ann", 1000, 100)).begin(intent("b", reserved=61))
        with pytest.raises(StoreError):
            await ledger.finish(call, ANSWER, 90)
        with pytest.raises(FencedError):
            await journal.ledger(Claim("run_a", claim.run_no, 99), None).begin(intent("b", reserved=60))
        assert await fits(journal, claim, ceilings, 60)
        assert not await fits(journal, claim, ceilings, 61)

    with_journal(url, work)


def test_fifty_calls_of_several_runs_racing_for_the_last_five_get_five(url: str) -> None:
    """Ten runs of one owner, fifty calls begun at once: exactly five are recorded over all of them."""

    async def work(journal: StoredJournal) -> None:
        claims = [await new_run(journal, f"run_{n}") for n in range(10)]
        ceilings = Ceilings("ann", daily=70, monthly=50)
        ledgers = [journal.ledger(claim, None, ceilings) for claim in claims]
        begins = (ledgers[n % 10].begin(intent(f"k{n}")) for n in range(50))
        said = await asyncio.gather(*begins, return_exceptions=True)
        assert [type(it) for it in said].count(int) == 5
        assert [type(it) for it in said].count(BudgetExceededError) == 45
        assert sum([len(await ledger.calls()) for ledger in ledgers]) == 5

    with_journal(url, work)


def test_a_ceiling_holds_across_several_connections(stored_url: str) -> None:
    """Three processes, each with runs of its own, settling and beginning at once: never a nano-dollar too much."""

    async def one(journal: StoredJournal, claim: Claim, count: int) -> int:
        ledger = journal.ledger(claim, None, Ceilings("ann", daily=100))
        charged = 0
        for number in range(count):
            try:
                call = await ledger.begin(intent(f"k{number}", reserved=10))
            except BudgetExceededError:
                continue
            await ledger.finish(call, ANSWER, 7)
            charged += 7
        return charged

    async def whole() -> None:
        journals = [await open_journal(stored_url, clock=ManualClock()) for _ in range(3)]
        claims = [await new_run(journal, f"run_{n}-{k}") for n, journal in enumerate(journals) for k in range(4)]
        spent = await asyncio.gather(*(one(journals[n // 4], claim, 5) for n, claim in enumerate(claims)))
        # Thirteen calls of 7 leave 9, which no worst case of 10 fits into.
        assert sum(spent) == 91
        assert not await fits(journals[0], claims[0], Ceilings("ann", daily=100), 10)
        assert await fits(journals[1], claims[0], Ceilings("ann", daily=100), 9)
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(whole())


def test_an_unlimited_call_beside_a_limited_one_is_counted(stored_url: str) -> None:
    """A process that knows of no ceiling spends too, in the same group and in another: the sum holds both."""

    async def whole() -> None:
        journals = [await open_journal(stored_url, clock=ManualClock()) for _ in range(2)]
        claims = [await new_run(journal, f"run_{n}") for n, journal in enumerate(journals)]
        free = [journal.ledger(claim, None) for journal, claim in zip(journals, claims, strict=True)]
        limited = journals[0].ledger(claims[0], None, Ceilings("ann", daily=1000))
        begins = [it.begin(intent(f"k{n}")) for n in range(20) for it in (*free, limited)]
        await asyncio.gather(*begins)
        assert await fits(journals[0], claims[0], Ceilings("ann", daily=601))
        assert not await fits(journals[0], claims[0], Ceilings("ann", daily=600))
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(whole())


def test_spending_outlives_the_process(stored_url: str) -> None:
    """What was reserved and charged is still held against the ceiling when the database is opened anew."""

    async def before(journal: StoredJournal) -> Claim:
        claim = await new_run(journal)
        ledger = journal.ledger(claim, None)
        await ledger.finish(await ledger.begin(intent("a", reserved=50)), ANSWER, 20)
        await ledger.begin(intent("b", reserved=30))
        return claim

    async def after(journal: StoredJournal) -> None:
        assert not await fits(journal, claim, Ceilings("ann", daily=50))
        assert await fits(journal, claim, Ceilings("ann", daily=51))

    claim = with_journal(stored_url, before)
    with_journal(stored_url, after)


_AMOUNT = st.one_of(st.none(), st.integers(-5, 50))
Step = tuple[int, str, int | None, int | None, float]
_STEP = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["finish", "fail", "leave", "submit", "settle-last", "new-claim"]),
    st.one_of(st.none(), st.integers(0, 50)),
    _AMOUNT,
    st.sampled_from([0.0, 1.0, 40_000.0, 90_000.0]),
)
_CEILING = st.one_of(st.none(), st.integers(0, 200))


class Play:
    """Three runs of one owner, and the calls that each has open."""

    def __init__(self, journal: StoredJournal, claims: list[Claim], ceilings: Ceilings) -> None:
        self.journal = journal
        self.claims = claims
        self.ceilings = ceilings
        self.open: list[tuple[int, int]] = []

    async def step(self, which: int, deed: str, reserved: int | None, charged: int | None) -> None:
        if deed == "new-claim":
            fresh = await self.journal.claim(self.claims[which].run_id, owner="w1", lease=30)
            assert fresh is not None
            self.claims[which] = fresh
            self.open = [it for it in self.open if it[0] != which]
        elif deed == "settle-last" and self.open:
            other, call = self.open.pop()
            await self.journal.ledger(self.claims[other], None).finish(call, ANSWER, charged)
        else:
            await self.call(which, deed, reserved, charged)

    async def call(self, which: int, deed: str, reserved: int | None, charged: int | None) -> None:
        ledger = self.journal.ledger(self.claims[which], None, self.ceilings)
        try:
            call = await ledger.begin(intent("k", reserved=reserved))
        except (BudgetExceededError, UnknownPriceError):
            return
        if deed == "finish":
            await ledger.finish(call, ANSWER, charged)
        elif deed == "fail":
            await ledger.fail(call, "x", charged)
        elif deed == "submit":
            await ledger.submitted(call, "b")
        else:
            self.open.append((which, call))


async def _calls(journal: StoredJournal, claims: list[Claim]) -> list[CallRow]:
    return [row for claim in claims for row in await journal.recorded_calls(claim.run_id)]


def _sum(calls: list[CallRow], period: str) -> tuple[int, bool]:
    """(nano-dollars, whether all are known) of the calls begun in a UTC day or month."""
    rows = [it for it in calls if datetime.fromtimestamp(it.at, UTC).isoformat().startswith(period)]
    costs = [it.reserved if it.outcome in ("intent", "submitted") else it.charged for it in rows]
    return sum(it or 0 for it in costs), None not in costs


async def _holds(journal: StoredJournal, claim: Claim, ceilings: Ceilings, expected: tuple[int, bool]) -> None:
    """Just the sum fits a free call, a nano-dollar less does not; and with an unknown cost nothing does."""
    (spent, known), owner = expected, ceilings.owner_id
    for less, wanted in ((0, known), (1, False)):
        daily, monthly = (None if it is None else spent - less for it in (ceilings.daily, ceilings.monthly))
        ledger = journal.ledger(claim, None, Ceilings(owner, daily, monthly))
        try:
            await ledger.begin(intent("asked", reserved=0))
        except (BudgetExceededError, UnknownPriceError) as error:
            assert not wanted and isinstance(error, UnknownPriceError) is not known
        else:
            assert wanted


@given(st.lists(_STEP, max_size=14), _CEILING, _CEILING)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spending_is_always_the_sum_of_the_calls(
    sqlite_url: str, steps: list[Step], daily: int | None, monthly: int | None
) -> None:
    """In any history over runs, days and claims the sum of a day and of a month is its calls added up, on each twin."""

    async def work(journal: StoredJournal) -> list[tuple[str, float, int | None, int | None]]:
        number = len(await journal.runs(limit=10_000))
        clock, owner = clocks[-1], f"owner {number}"
        claims = [await new_run(journal, f"run_{number + n}", owner_id=owner) for n in range(4)]
        play = Play(journal, claims[:3], Ceilings(owner, daily, monthly))
        for which, deed, reserved, charged, pause in steps:
            clock.advance(pause)
            await play.step(which, deed, reserved, charged)
        calls = await _calls(journal, play.claims)
        for day in sorted({datetime.fromtimestamp(it.at, UTC).isoformat()[:10] for it in calls}):
            clock.advance(moment(day) - clock.now())
            await _holds(journal, claims[3], Ceilings(owner, daily=0), _sum(calls, day))
            await _holds(journal, claims[3], Ceilings(owner, monthly=0), _sum(calls, day[:7]))
        return [(it.outcome, it.at, it.reserved, it.charged) for it in calls]

    played = []
    for where in (sqlite_url, "memory:"):
        clocks = [ManualClock(moment("2026-11-29T12:00:00"))]
        played.append(with_journal(where, work, clock=clocks[-1]))
    assert played[0] == played[1]
