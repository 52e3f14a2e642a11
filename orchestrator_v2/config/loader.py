"""Finds the settings: a flag wins over the environment, that over `.env`, over the user's file, over the default.

What can be set is `settings.py`; how values are checked is `validation.py`, how they are shown `display.py`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec

from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import all_credential_variables

PREFIX = "ORCHESTRATOR_"
FIELDS = Settings.__struct_fields__


class LoadedSettings(msgspec.Struct, frozen=True):
    """`sources` names for each field, and each found key variable, where it came from:
    `flag`, `environment`, `.env`, `config file` or `default`. `keys` maps a variable's name to its secret.
    """

    settings: Settings
    sources: Mapping[str, str]
    keys: Mapping[str, Secret]


class Layer(msgspec.Struct, frozen=True):
    """What one place says: settings by field name, keys by variable, and names that mean nothing."""

    source: str
    values: Mapping[str, object] = {}
    keys: Mapping[str, str] = {}
    unknown: tuple[str, ...] = ()


def load_settings(overrides: Mapping[str, object], environ: Mapping[str, str], cwd: Path, home: Path) -> LoadedSettings:
    """The settings of a process that runs in `cwd`; `overrides` are flags, None where one was not given.

    Raises `ConfigError` that lists every unknown name and every bad value, each with its place.
    """
    layers = (
        Layer("flag", {name: value for name, value in overrides.items() if value is not None}),
        _variables("environment", environ),
        _variables(".env", _read_dotenv(cwd / ".env")),
        _user_file(user_config_path(environ, home)),
    )
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    keys: dict[str, Secret] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if sources.setdefault(name, layer.source) == layer.source:
                values[name] = value
        for name, key in layer.keys.items():
            if sources.setdefault(name, layer.source) == layer.source:
                keys[name] = Secret(key)
    problems = [_unknown(layer.source, name) for layer in layers for name in layer.unknown]
    checked = _checked(values, sources, problems)
    checked.setdefault("data_dir", _xdg(environ, "XDG_DATA_HOME", home / ".local/share") / "orchestrator")
    paths = {name: _absolute(value, cwd, home) for name, value in checked.items() if isinstance(value, Path)}
    settings = Settings(**{**checked, **paths})  # type: ignore[arg-type]
    return LoadedSettings(settings, {**dict.fromkeys(FIELDS, "default"), **sources}, keys)


def user_config_path(environ: Mapping[str, str], home: Path) -> Path:
    """`~/.config/orchestrator/config.toml`, or where XDG_CONFIG_HOME puts it."""
    return _xdg(environ, "XDG_CONFIG_HOME", home / ".config") / "orchestrator" / "config.toml"


def _checked(values: Mapping[str, object], sources: Mapping[str, str], problems: list[str]) -> dict[str, object]:
    checked: dict[str, object] = {}
    if values:
        # pydantic costs 0.2 s to import; a process with nothing set does not need it.
        from orchestrator_v2.config.validation import validate

        checked, bad = validate(values)
        problems += [f"{name} ({sources[name]}): {what}" for name, what in bad]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(
            f"The configuration has {count}.",
            "; ".join(problems) + ".",
            "Correct this where it is set; `orchestrator config show` lists all settings.",
        )
    return checked


def _variables(source: str, variables: Mapping[str, str]) -> Layer:
    """An empty variable is one that is not set, so that a copied `.env.example` changes nothing."""
    set_ones = {name: value for name, value in variables.items() if value.strip()}
    ours = {name: value for name, value in set_ones.items() if name.upper().startswith(PREFIX)}
    named = {name: name.upper().removeprefix(PREFIX).lower() for name in ours}
    return Layer(
        source,
        {named[name]: value for name, value in ours.items() if named[name] in FIELDS},
        {name: set_ones[name] for name in all_credential_variables() if name in set_ones},
        tuple(name for name in ours if named[name] not in FIELDS),
    )


def _read_dotenv(path: Path) -> dict[str, str]:
    # A folder of this name is a virtual environment to many people.
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return {name: value for name, value in found.items() if value is not None}


def _user_file(path: Path) -> Layer:
    if not path.is_file():
        return Layer("config file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unreadable(path, error) from error
    known = {name: value for name, value in data.items() if name in FIELDS}
    return Layer("config file", known, unknown=tuple(name for name in data if name not in FIELDS))


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be read.", f"{error}.", "Correct the file, or move it away.")


def _unknown(source: str, name: str) -> str:
    known = [PREFIX + field.upper() for field in FIELDS] if source != "config file" else list(FIELDS)
    near = get_close_matches(name.upper() if source != "config file" else name, known, n=1, cutoff=0.0)
    return f"{name} ({source}): there is no such setting, the nearest is {near[0]}"


def _xdg(environ: Mapping[str, str], variable: str, fallback: Path) -> Path:
    # The XDG specification: a relative path is to be ignored.
    path = Path(environ.get(variable, ""))
    return path if path.is_absolute() else fallback


def _absolute(path: Path, cwd: Path, home: Path) -> Path:
    return home.joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else cwd / path
