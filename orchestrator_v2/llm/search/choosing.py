"""Which engine is used: by name, or the first that has its key.

The engines are one a file beside this; their keys come from the environment that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from orchestrator_v2.core.errors import CredentialMissingError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.search.brave import BraveSearch
from orchestrator_v2.llm.search.ddgs import DdgsSearch
from orchestrator_v2.llm.search.google_cse import GoogleCustomSearch
from orchestrator_v2.llm.search.tavily import TavilySearch
from orchestrator_v2.llm.search.types import NATIVE, SearchEngine

AUTO = "auto"


class EngineRow(msgspec.Struct, frozen=True):
    """The environment variables of its keys, and what makes it of them, in that order."""

    variables: tuple[str, ...]
    create: Callable[..., SearchEngine]


# In the order in which `auto` looks; the last needs no key.
ENGINES: Mapping[str, EngineRow] = {
    "brave": EngineRow(("BRAVE_API_KEY",), BraveSearch),
    "tavily": EngineRow(("TAVILY_API_KEY",), TavilySearch),
    "google_cse": EngineRow(("GOOGLE_CSE_KEY", "GOOGLE_CSE_ID"), GoogleCustomSearch),
    "ddgs": EngineRow((), DdgsSearch),
}


def create_engine(name: str, environ: Mapping[str, str]) -> SearchEngine:
    """The engine of that name, or with `auto` the first that has its keys.

    Raises `UnknownNameError`, and `CredentialMissingError` naming the variable that is not set.
    """
    if name == AUTO:
        name = next(each for each, row in ENGINES.items() if not _missing(row, environ))
    if name not in ENGINES:
        raise UnknownNameError("search engine", name, [*ENGINES, AUTO, NATIVE])
    row = ENGINES[name]
    missing = _missing(row, environ)
    if missing:
        raise CredentialMissingError(
            f"There is no key for the search engine '{name}'.",
            f"{' and '.join(missing)} is not set.",
            "Set it, or use the engine ddgs, which needs none.",
        )
    return row.create(*(Secret(environ[variable]) for variable in row.variables))


def _missing(row: EngineRow, environ: Mapping[str, str]) -> list[str]:
    return [variable for variable in row.variables if not environ.get(variable, "").strip()]
