"""Puts what a web search found before the model, quoted in the user's turn, or lets the model search; says so.

The search and its record are `llm/search/finding.py`, the quoting is `llm/search/quoting.py`. It stands outermost, so
that all sendings of one call hold the same results.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.search.finding import RecordedSearch, SearchOutcome
from orchestrator_v2.llm.search.quoting import quoted_block, sources_of
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class SearchAugmentedLlm(Wrapper):
    """Asks `search` for the last message, where that is the user's and no result of a tool."""

    def __init__(self, inner: Invoker, search: RecordedSearch) -> None:
        super().__init__(inner)
        self._search = search

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The answer with `sources`; without results, but never unsaid, where the search failed."""
        outcome = None
        if messages and messages[-1].role == "user" and not messages[-1].tool_results:
            outcome = await self._search.find(messages[-1].content, key)
        if outcome is None:
            return await self.inner.invoke(messages, options, key=key, sink=sink)
        if outcome.found.hits:
            asked = messages[-1]
            content = f"{asked.content}\n\n{quoted_block(outcome.found.hits)}"
            messages = (*messages[:-1], msgspec.structs.replace(asked, content=content))
        if outcome.found.allowed:
            options = msgspec.structs.replace(options, native_search=outcome.found.allowed)
        completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        return _with_sources(completion, outcome)


def _with_sources(completion: Completion, outcome: SearchOutcome) -> Completion:
    found = outcome.found
    said = found.notes
    if found.failed:
        said = (*said, f"The web search ({found.engine}) failed, the answer is made without it: {found.failed}")
    elif found.allowed:
        said = said if completion.searches else (*said, "The model did not use its own web search.")
    elif not found.hits:
        said = (*said, f"The web search ({found.engine}) found nothing.")
    return msgspec.structs.replace(
        completion,
        sources=(*completion.sources, *sources_of(found.hits)),
        notes=(*completion.notes, *said),
        usage=completion.usage + outcome.usage,
    )
