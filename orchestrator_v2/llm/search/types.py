"""The words of web search, and the seam of an engine.

Engines are one a file beside this; which one is used is `choosing.py`.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Mode = Literal["always", "auto", "never"]
# The value of `SearchConfig.engine` for the vendor's own search tool, which the model uses as it sees fit.
NATIVE = "native"


class SearchHit(msgspec.Struct, frozen=True):
    """One result as the engine gave it: hostile text until `quoting.py` has made it harmless."""

    title: str
    url: str
    snippet: str = ""


class SearchEngine(Protocol):
    """`price` is what one search may cost in nano-dollars (None: unknown); `notice` is told with each answer."""

    @property
    def name(self) -> str: ...

    @property
    def price(self) -> int | None: ...

    @property
    def notice(self) -> str: ...

    async def search(self, query: str, max_results: int) -> list[SearchHit]:
        """At most `max_results` hits, best first. Raises `ProviderError`, without a key in it."""
        ...


class SearchConfig(msgspec.Struct, frozen=True):
    """When and by whom. `engine` is a name of `choosing.ENGINES`, `auto`, `native`, or an engine itself.

    `auto` as mode searches only for prompts that need the present (`questions.py`). `max_results` holds for engines:
    a vendor's own tool takes no such number; `max_searches` holds for that tool.
    """

    engine: str | SearchEngine = "auto"
    mode: Mode = "auto"
    max_results: int = 5
    max_searches: int = 3


class Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a search gave, as it is recorded: with `failed` there are no hits, and it says why.

    With `allowed` it is the model that searches, so many times at most, and nothing was found beforehand.
    """

    engine: str
    hits: tuple[SearchHit, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""
    allowed: int = 0
