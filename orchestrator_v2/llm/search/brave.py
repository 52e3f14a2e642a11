"""Brave's web search API, by key.

Source: https://api-dashboard.search.brave.com/docs. How requests travel is `http_json.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.search.http_json import ask, hits_of
from orchestrator_v2.llm.search.types import SearchHit

BASE_URL = "https://api.search.brave.com"
_MOST = 20
# The dearest plan's price for one query, so that a budget is never undercut.
LIST_PRICE = 9_000_000


class BraveSearch:
    name = "brave"
    notice = ""

    def __init__(self, key: Secret, *, base_url: str = BASE_URL, price: int | None = LIST_PRICE) -> None:
        self._key = key
        self._base_url = check_base_url(base_url)
        self.price = price

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        answer = await ask(
            "GET",
            self._base_url,
            "/res/v1/web/search",
            headers={"X-Subscription-Token": self._key.reveal()},
            params={"q": query, "count": min(max_results, _MOST)},
            secrets=(self._key,),
        )
        web = answer.get("web")
        rows = web.get("results") if isinstance(web, dict) else []
        return hits_of(rows, title="title", url="url", snippet="description", most=max_results)
