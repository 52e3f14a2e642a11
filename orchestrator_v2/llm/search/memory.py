"""An engine that gives prepared hits and remembers the queries; the in-memory twin of the others, for tests.

The ones that ask the web are one a file beside this.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.llm.search.types import SearchHit


class MemorySearch:
    """`hits` for every query, or `error` raised for every one."""

    name = "memory"

    def __init__(
        self,
        hits: Sequence[SearchHit] = (),
        *,
        error: Exception | None = None,
        price: int | None = 0,
        notice: str = "",
    ) -> None:
        self._hits = list(hits)
        self._error = error
        self.price = price
        self.notice = notice
        self.queries: list[str] = []

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        self.queries.append(query)
        if self._error is not None:
            raise self._error
        return self._hits[:max_results]
