"""The settings and the project's files as rows for people, secrets masked. How a table is drawn is `cli/render.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from orchestrator_v2.config.loader import FIELDS, LoadedSettings
from orchestrator_v2.config.problems import dotted
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.project_file import Document, Key
from orchestrator_v2.core.secrets import SHORTEST, Secret, redact
from orchestrator_v2.llm.auth import all_credential_variables

# The settings that a project's file has words for, and where they stand there.
_OF_PROJECT: Mapping[str, tuple[str, ...]] = {
    "mode": ("mode",),
    "provider": ("llm_provider",),
    "model": ("model",),
    "base_url": ("base_url",),
    "budget_usd": ("budget", "limit_usd"),
}
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^@\s]*)@")


def rows(loaded: LoadedSettings) -> list[tuple[str, str, str]]:
    """(name, value, source) for every setting and every key variable; a key shows its last four characters."""
    settings = [(name, _shown(_value(loaded, name)), _source(loaded, name)) for name in FIELDS]
    known = all_credential_variables(loaded.catalog)
    further = sorted(set(loaded.keys) - set(known))
    return [*settings, *(_key_row(loaded, name) for name in (*known, *further)), *_project_rows(loaded)]


def agent_rows(loaded: LoadedSettings, agent: str) -> list[tuple[str, str, str]]:
    """(word, value, source) of the model that this agent works with. Raises `UnknownNameError`."""
    config = ProjectConfig(loaded)
    chosen = config.choose(agent)
    model = chosen.model
    said = {
        "provider": model.provider,
        "model": model.model or loaded.catalog[model.provider].default if model.provider in loaded.catalog else "",
        "base_url": model.base_url,
        "api_key": config.keys.described(model),
        "reasoning": model.reasoning,
        "search": model.search,
        "fallbacks": ", ".join(f"{spare.provider}/{spare.model}" for spare in model.fallbacks),
    }
    return [(word, _shown(value), str(chosen.sources.get(word, "default"))) for word, value in said.items()]


def _project_rows(loaded: LoadedSettings) -> list[tuple[str, str, str]]:
    if loaded.project is None:
        return []
    found = [("project", document) for document in [loaded.project.document] if document is not None]
    found += [(f"agent {role}", document) for role, document in loaded.project.agents.items()]
    return [
        (f"{name}: {dotted(key)}", _shown(value), f"{document.shown}, line {document.line(key)}")
        for name, document in found
        for key, value in _leaves(document, (), document.data)
    ]


def _leaves(document: Document, key: Key, value: object) -> Iterator[tuple[Key, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(document, (*key, name), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(document, (*key, number), inner)
    else:
        yield key, value


def _source(loaded: LoadedSettings, name: str) -> str:
    """Where a setting came from, and that a project's file takes its place for runs."""
    source, key = loaded.sources[name], _OF_PROJECT.get(name, ())
    document = loaded.project.document if loaded.project is not None else None
    if document is None or not key or source == "flag" or key not in document.lines:
        return source
    return f"{source}; for runs: {document.shown}, line {document.line(key)}"


def _key_row(loaded: LoadedSettings, name: str) -> tuple[str, str, str]:
    key = loaded.keys.get(name)
    if key is None:
        return name, "", "not set"
    short = f", shorter than {SHORTEST} characters: not looked for in logs" if key.is_short else ""
    return name, f"…{key.last_four}", loaded.sources[name] + short


def live_secrets(loaded: LoadedSettings) -> list[Secret]:
    """What no log may show: the keys, and the passwords that stand in addresses, as written and decoded."""
    addresses = (loaded.settings.database_url, loaded.settings.base_url)
    written = [match[2] for address in addresses for match in _PASSWORD.finditer(address) if match[2]]
    passwords = dict.fromkeys(form for password in written for form in (password, unquote(password)))
    return [*loaded.keys.values(), *map(Secret, passwords)]


def _value(loaded: LoadedSettings, name: str) -> object:
    return loaded.settings.database if name == "database_url" else getattr(loaded.settings, name)


def _shown(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return redact(_PASSWORD.sub(r"\1:[redacted]@", text))
