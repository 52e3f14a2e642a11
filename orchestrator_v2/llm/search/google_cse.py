"""Google's Custom Search JSON API, by key and search engine id; for keys that exist already.

Source: https://developers.google.com/custom-search/v1. How requests travel is `http_json.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.search.http_json import ask, hits_of
from orchestrator_v2.llm.search.types import SearchHit

BASE_URL = "https://customsearch.googleapis.com"
_MOST = 10
LIST_PRICE = 5_000_000
NOTICE = "Google Custom Search is closed to new customers and ends on 2027-01-01: move to brave, tavily or ddgs."


class GoogleCustomSearch:
    name = "google_cse"
    notice = NOTICE

    def __init__(
        self, key: Secret, engine_id: Secret, *, base_url: str = BASE_URL, price: int | None = LIST_PRICE
    ) -> None:
        self._key = key
        self._engine_id = engine_id
        self._base_url = check_base_url(base_url)
        self.price = price

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        answer = await ask(
            "GET",
            self._base_url,
            "/customsearch/v1",
            # In a header rather than as ?key=, so that no log of URLs ever holds it.
            headers={"X-Goog-Api-Key": self._key.reveal()},
            params={"cx": self._engine_id.reveal(), "q": query, "num": min(max_results, _MOST)},
            secrets=(self._key, self._engine_id),
        )
        return hits_of(answer.get("items"), title="title", url="link", snippet="snippet", most=max_results)
