"""Lays what several places say of one model over each other: which place wins is decided here, once for all fields.

What the places are is `project_config.py` for models and `loader.py` for settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

# What is chosen for somebody, in the words of an entry of agent_assignments.
FIELDS = ("provider", "model", "base_url", "api_key", "reasoning", "search", "fallbacks")
# What was set for one provider is nothing for another: a name that it does not have, a key that is not for it.
OF_ONE_PROVIDER = frozenset({"model", "base_url", "api_key"})

# From the highest to the lowest, for what concerns models, keys and budgets, and for all other settings.
OF_MODELS = ("flag", "config file", "environment", ".env")
OF_THE_PROCESS = ("flag", "environment", ".env", "config file")
PLACES: Mapping[str, Sequence[str]] = dict.fromkeys(("provider", "model", "base_url", "budget_usd"), OF_MODELS)


class Source(msgspec.Struct, frozen=True):
    """Where a word stands: `place` is call, project, agent, user, environment or default; the rest for files."""

    place: str
    file: str = ""
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.place} ({self.file}, line {self.line}: {self.key})" if self.file else self.place


class Level(msgspec.Struct, frozen=True):
    """What one place says. `owner` is the provider that its words are for where it names none itself.

    Where `owner` is empty, too, they are for the provider that is named below it.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    owner: str = ""


def compose(levels: Sequence[Level]) -> tuple[dict[str, Any], dict[str, Source]]:
    """Each field from the highest level that has it, and where that was; `levels` go from high to low.

    A model, a base_url and a key that were set for another provider than the one that came out are left out.
    """
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    owners = _owners(levels)
    provider = next((str(level.values["provider"]) for level in levels if "provider" in level.values), "")
    for level, owner in zip(levels, owners, strict=True):
        for field, value in level.values.items():
            if field not in values and (owner == provider or field not in OF_ONE_PROVIDER):
                values[field] = value
                sources[field] = level.sources[field]
    return values, sources


def _owners(levels: Sequence[Level]) -> list[str]:
    owners: list[str] = []
    below = ""
    for level in reversed(levels):
        below = str(level.values.get("provider") or "") or level.owner or below
        owners.append(below)
    return owners[::-1]
