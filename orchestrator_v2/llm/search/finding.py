"""The search of one call: looked up in the ledger, else made and recorded there, so that a resumed call reads the same.

The row's key is KEY/search. Also a search that failed is recorded: the prompt was then sent without results, and must
be found again without them. What becomes of the results is `wrappers/search_augmented.py`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import BudgetError, ProviderError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.errors import unsettled_charge
from orchestrator_v2.llm.ledger import CallIntent, CallLedger, RecordedAnswers
from orchestrator_v2.llm.search.questions import needs_present, search_query
from orchestrator_v2.llm.search.quoting import clean_hits
from orchestrator_v2.llm.search.types import NATIVE, Found, Mode, SearchEngine, SearchHit
from orchestrator_v2.llm.types import Completion

WORK = "web-search"


class SearchOutcome(msgspec.Struct, frozen=True):
    """What was found, and what it cost."""

    found: Found
    usage: Usage


class RecordedSearch:
    """The reading half: what the ledger holds, and no search; a replay stands on it."""

    def __init__(self, ledger: RecordedAnswers | None) -> None:
        self._answers = ledger

    async def find(self, question: str, key: str) -> SearchOutcome | None:
        """None where no search was made for that call. Raises `CallConflictError` for another question."""
        if self._answers is None or not key:
            return None
        known = await self._answers.find(f"{key}/search", question_hash(question))
        if known is None:
            return None
        return SearchOutcome(msgspec.json.decode(known.text, type=Found), known.usage)


class LiveSearch(RecordedSearch):
    """Searches where nothing is recorded and the question wants it. `secrets` are kept out of the query."""

    def __init__(
        self,
        engine: SearchEngine,
        *,
        mode: Mode,
        max_results: int,
        clock: Clock,
        ledger: CallLedger | None = None,
        secrets: Sequence[Secret] = (),
    ) -> None:
        super().__init__(ledger)
        self._engine = engine
        self._mode = mode
        self._max_results = max_results
        self._clock = clock
        self._ledger = ledger
        self._secrets = tuple(secrets)

    async def find(self, question: str, key: str) -> SearchOutcome | None:
        """As recorded, else fresh; a search that cannot be made is an outcome too. Raises `StoreError`."""
        known = await super().find(question, key)
        if known is not None or not self._is_wanted(question):
            return known
        if self._ledger is None or not key:
            found, cost = await self._search(question)
            return SearchOutcome(found, Usage(cost=cost))
        return await self._search_on_record(self._ledger, question, key)

    def _is_wanted(self, question: str) -> bool:
        if self._mode != "auto":
            return self._mode == "always"
        return needs_present(question, datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC).year)

    async def _search_on_record(self, ledger: CallLedger, question: str, key: str) -> SearchOutcome:
        intent = CallIntent(f"{key}/search", question_hash(question), self._engine.name, WORK, self._engine.price)
        refused: BudgetError | None = None
        try:
            call_id = await ledger.begin(intent)
        except BudgetError as error:
            refused = error
            call_id = await ledger.begin(msgspec.structs.replace(intent, reserved=0))
        try:
            found, cost = await self._search(question) if refused is None else (self._failed(refused), 0)
        except BaseException as error:
            reserved = 0 if refused else self._engine.price
            await ledger.fail(
                call_id, f"{type(error).__name__}: the search was left.", unsettled_charge(error, reserved)
            )
            raise
        outcome = SearchOutcome(found, Usage(cost=cost))
        row = Completion(
            msgspec.json.encode(found).decode(),
            usage=outcome.usage,
            provenance=Provenance("real", self._engine.name, WORK),
        )
        await ledger.finish(call_id, row, cost)
        return outcome

    async def _search(self, question: str) -> tuple[Found, int | None]:
        query = redact(search_query(question), self._secrets)
        try:
            hits = await self._engine.search(query, self._max_results)
        except ProviderError as error:
            return self._failed(error), 0 if error.unbilled else self._engine.price
        notes = (self._engine.notice,) if self._engine.notice else ()
        return Found(self._engine.name, clean_hits(hits, self._max_results), notes), self._engine.price

    def _failed(self, error: ProviderError | BudgetError) -> Found:
        notice = (self._engine.notice,) if self._engine.notice else ()
        return Found(self._engine.name, notes=notice, failed=redact(f"{error.code}: {error}", self._secrets)[:300])


class NativeSearch(LiveSearch):
    """Searches nothing itself: puts on record that the model may, so that a resumed call asks for the same."""

    def __init__(self, most: int, *, mode: Mode, clock: Clock, ledger: CallLedger | None = None) -> None:
        super().__init__(_Own(), mode=mode, max_results=0, clock=clock, ledger=ledger)
        self._most = most

    async def _search(self, question: str) -> tuple[Found, int | None]:
        return Found(NATIVE, allowed=self._most), 0


class _Own:
    """The vendor's own tool in an engine's place; what it does is charged with the answer."""

    name, price, notice = NATIVE, 0, ""

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        return []


def question_hash(question: str) -> str:
    """SHA-256 in hex over the question alone: another engine or year finds the recorded search all the same."""
    return hashlib.sha256(b"search\n" + question.encode("utf-8", "surrogatepass")).hexdigest()
