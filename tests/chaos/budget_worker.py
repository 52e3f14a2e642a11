"""A process that takes its part in races for money: it reads rounds as JSON lines, and says what came of each.

    python budget_worker.py DATABASE_URL WORKER_NUMBER

Who starts it, and what has to hold of the ledger, is `test_budget_races.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from journal_cases import new_run

from orchestrator_v2.core.accounts import Ceilings
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import BudgetError, ProviderError, ProviderUnavailableError, RateLimitedError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

MODEL = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))
OPTIONS = InvokeOptions(max_tokens=1_000)
ASK = (Message("user", "Build a clock."),)
# What the provider says it counted: input and output tokens.
USAGES = {
    "honest": (40, 900),
    "dear": (400, 999),
    "missing": (0, 0),
    "negative": (40, -7_000_000),
    "absurd": (40, 1 << 50),
}
FAILURES: dict[str, type[ProviderError]] = {"down": ProviderUnavailableError, "busy": RateLimitedError}


class Round(msgspec.Struct, frozen=True):
    """`calls` at once over `runs` runs of `owner`; under a `budget` for each run, or a `ceiling` for the owner."""

    owner: str
    seed: int
    calls: int
    runs: int
    budget: int | None = None
    ceiling: int | None = None


class Erratic:
    """A provider that counts wrongly, fails and asks for pauses, by chance; it notes how often each."""

    needs_credential = False
    provider, model = MODEL.provider, MODEL.model

    def __init__(self) -> None:
        self.random = Random(0)
        self.did: Counter[str] = Counter()

    def missing_extra(self) -> str:
        return ""

    def connect(self, connection: Any) -> Erratic:
        return self

    async def invoke(self, messages: Sequence[Message], options: Any = None, **more: Any) -> Completion:
        kind = self.random.choice([*USAGES, *FAILURES])
        self.did[kind] += 1
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        if kind in FAILURES:
            error = FAILURES[kind]("not now")
            error.unbilled = kind == "busy"
            raise error
        sent, given = USAGES[kind]
        return Completion("an answer", usage=Usage(sent, given, calls=1), provenance=Provenance("real", *_NAMES))

    async def aclose(self) -> None:
        """Nothing is open."""


_NAMES = (MODEL.provider, MODEL.model)


async def _call(factory: LLMFactory, ledger: CallLedger, key: str) -> str:
    client = factory.create_client(MODEL, ledger=ledger, retry=RetryConfig(max_attempts=3))
    try:
        await client.invoke(ASK, OPTIONS, key=key)
    except BudgetError:
        return "refused"
    except ProviderError:
        return "failed"
    return "done"


async def raced(journal: StoredJournal, round: Round, worker: int) -> Counter[str]:
    """How the calls ended, and what the provider did."""
    erratic = Erratic()
    erratic.random = Random(round.seed * 2 + worker)
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(round.seed))
    factory.register_provider(MODEL.provider, erratic)
    names = [f"{round.owner}-{worker}-{number}" for number in range(round.runs)]
    claims = [await new_run(journal, name, owner_id=round.owner) for name in names]
    ceilings = None if round.ceiling is None else Ceilings(round.owner, daily=round.ceiling)
    ledgers = [journal.ledger(claim, round.budget, ceilings) for claim in claims]
    ended = await asyncio.gather(
        *(_call(factory, ledgers[number % round.runs], f"k{number}") for number in range(round.calls))
    )
    return Counter(ended) + erratic.did


async def main(url: str, worker: int) -> None:
    journal = await open_journal(url, clock=ManualClock())
    try:
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            found = await raced(journal, msgspec.json.decode(line, type=Round), worker)
            sys.stdout.buffer.write(msgspec.json.encode(dict(found)) + b"\n")
            sys.stdout.buffer.flush()
    finally:
        await journal.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
