"""What is wrong with a project's configuration: its schema, the names in it, what does not fit together, its keys.

Nothing is sent and no key is shown; how each choice comes about is `choosing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator_v2.config.agent_names import role_of
from orchestrator_v2.config.choosing import Chooser, Chosen
from orchestrator_v2.config.layers import Source
from orchestrator_v2.config.model_keys import ModelKeys
from orchestrator_v2.config.problems import Problem, nearest, what_failed
from orchestrator_v2.config.project_file import (
    FOLDER,
    NAMES,
    Document,
    Project,
    UnreadableError,
    agent_files,
    parse,
    read_bytes,
    shown_path,
)
from orchestrator_v2.config.schema import schema_problems
from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.core.workflow import ModelChoice
from orchestrator_v2.llm.catalog import Catalog, ModelInfo, levels_of, list_models, resolve_model
from orchestrator_v2.llm.origin import check_base_url

# What is left out may leave something that makes no sense without it.
_ROUNDS = 4
_OF_A_FILE = frozenset({"project", "agent"})


def read_project(
    folder: Path, cwd: Path, *, path: Path | None = None, content: bytes | None = None
) -> tuple[Project, list[Problem]]:
    """The project's files, and what is wrong with each; what is wrong is left out, so that the rest can be checked.

    `path` is the file to read in place of the one that is looked for, `content` what to take for its bytes.
    """
    problems: list[Problem] = []
    found = [path] if path is not None else [folder / FOLDER / name for name in NAMES]
    there = [one for one in found if path is not None or one.exists() or one.is_symlink()]
    if len(there) > 1:
        shown = shown_path(there[1], cwd)
        reason = f"{there[0].name} stands beside it, and only one of them can count. Keep one."
        problems.append(Problem(shown, 0, "", what_failed(()), reason))
    document = _read(there[0], cwd, problems, content=content) if there else None
    agents: dict[str, Document] = {}
    for own in agent_files(folder):
        role = _role_of_folder(own, cwd, problems)
        if role in agents:
            reason = f"{agents[role].shown} is the same agent's. Keep one."
            problems.append(Problem(shown_path(own, cwd), 0, "", what_failed(()), reason))
        elif role and (read := _read(own, cwd, problems, of_agent=role)) is not None:
            agents[role] = read
    return Project(folder, document, agents, ".env" if folder == cwd else f".env of {folder}"), problems


def _role_of_folder(own: Path, cwd: Path, problems: list[Problem]) -> str:
    try:
        return role_of(own.parent.name)
    except UnknownNameError as error:
        problems.append(Problem(shown_path(own, cwd), 0, "", what_failed(()), f"{error.what} {error.do}".strip()))
        return ""


def _read(
    path: Path, cwd: Path, problems: list[Problem], *, of_agent: str = "", content: bytes | None = None
) -> Document | None:
    shown = shown_path(path, cwd)
    try:
        document = parse(path, shown, read_bytes(path) if content is None else content)
    except UnreadableError as error:
        problems.append(Problem(shown, error.line, "", what_failed(()), error.reason))
        return None
    told = schema_problems(document, of_agent=of_agent)
    problems += told
    for _ in range(_ROUNDS):
        if not told:
            faults = list(_faults(document))
            problems += faults
            return document.without(fault.at for fault in faults)
        document = document.without(problem.at for problem in told)
        told = schema_problems(document, of_agent=of_agent)
    return None


def _faults(document: Document) -> Iterator[Problem]:
    """What the schema cannot say: one agent by two names, addresses, shares that are out of order."""
    names: dict[str, str] = {}
    for name in document.data.get("agent_assignments", {}):
        first = names.setdefault(role_of(name), name)
        if first != name:
            yield document.problem(("agent_assignments", name), f"'{first}' and '{name}' are the same agent.")
    for key in document.lines:
        if key and key[-1] == "base_url":
            yield from _address_fault(document, key)
    budget = document.data.get("budget", {})
    block = budget.get("block_at", 1.0)
    for word in ("alert_at", "downgrade_at"):
        if budget.get(word, 0.0) > block:
            yield document.problem(("budget", word), f"It is past block_at ({block:g}), from where nothing is sent.")


def _address_fault(document: Document, key: tuple[str | int, ...]) -> Iterator[Problem]:
    value = document.data
    for part in key:
        value = value[part]
    try:
        check_base_url(value)
    except ConfigError as error:
        yield document.problem(key, f"{error.why} {error.do}".strip())


def model_problems(chooser: Chooser, catalog: Catalog, *, now: float) -> list[Problem]:
    """Providers and models that are not there, of the run, its agents, their fallbacks and the cheaper model."""
    found: list[Problem] = []
    for role in ("", *chooser.agents()):
        chosen = chooser.choose(role)
        found += _of_choice(chosen, chosen.model, chosen.sources, catalog, now)
        for number, spare in enumerate(chosen.model.fallbacks):
            source = chosen.sources["fallbacks"]
            at = Source(source.place, source.file, _line(chooser, source, number), f"{source.key}.{number}")
            found += _of_choice(chosen, spare, {"model": at, "provider": at}, catalog, now)
    found += _of_cheaper(chooser, catalog, now)
    return list({(it.file, it.key, it.reason): it for it in reversed(found)}.values())[::-1]


def _of_cheaper(chooser: Chooser, catalog: Catalog, now: float) -> list[Problem]:
    cheaper, project = chooser.shares().cheaper, chooser.project
    if cheaper is None or project is None or project.document is None:
        return []
    key = ("budget", "downgrade_to")
    at = Source("project", project.document.shown, project.document.line(key), ".".join(key))
    found = _of_choice(Chosen("", cheaper, {}), cheaper, {"model": at, "provider": at}, catalog, now)
    what = what_failed(("budget",))
    return [Problem(it.file, it.line, it.key, what, it.reason, it.valid) for it in found]


def _of_choice(
    chosen: Chosen,
    model: ModelChoice,
    sources: Mapping[str, Source],
    catalog: Catalog,
    now: float,
) -> list[Problem]:
    if model.provider not in catalog:
        # Other packages' providers are looked for only where there is a name that nobody here knows.
        from orchestrator_v2.llm.entry_points import foreign_names

        others = foreign_names()
        if model.provider in others:
            return []
        valid = tuple(sorted({*catalog, *others}))
        reason = f"There is no provider '{model.provider}'.{nearest(model.provider, valid)}"
        return _at(sources, ("provider",), chosen.agent, reason, valid)
    try:
        info = resolve_model(model.provider, model.model, now=now, base_url=model.base_url, catalog=catalog)
    except UnknownNameError:
        row = catalog[model.provider]
        valid = (*row.aliases, *list_models(model.provider, now, catalog))
        reason = f"{model.provider} has no model '{model.model}'.{nearest(model.model, valid)}"
        return _at(sources, ("model", "provider"), chosen.agent, reason, valid)
    except ConfigError as error:
        reason = f"{error.what} {error.why} {error.do}"
        return _at(
            sources, ("model", "provider"), chosen.agent, reason, tuple(list_models(model.provider, now, catalog))
        )
    return _of_options(chosen, model, sources, info)


def _of_options(chosen: Chosen, model: ModelChoice, sources: Mapping[str, Source], info: ModelInfo) -> list[Problem]:
    found: list[Problem] = []
    levels = levels_of(info)
    if model.reasoning and model.reasoning not in levels:
        reason = f"{info.provider}/{info.name} takes no reasoning '{model.reasoning}'."
        found += _at(sources, ("reasoning", "model"), chosen.agent, reason, ("default", *levels))
    if model.search == "native" and not info.facts.native_search:
        reason = f"{info.provider}/{info.name} has no search of its own."
        found += _at(
            sources, ("search", "model"), chosen.agent, reason, ("auto", "ddgs", "brave", "tavily", "google_cse")
        )
    return found


def _at(
    sources: Mapping[str, Source], fields: Sequence[str], agent: str, reason: str, valid: tuple[str, ...]
) -> list[Problem]:
    """The problem at the first of the fields that a file says; none where no file says any: settings answer for
    themselves."""
    source = next((sources[field] for field in fields if field in sources), Source("default"))
    if source.place not in _OF_A_FILE:
        source = next((one for one in sources.values() if one.place in _OF_A_FILE), source)
    if source.place not in _OF_A_FILE:
        return []
    what = what_failed(("agent_assignments", agent) if agent else ("model",))
    return [Problem(source.file, source.line, source.key, what, reason, valid)]


def _line(chooser: Chooser, source: Source, number: int) -> int:
    """The line of that entry of a list of fallbacks."""
    documents = chooser.project.documents() if chooser.project is not None else ()
    document = next((one for one in documents if one.shown == source.file), None)
    return source.line if document is None else document.line((*source.key.split("."), number))


def key_problems(chooser: Chooser, keys: ModelKeys, chosen: Chosen) -> list[Problem]:
    """What is wrong with the keys of that model and of its fallbacks: not set, or not for that server."""
    found: list[Problem] = []
    for number, choice in enumerate((chosen.model, *chosen.model.fallbacks)):
        reason = keys.fault(choice)
        fields = ("fallbacks",) if number else ("api_key", "base_url", "provider")
        source = next((chosen.sources[field] for field in fields if field in chosen.sources), Source("default"))
        if reason:
            line = _line(chooser, source, number - 1) if number else source.line
            key = f"{source.key}.{number - 1}" if number else source.key
            what = what_failed(("agent_assignments", chosen.agent) if chosen.agent else ("model",))
            found.append(Problem(source.file or source.place, line, key, what, reason, key_only=True))
    return found
