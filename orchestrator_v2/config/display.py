"""The settings as rows for people, secrets masked. How a table is drawn is `cli/render.py`."""

from __future__ import annotations

import re
from urllib.parse import unquote

from orchestrator_v2.config.loader import FIELDS, LoadedSettings
from orchestrator_v2.core.secrets import SHORTEST, Secret, redact
from orchestrator_v2.llm.auth import all_credential_variables

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^@\s]*)@")


def rows(loaded: LoadedSettings) -> list[tuple[str, str, str]]:
    """(name, value, source) for every setting and every key variable; a key shows its last four characters."""
    settings = [(name, _shown(_value(loaded, name)), loaded.sources[name]) for name in FIELDS]
    return settings + [_key_row(loaded, name) for name in all_credential_variables(loaded.catalog)]


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
