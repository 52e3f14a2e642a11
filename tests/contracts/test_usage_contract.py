"""What was used, by day, provider, model and project, the same on SQLite, PostgreSQL and in memory."""

from __future__ import annotations

from datetime import UTC, datetime

from account_cases import project
from journal_cases import new_run, with_journal

from orchestrator_v2.core.accounts import UsageLine
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.ledger import CallIntent, CallLedger
from orchestrator_v2.llm.tool_loop import PROVIDER
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.persistence.journal import StoredJournal

MIDNIGHT = datetime(2026, 11, 5, tzinfo=UTC).timestamp()


def answer(tokens_in: int = 5, tokens_out: int = 7) -> Completion:
    return Completion("an answer", usage=Usage(tokens_in, tokens_out, calls=1))


async def begin(ledger: CallLedger, model: str = "m", reserved: int | None = 10, provider: str = "anthropic") -> int:
    return await ledger.begin(CallIntent("k", "h", provider, model, reserved))


def test_calls_are_added_up_by_day_provider_model_and_project(url: str) -> None:
    """Each line has its own count, tokens and cost; newest day first, then by name; another owner has other lines."""
    clock = ManualClock(MIDNIGHT - 0.25)

    async def work(journal: StoredJournal) -> None:
        first = journal.ledger(await new_run(journal, "run_a", project_id="prj_a"), None)
        second = journal.ledger(await new_run(journal, "run_b", project_id="prj_b"), None)
        other = journal.ledger(await new_run(journal, "run_c", owner_id="bob"), None)
        await first.finish(await begin(first), answer(), 3)
        clock.advance(0.25)
        for ledger in (first, first, second):
            await ledger.finish(await begin(ledger), answer(100, 20), 6)
        await first.finish(await begin(first, "Z"), answer(), 0)
        await first.finish(await begin(first, provider="openai"), answer(), 1)
        await other.finish(await begin(other), answer(), 9)
        assert await journal.usage().lines("ann", since=0.0) == [
            UsageLine("2026-11-05", "anthropic", "Z", "prj_a", 1, 5, 7, 0),
            UsageLine("2026-11-05", "anthropic", "m", "prj_a", 2, 200, 40, 12),
            UsageLine("2026-11-05", "anthropic", "m", "prj_b", 1, 100, 20, 6),
            UsageLine("2026-11-05", "openai", "m", "prj_a", 1, 5, 7, 1),
            UsageLine("2026-11-04", "anthropic", "m", "prj_a", 1, 5, 7, 3),
        ]
        assert await journal.usage().lines("bob", since=0.0) == [
            UsageLine("2026-11-05", "anthropic", "m", "prj_a", 1, 5, 7, 9)
        ]
        assert await journal.usage().lines("nobody", since=0.0) == []

    with_journal(url, work, clock=clock)


def test_a_call_belongs_to_the_day_in_which_it_was_begun(url: str) -> None:
    """`since` is the first moment that counts, and an answer after midnight counts for the day before."""
    clock = ManualClock(MIDNIGHT - 1)

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        late = await begin(ledger)
        clock.advance(86_400.999)
        await ledger.finish(late, answer(), 4)
        await ledger.finish(await begin(ledger), answer(), 5)
        lines = await journal.usage().lines("ann", since=MIDNIGHT - 1)
        assert [(it.day, it.cost) for it in lines] == [("2026-11-05", 5), ("2026-11-04", 4)]
        assert [it.cost for it in await journal.usage().lines("ann", since=MIDNIGHT)] == [5]
        assert await journal.usage().lines("ann", since=MIDNIGHT + 86_400) == []

    with_journal(url, work, clock=clock)


def test_what_cost_nothing_and_gave_nothing_does_not_count(url: str) -> None:
    """Counted are answers, paid failures, calls handed in and calls lost in a crash; not an intent, not a tool."""

    async def work(journal: StoredJournal) -> None:
        old = journal.ledger(await new_run(journal), None)
        await begin(old, "lost", 9)
        claim = await journal.claim("run_a", owner="w2", lease=30, seize="w1")
        assert claim is not None
        ledger = journal.ledger(claim, None)
        await ledger.fail(await begin(ledger, "unbilled"), "x", 0)
        await ledger.fail(await begin(ledger, "billed"), "x", 2)
        await ledger.fail(await begin(ledger, "unknown", None), "x", None)
        await ledger.submitted(await begin(ledger, "handed in", 8), "batch_1")
        await ledger.finish(await begin(ledger, "send", 0, PROVIDER), answer(), 0)
        await begin(ledger, "under way")
        lines = await journal.usage().lines("ann", since=0.0)
        assert [(it.model, it.calls, it.input_tokens, it.cost) for it in lines] == [
            ("billed", 1, 0, 2),
            ("handed in", 1, 0, 8),
            ("lost", 1, 0, 9),
            ("unknown", 1, 0, None),
        ]

    with_journal(url, work, clock=ManualClock(MIDNIGHT))


def test_a_line_with_an_unknown_cost_is_unknown(url: str) -> None:
    """One call without a price makes its line's cost None, its tokens still count, and other lines keep theirs."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        await ledger.finish(await begin(ledger), answer(), 6)
        await ledger.finish(await begin(ledger, reserved=None), answer(), None)
        await ledger.finish(await begin(ledger, "n"), answer(), 6)
        lines = await journal.usage().lines("ann", since=0.0)
        assert [(it.model, it.calls, it.output_tokens, it.cost) for it in lines] == [("m", 2, 14, None), ("n", 1, 7, 6)]

    with_journal(url, work, clock=ManualClock(MIDNIGHT))


def test_tokens_that_cannot_be_true_lose_no_answer(url: str) -> None:
    """A negative or astronomical count is cut, and the answer that came with it is kept."""

    async def work(journal: StoredJournal) -> None:
        ledger = journal.ledger(await new_run(journal), None)
        absurd = answer(-5, 1 << 90)
        await ledger.finish(await begin(ledger), absurd, 6)
        assert await ledger.find("k", "h") == absurd
        (line,) = await journal.usage().lines("ann", since=0.0)
        assert (line.input_tokens, line.output_tokens) == (0, 1 << 40)

    with_journal(url, work, clock=ManualClock(MIDNIGHT))


def test_a_dropped_project_was_paid_for_all_the_same(url: str) -> None:
    """Its lines stay in the owner's usage."""

    async def work(journal: StoredJournal) -> None:
        await journal.projects().add(project("prj_a", "ann"))
        ledger = journal.ledger(await new_run(journal), None)
        await ledger.finish(await begin(ledger), answer(), 6)
        await journal.projects().drop("ann", "prj_a")
        assert [it.cost for it in await journal.usage().lines("ann", since=0.0)] == [6]

    with_journal(url, work, clock=ManualClock(MIDNIGHT))


def test_usage_outlives_the_process(stored_url: str) -> None:
    """The lines are the same when the database is opened anew."""

    async def before(journal: StoredJournal) -> list[UsageLine]:
        ledger = journal.ledger(await new_run(journal), None)
        await ledger.finish(await begin(ledger), answer(), 6)
        return await journal.usage().lines("ann", since=0.0)

    async def after(journal: StoredJournal) -> list[UsageLine]:
        return await journal.usage().lines("ann", since=0.0)

    first = with_journal(stored_url, before)
    assert len(first) == 1
    assert with_journal(stored_url, after) == first
