"""Finds the settings, and the project's files beside them; which place wins for which setting is `layers.PLACES`.

What can be set is `settings.py`; how values are checked is `validation.py`, how they are shown `display.py`. What the
project's files come to is `project_config.py`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_v2.config.layers import OF_ONE_PROVIDER, OF_THE_PROCESS, PLACES
from orchestrator_v2.config.problems import Problem
from orchestrator_v2.config.project_file import Project, find_folder, folder_of, is_own
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import all_credential_variables, credential_variables
from orchestrator_v2.llm.catalog import Catalog, load_catalog
from orchestrator_v2.llm.own_rows import with_own_rows

PREFIX = "ORCHESTRATOR_"
MODELS_FILE = "models.toml"
FIELDS = Settings.__struct_fields__
# Where the master key comes from is no setting, as those are shown: `credentials/master_sources.py` reads these.
OF_THE_VAULT = (("environment", "ORCHESTRATOR_MASTER_KEY"), ("environment", "ORCHESTRATOR_MASTER_KEY_FROM"))
# A `.env` may be somebody else's, as it comes with a repository: it does not say which rows of keys and servers count,
# who is let in, nor whether anybody is told what this process does.
NOT_FROM_DOTENV = (
    *("models_file", "host", "allowed_hosts", "model_origins", "traces"),
    # A folder's file could have another file's content, or the key of this machine, sent to an address that it names.
    *(f"temporal_{name}" for name in ("address", "tls", "ca_file", "cert_file", "key_file", "api_key_file")),
)


class LoadedSettings(msgspec.Struct, frozen=True):
    """`sources` names for each field, and each found key variable, where it came from:
    `flag`, `environment`, `.env`, `config file`, `beside the config file` or `default`. `keys` maps a variable's name
    to its secret. `catalog` are the providers and models that are known, the user's own among them. `model_problems`
    are sentences on what is wrong with these, or with where a key would go; who asks no model may go on.

    `project` are the files of the project that the process works in, None where it has none; `project_problems` is
    what is wrong in them, each of which is a sentence of `model_problems`, too.
    """

    settings: Settings
    sources: Mapping[str, str]
    keys: Mapping[str, Secret]
    catalog: Catalog = msgspec.field(default_factory=load_catalog)
    model_problems: tuple[str, ...] = ()
    project: Project | None = None
    project_problems: tuple[Problem, ...] = ()


class Layer(msgspec.Struct, frozen=True):
    """What one place says: settings by field name, variables that may be keys, and names that mean nothing."""

    source: str
    values: Mapping[str, object] = {}
    variables: Mapping[str, str] = {}
    unknown: tuple[str, ...] = ()


def load_settings(overrides: Mapping[str, object], environ: Mapping[str, str], cwd: Path, home: Path) -> LoadedSettings:
    """The settings of a process that runs in `cwd`; `overrides` are flags, None where one was not given.

    Raises `ConfigError` that lists every unknown name and every bad value, each with its place.
    """
    loaded, problems = inspect_settings(overrides, environ, cwd, home)
    if problems or loaded.model_problems:
        raise problems_error([*problems, *loaded.model_problems])
    return loaded


def problems_error(problems: Sequence[str]) -> ConfigError:
    """All that is wrong with the settings, in one error."""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError(
        f"The configuration has {count}.",
        "; ".join(problems) + ".",
        "Correct this where it is set; `orchestrator config show` lists all settings.",
    )


def inspect_settings(
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: Path,
    home: Path,
    *,
    clock: Clock | None = None,
    project_path: Path | None = None,
    project_content: bytes | None = None,
) -> tuple[LoadedSettings, list[str]]:
    """The settings, with the default in place of what is wrong, and a sentence for each thing that is wrong.

    What is wrong with the models is in `model_problems` alone. `project_path` is the project's file in place of the one
    that is looked for, `project_content` what to take for its bytes. Raises `ConfigError` for a file that cannot be
    read, and where there is no home to keep runs in.
    """
    now = (clock or SystemClock()).now()
    layers, refused = _layers(overrides, environ, cwd, home)
    project, of_project = _project(cwd, home, project_path, project_content)
    settings, sources, problems = _settled(layers, environ, cwd, home)
    catalog, of_models = with_own_rows(settings.models_file, now=now) if settings.models_file else (load_catalog(), [])
    keys = _keys((*layers, *_of_folder(project, cwd)), catalog, sources, project)
    strays = _stray_keys(settings, catalog, sources, own=is_own(cwd / ".env", cwd))
    if strays:
        settings = msgspec.structs.replace(settings, base_url="")
        sources["base_url"] = ".env (not used)"
    told = {**dict.fromkeys(FIELDS, "default"), **sources}
    if project is not None:
        of_project = [*of_project, *_model_problems(settings, told, project, catalog, now)]
    of_files = tuple(str(problem).removesuffix(".") for problem in of_project)
    found = (*refused, *strays, *of_models, *of_files)
    return LoadedSettings(settings, told, keys, catalog, found, project, tuple(of_project)), problems


def _layers(
    overrides: Mapping[str, object], environ: Mapping[str, str], cwd: Path, home: Path
) -> tuple[tuple[Layer, ...], list[str]]:
    """What each place says, and a sentence for each thing in a `.env` that is not taken from there."""
    dotenv, refused = _trusted(_variables(".env", _read_dotenv(cwd / ".env")))
    flags = Layer("flag", {name: value for name, value in overrides.items() if value is not None})
    user = _user_file(user_config_path(environ, home))
    return (flags, _variables("environment", environ), dotenv, user), refused


def _project(cwd: Path, home: Path, path: Path | None, content: bytes | None) -> tuple[Project | None, list[Problem]]:
    """The project's files, and what is wrong with their words; read only where there are some."""
    folder = find_folder(cwd, home) if path is None else folder_of(path.absolute())
    if folder is None:
        return None, []
    # jsonschema and yaml take a tenth of a second to import; most processes have no such file.
    from orchestrator_v2.config.project_checks import read_project

    return read_project(folder, cwd, path=None if path is None else path.absolute(), content=content)


def _model_problems(
    settings: Settings, places: Mapping[str, str], project: Project, catalog: Catalog, now: float
) -> list[Problem]:
    from orchestrator_v2.config.choosing import Chooser
    from orchestrator_v2.config.project_checks import model_problems

    return model_problems(Chooser(settings, places, project), catalog, now=now)


def _of_folder(project: Project | None, cwd: Path) -> tuple[Layer, ...]:
    """The variables of the `.env` beside a project's files, where the process works in a folder below."""
    if project is None or project.folder == cwd:
        return ()
    found = _variables(project.dotenv, _read_dotenv(project.folder / ".env"))
    return (Layer(found.source, variables=found.variables),)


def _settled(
    layers: Sequence[Layer], environ: Mapping[str, str], cwd: Path, home: Path
) -> tuple[Settings, dict[str, str], list[str]]:
    """The settings, the place of each that is set, and a sentence for each thing that is wrong."""
    values, sources = _winning({layer.source: layer.values for layer in layers})
    problems = [_unknown(layer.source, name) for layer in layers for name in layer.unknown]
    checked, bad = _checked(values)
    problems += [f"{_written(name, sources[name])} ({sources[name]}): {what}" for name, what in bad]
    if "data_dir" not in checked:
        checked["data_dir"] = _data_home(environ, home) / "orchestrator"
    beside = user_config_path(environ, home).with_name(MODELS_FILE)
    if "models_file" not in sources and os.path.lexists(beside):
        checked["models_file"] = beside
        sources["models_file"] = "beside the config file"
    paths = {name: _absolute(value, cwd, home) for name, value in checked.items() if isinstance(value, Path)}
    settings = Settings(**{**checked, **paths})  # type: ignore[arg-type]
    sources |= {name: f"{sources[name]} (wrong, not used)" for name, _ in bad}
    return settings, sources, problems


def _winning(said: Mapping[str, Mapping[str, object]]) -> tuple[dict[str, object], dict[str, str]]:
    """Each setting from the highest place that says it, and which that is; `said` are the values by place.

    A model or a base_url that stands with another provider, below the one that counts, is not for that one.
    """
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name in FIELDS:
        order = PLACES.get(name, OF_THE_PROCESS)
        places = [place for place in order if name in said.get(place, {})]
        fitting = [place for place in places if name not in OF_ONE_PROVIDER or _is_for(values, said, place)]
        if fitting:
            values[name], sources[name] = said[fitting[0]][name], fitting[0]
        elif places:
            sources[name] = f"{places[0]} (for another provider, not used)"
    return values, sources


def _is_for(values: Mapping[str, object], said: Mapping[str, Mapping[str, object]], place: str) -> bool:
    """Whether what that place says of a model is for the provider that counts; `provider` comes first in FIELDS."""
    return said[place].get("provider", values.get("provider")) == values.get("provider")


def _trusted(dotenv: Layer) -> tuple[Layer, list[str]]:
    """The layer of a `.env` without what is not taken from there, and a sentence for each such setting."""
    kept = {name: value for name, value in dotenv.values.items() if name not in NOT_FROM_DOTENV}
    refused = [
        f"{_written(name, '.env')} (.env): not taken from there, as it says what is sent where; set it in the "
        f"environment, or as {name} in config.toml"
        for name in dotenv.values
        if name not in kept
    ]
    return msgspec.structs.replace(dotenv, values=kept), refused


def _stray_keys(settings: Settings, catalog: Catalog, sources: Mapping[str, str], *, own: bool) -> list[str]:
    """A sentence where a `.env` would send a key elsewhere that it does not hold itself; one that is a link to a file
    of another folder (not `own`) holds none."""
    if sources.get("base_url") != ".env" or not settings.base_url:
        return []
    variables = credential_variables(settings.provider, catalog)
    foreign = [name for name in variables if sources.get(name) not in ((None, ".env") if own else (None,))]
    if not foreign:
        return []
    return [
        f"ORCHESTRATOR_BASE_URL (.env): it would send the key {foreign[0]} of the {sources[foreign[0]]} to a server "
        "that the folder names; put both into .env, or set ORCHESTRATOR_BASE_URL in the environment"
    ]


def _keys(
    layers: Sequence[Layer], catalog: Catalog, sources: dict[str, str], project: Project | None
) -> dict[str, Secret]:
    """The keys by the variables that the catalog and the project's files name, each noted in `sources`."""
    names = dict.fromkeys(all_credential_variables(catalog))
    if project is not None:
        from orchestrator_v2.config.model_keys import references

        names |= dict.fromkeys(sorted(references(project)))
    keys: dict[str, Secret] = {}
    for name in names:
        layer = next((layer for layer in layers if name in layer.variables), None)
        if layer is not None:
            keys[name] = Secret(layer.variables[name])
            sources[name] = layer.source
    return keys


def user_config_path(environ: Mapping[str, str], home: Path) -> Path:
    """`~/.config/orchestrator/config.toml`, or where XDG_CONFIG_HOME puts it."""
    return _xdg(environ, "XDG_CONFIG_HOME", home / ".config") / "orchestrator" / "config.toml"


def _checked(values: Mapping[str, object]) -> tuple[dict[str, object], list[tuple[str, str]]]:
    """The values that fit, in their right types, and (field, what is wrong) for the others."""
    if not values:
        return {}, []
    # pydantic costs 0.2 s to import; a process with nothing set does not need it.
    from orchestrator_v2.config.validation import validate

    checked, bad = validate(values)
    if bad:
        wrong = {name for name, _ in bad}
        checked, _ = validate({name: value for name, value in values.items() if name not in wrong})
    return checked, bad


def _written(field: str, source: str) -> str:
    """A setting's name as it is written in that place."""
    if source == "flag":
        return f"--{field.replace('_', '-')}"
    return field if source == "config file" else PREFIX + field.upper()


def _data_home(environ: Mapping[str, str], home: Path) -> Path:
    """Where a user's data lies. Raises `ConfigError` where nothing says so: `/` is nobody's home by accident."""
    if "HOME" in environ and not environ["HOME"].strip() and not Path(environ.get("XDG_DATA_HOME", "")).is_absolute():
        raise ConfigError(
            "There is no place to keep runs.", "HOME is set, and empty.", "Set HOME, or say --data-dir DIR."
        )
    return _xdg(environ, "XDG_DATA_HOME", home / ".local/share")


def _variables(source: str, variables: Mapping[str, str]) -> Layer:
    """An empty variable is one that is not set, so that a copied `.env.example` changes nothing."""
    set_ones = {name: value for name, value in variables.items() if value.strip()}
    ours = {name: value for name, value in set_ones.items() if name.upper().startswith(PREFIX)}
    named = {name: name.upper().removeprefix(PREFIX).lower() for name in ours}
    return Layer(
        source,
        {named[name]: value for name, value in ours.items() if named[name] in FIELDS},
        set_ones,
        tuple(name for name in ours if named[name] not in FIELDS and (source, name) not in OF_THE_VAULT),
    )


def _read_dotenv(path: Path) -> dict[str, str]:
    # A folder of this name is a virtual environment to many people.
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    bad = [_line_of(binding) for binding in bindings if binding.error]
    if bad:
        # What stands there may be a key, so it is not repeated.
        lines = f"line {bad[0]}" if len(bad) == 1 else f"lines {', '.join(map(str, bad))}"
        raise ConfigError(
            f"{path}, {lines}: this is not NAME=value.",
            "A quote may be open, or a name may hold a blank; nothing of the file was used.",
            "Correct it there.",
        )
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}


def _line_of(binding: Any) -> int:
    """The line that a binding's text begins on; the parser counts blank lines before it as part of it."""
    text: str = binding.original.string
    return int(binding.original.line) + text[: len(text) - len(text.lstrip())].count("\n")


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
    near = get_close_matches(name.upper().removeprefix(PREFIX).lower(), FIELDS, n=1)
    return f"{name} ({source}): there is no such setting" + (
        f", the nearest is {_written(near[0], source)}" if near else ""
    )


def _xdg(environ: Mapping[str, str], variable: str, fallback: Path) -> Path:
    # The XDG specification: a relative path is to be ignored.
    path = Path(environ.get(variable, ""))
    return path if path.is_absolute() else fallback


def _absolute(path: Path, cwd: Path, home: Path) -> Path:
    return home.joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else cwd / path
