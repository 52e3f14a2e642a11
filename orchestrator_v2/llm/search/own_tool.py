"""Whether a model has a search tool of its vendor's on the wire that is spoken here; the refusal of one without.

Which has one is data, in `vendors/*.json`; how the tool is asked for and read is each provider's file.
"""

from __future__ import annotations

from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.errors import unsupported


def own_tool(info: ModelInfo) -> str:
    """The tool's name on the wire. Raises `RequestRejectedError`, unsent, for a model that has none."""
    if not info.facts.native_search:
        raise no_own_tool(info)
    return info.facts.native_search


def no_own_tool(info: ModelInfo) -> RequestRejectedError:
    """The refusal, which says what can be used instead."""
    return unsupported(
        f"The model '{info.name}' of {info.provider} has no search tool of its own that can be used here.",
        "Search with ddgs, brave, tavily or auto instead.",
    )
