"""Which model somebody works with and what it may cost, in names: the project's files laid over the settings.

The one order is call > project > agent > user > environment > default. Keys are `model_keys.py`; what is wrong with a
choice is `project_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.config.agent_names import role_of
from orchestrator_v2.config.layers import FIELDS, Level, Source, compose
from orchestrator_v2.config.model_keys import variable_of
from orchestrator_v2.config.problems import dotted
from orchestrator_v2.config.project_file import Document, Key, Project
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice

# What the settings' places are called in the one order.
_PLACES = {"flag": "call", "config file": "user", "environment": "environment", ".env": "environment"}
# The words that take back what a lower place asked for.
_NOTHING = {"reasoning": "default", "search": "off"}


class Chosen(msgspec.Struct, frozen=True):
    """The model of `agent` (empty: of the run), and where each of its words stands."""

    agent: str
    model: ModelChoice
    sources: Mapping[str, Source]


class Shares(msgspec.Struct, frozen=True):
    """A budget as it is configured: `limit` in nano-dollars (None: nobody says), the others as shares of it."""

    limit: int | None = None
    alert: float | None = None
    downgrade: float | None = None
    block: float = 1.0
    cheaper: ModelChoice | None = None

    def ceiling(self, limit: int | None) -> int | None:
        """Nano-dollars past which nothing is sent."""
        return None if limit is None else _share(limit, self.block)

    def rules(self, limit: int | None) -> BudgetRules:
        """The thresholds below it. Raises `ConfigError` where there are some, and no limit that they are shares of."""
        if self.alert is None and self.downgrade is None:
            return BudgetRules()
        if limit is None:
            raise ConfigError(
                "The budget cannot be watched.",
                "Reason: alert_at and downgrade_at are shares of a limit, and there is none.",
                "Set budget.limit_usd in the project's configuration, or give --budget.",
            )
        alert = None if self.alert is None else _share(limit, self.alert)
        downgrade = None if self.downgrade is None else _share(limit, self.downgrade)
        return BudgetRules(alert, downgrade, self.cheaper)


class Chooser(msgspec.Struct, frozen=True):
    """The settings with the place of each, and the project's files where there are some."""

    settings: Settings
    places: Mapping[str, str]
    project: Project | None = None

    def choose(self, agent: str = "", above: Sequence[Level] = ()) -> Chosen:
        """The model of that agent (a role or an alias; empty: of the run); `above` are a call's own levels.

        Raises `UnknownNameError`.
        """
        role = role_of(agent) if agent else ""
        values, sources = compose([*above, *self._levels(role)])
        spares = tuple(self.spare(entry) for entry in values.get("fallbacks", ()))
        return Chosen(role, _choice(values, spares), sources)

    def agents(self) -> list[str]:
        """The roles of which something is said for them alone."""
        if self.project is None:
            return []
        return sorted({*map(role_of, self._top.get("agent_assignments", {})), *self.project.agents})

    def word(self, name: str) -> str:
        """A plain word of the project's file, such as `mode`; empty where it is not there."""
        return str(self._top.get(name, ""))

    def shares(self) -> Shares:
        """The budget: the limit of the project, else that of the settings; a flag is a call's own word."""
        said, limit = self._top.get("budget", {}), self.settings.budget_usd
        if self.places.get("budget_usd") != "flag":
            limit = said.get("limit_usd", limit)
        cheaper = said.get("downgrade_to")
        return Shares(
            None if limit is None else nano_usd(limit),
            said.get("alert_at"),
            said.get("downgrade_at"),
            said.get("block_at", 1.0),
            None if cheaper is None else self.spare(cheaper),
        )

    def spare(self, entry: object) -> ModelChoice:
        """A fallback or the cheaper model; of what is below it holds the settings' own server alone."""
        words = as_words(entry)
        values, _ = compose([Level(words, dict.fromkeys(words, Source("project"))), *self._settings()])
        return _choice({**values, "model": words["model"], "reasoning": words.get("reasoning", "")}, ())

    @property
    def _top(self) -> Mapping[str, Any]:
        document = self.project.document if self.project is not None else None
        return {} if document is None else document.data

    def _levels(self, role: str) -> list[Level]:
        flags, rest = self._settings()
        return [flags, *(project_levels(self.project, role) if self.project is not None else ()), rest]

    def _settings(self) -> tuple[Level, Level]:
        """The flags among the settings, and all the others. Whatever they say is for the settings' provider."""
        values = {name: getattr(self.settings, name) for name in ("provider", "model", "base_url")}
        given = {name: value for name, value in values.items() if value}
        flags = {name: value for name, value in given.items() if self.places.get(name) == "flag"}
        rest = {name: value for name, value in given.items() if name not in flags}
        return self._level(flags), self._level(rest)

    def _level(self, values: Mapping[str, Any]) -> Level:
        sources = {name: Source(_PLACES.get(self.places.get(name, ""), "default")) for name in values}
        return Level(values, sources, owner=self.settings.provider)


def call(provider: str = "", model: str = "") -> list[Level]:
    """The level of what a call itself names; none where it names nothing."""
    values = {name: value for name, value in (("provider", provider), ("model", model)) if value}
    return [Level(values, dict.fromkeys(values, Source("call")))] if values else []


def project_levels(project: Project, role: str) -> list[Level]:
    """What the project's files say for that role (empty: for the run), from the highest to the lowest."""
    levels: list[Level] = []
    document = project.document
    if document is not None:
        for name, entry in document.data.get("agent_assignments", {}).items():
            if role and role_of(name) == role:
                levels.append(_level("project", document, as_words(entry), ("agent_assignments", name)))
        top = {("provider" if name == "llm_provider" else name): value for name, value in document.data.items()}
        levels.append(_level("project", document, top, ()))
    if role in project.agents:
        own = project.agents[role]
        levels.append(_level("agent", own, own.data, ()))
    return levels


def as_words(entry: object) -> dict[str, Any]:
    """An entry in detail: `provider/model` is short for the two words."""
    if isinstance(entry, dict):
        return dict(entry)
    provider, _, model = str(entry).partition("/")
    return {"provider": provider, "model": model}


def _level(place: str, document: Document, words: Mapping[str, Any], above: Key) -> Level:
    values = {field: words[field] for field in FIELDS if field in words}
    sources: dict[str, Source] = {}
    for field in values:
        named = "llm_provider" if field == "provider" and place == "project" and not above else field
        key = (*above, named) if (*above, named) in document.lines else above
        sources[field] = Source(place, document.shown, document.line(key), dotted(key))
    return Level(values, sources)


def _choice(values: Mapping[str, Any], spares: tuple[ModelChoice, ...]) -> ModelChoice:
    wanted = {field: values.get(field, "") for field in _NOTHING}
    return ModelChoice(
        values["provider"],
        values.get("model", ""),
        values.get("base_url", ""),
        key=variable_of(values.get("api_key", "")),
        reasoning="" if wanted["reasoning"] == _NOTHING["reasoning"] else wanted["reasoning"],
        search="" if wanted["search"] == _NOTHING["search"] else wanted["search"],
        fallbacks=spares,
    )


def _share(limit: int, share: float) -> int:
    return round(limit * share)
