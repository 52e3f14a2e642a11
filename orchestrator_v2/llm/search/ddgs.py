"""DuckDuckGo through the `ddgs` package, without a key; it is synchronous, so it runs in a thread.

A search that is given up goes on in its thread until its own timeout. Other engines are one a file beside this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator_v2.core.errors import ProviderError, ProviderUnavailableError, RateLimitedError
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.search.http_json import hits_of, not_installed
from orchestrator_v2.llm.search.types import SearchHit

SECONDS = 10
_NOTHING_FOUND = "No results found."
# The package's exceptions by class name, so that it is imported by nobody but `_connect`.
_BY_NAME: Mapping[str, type[ProviderError]] = {"RatelimitException": RateLimitedError}


def _connect() -> Any:
    try:
        from ddgs import DDGS
    except ImportError:
        raise not_installed("The package for DuckDuckGo") from None
    return DDGS(timeout=SECONDS)


class DdgsSearch:
    """`connect` gives an object with `text(query, max_results=…, backend=…)`, the package's `DDGS` by default."""

    name = "ddgs"
    price = 0
    notice = ""

    def __init__(self, connect: Callable[[], Any] = _connect) -> None:
        self._connect = connect

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        rows = await asyncio.to_thread(self._ask, query, max_results)
        return hits_of(rows, title="title", url="href", snippet="body", most=max_results)

    def _ask(self, query: str, max_results: int) -> object:
        try:
            return self._connect().text(query, max_results=max_results, backend="duckduckgo")
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001 - the package lets through what its HTTP layers raise
            if str(exc) == _NOTHING_FOUND:
                return []
            kind = _BY_NAME.get(type(exc).__name__, ProviderUnavailableError)
            raise make_error(kind, f"{type(exc).__name__}: {exc}", unbilled=True) from None
