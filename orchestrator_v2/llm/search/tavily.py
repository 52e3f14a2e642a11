"""Tavily's search API, by key.

Source: https://docs.tavily.com. How requests travel is `http_json.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.search.http_json import ask, hits_of
from orchestrator_v2.llm.search.types import SearchHit

BASE_URL = "https://api.tavily.com"
_MOST = 20
# One credit, as it is sold without a plan.
LIST_PRICE = 8_000_000


class TavilySearch:
    name = "tavily"
    notice = ""

    def __init__(self, key: Secret, *, base_url: str = BASE_URL, price: int | None = LIST_PRICE) -> None:
        self._key = key
        self._base_url = check_base_url(base_url)
        self.price = price

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        answer = await ask(
            "POST",
            self._base_url,
            "/search",
            headers={"Authorization": f"Bearer {self._key.reveal()}"},
            body={"query": query, "max_results": min(max_results, _MOST)},
            secrets=(self._key,),
        )
        return hits_of(answer.get("results"), title="title", url="url", snippet="content", most=max_results)
