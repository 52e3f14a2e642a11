"""The words about a project that more than one document needs: what a requirement is, where it is met, which commands.

Examples are `exemplifying.py`; the documents themselves are templates, filled by `documents.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_v2.agents.simulated.catalog import load_catalog
from orchestrator_v2.agents.simulated.quoting import METAVARS, a
from orchestrator_v2.agents.simulated.spec import Built, Entity, Field, Requirement, Spec

STORELESS = frozenset({"generator"})
"""Services that keep nothing."""

_CORE = {"safety": ("`storage.py`", "`cli.py`", "`errors.py`")}


def cap_title(key: str) -> str:
    """A capability's title."""
    return load_catalog().capabilities[key].title


def spaced(name: str) -> str:
    return name.replace("_", " ")


def about(requirement: Requirement, spec: Spec) -> str:
    """What the requirement's capabilities do, in a sentence or two."""
    built = {cap.module: cap.about for cap in spec.caps}
    return " ".join(dict.fromkeys(built[use.capability] for use in requirement.uses if use.capability in built))


def met_by(requirement: Requirement) -> list[str]:
    """The files that meet a requirement, as Markdown code."""
    paths: list[str] = []
    for use in requirement.uses:
        paths += _CORE.get(use.capability, (f"`services/{use.capability}.py`",))
    return list(dict.fromkeys(paths))


def commands_of(cap: Built, spec: Spec) -> list[tuple[str, str]]:
    """Usage and meaning of a capability's commands; those of `records` for every kind."""
    if cap.module != "records":
        return list(cap.commands)
    return [row for entity in spec.entities for row in _record_commands(entity, spec)]


def _record_commands(entity: Entity, spec: Spec) -> Iterator[tuple[str, str]]:
    end = "" if entity.key == spec.primary.key else f"-{entity.label.replace(' ', '-')}"
    if not entity.made_by:
        yield f"add{end} {_arguments(entity)}".strip(), f"add {a(entity.label)}"
    if not entity.listed_by:
        yield f"list{end}", f"list the {entity.plural}"
        yield f"show{end} ID", f"show every field of {a(entity.label)}"
    if entity.editable:
        options = " ".join(f"[{_option(field)}]" for field in entity.fields if field.editable)
        yield f"edit{end} ID {options}", f"change {a(entity.label)}"
    yield f"remove{end} ID", f"remove {a(entity.label)} for good"


def _arguments(entity: Entity) -> str:
    parts: list[str] = []
    for field in entity.fields:
        if field.name == entity.title:
            parts.insert(0, field.name.upper())
        elif field.editable:
            parts.append(_option(field) if field.required else f"[{_option(field)}]")
    return " ".join(parts)


def _option(field: Field) -> str:
    return f"--{field.name.replace('_', '-')} {METAVARS[field.type]}"
