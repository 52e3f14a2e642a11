"""The project read back from what earlier phases wrote, so that a person's edits reach everything after them.

What is missing or cannot be read is derived from the brief by `drafting.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from orchestrator_v2.agents.simulated import clean, naming
from orchestrator_v2.agents.simulated.asking import understand
from orchestrator_v2.agents.simulated.assembling import assemble, criteria_of
from orchestrator_v2.agents.simulated.catalog import Catalog, load_catalog
from orchestrator_v2.agents.simulated.quoting import a, first_upper, unmd
from orchestrator_v2.agents.simulated.recognise import capabilities_in, entities_in, kind_named, plural
from orchestrator_v2.agents.simulated.spec import NUMBERS, TYPES, Criterion, Entity, Field, Requirement, Spec, Use
from orchestrator_v2.engine.trace import parse_requirements

REQUIREMENTS = "docs/requirements.md"
MODEL = "docs/data-model.json"
_TITLE = re.compile(r"^#\s+Requirements:\s*(.+?)\s*$", re.MULTILINE)
_START = re.compile(r"^#{2,4}\s+R(\d+)\s*[:.\-–—]", re.MULTILINE)
_USE = re.compile(r"`(\w+)` of `(\w+)`")
_BUILT = re.compile(r"^Built as: (.+)$", re.MULTILINE)
_MAIN = re.compile(r"^Main kind of record: `(\w+)`", re.MULTILINE)
_QUOTE = re.compile(r"^Said in ([^“\n]{1,60}): “(.*)”$", re.MULTILINE)
_ALIASES = {
    "string": "str", "text": "str", "integer": "int", "number": "float", "decimal": "money", "boolean": "bool",
    "timestamp": "datetime", "array": "list", "tags": "list",
}  # fmt: skip


def read_spec(brief: str, answers: Mapping[str, str], inputs: Mapping[str, str]) -> Spec:
    """The project as its requirements and data model say; from the brief where they are not there. Never raises."""
    catalog = load_catalog()
    model = _model(inputs.get(MODEL, ""))
    text = inputs.get(REQUIREMENTS, "")
    entities = _entities(model, catalog)
    fallback = None if entities else understand(brief, answers).spec
    if fallback is not None:
        entities = _named(text, fallback, catalog)
    requirements = _requirements(text, entities, catalog)
    if not requirements:
        fallback = fallback or understand(brief, answers).spec
        requirements = fallback.requirements
    title = _title(text, model) or (fallback or understand(brief, answers).spec).title
    package = _package(model, title)
    numbered = tuple(_complete(one, entities, catalog) for one in requirements)
    return assemble(title, package, numbered, entities, catalog)


def _model(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _title(text: str, model: Mapping[str, Any]) -> str:
    project = model.get("project")
    named = project.get("title") if isinstance(project, dict) else None
    match = _TITLE.search(text)
    return clean.quiet(clean.line(unmd(match[1]) if match else str(named or "")))


def _package(model: Mapping[str, Any], title: str) -> str:
    project = model.get("project")
    named = project.get("package") if isinstance(project, dict) else None
    return naming.package(named) if isinstance(named, str) and named.strip() else naming.package(title)


def _entities(model: Mapping[str, Any], catalog: Catalog) -> dict[str, Entity]:
    rows = model.get("entities")
    found: dict[str, Entity] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("name"), str) and row["name"].strip():
            entity = _entity(row, catalog)
            found.setdefault(entity.key, entity)
    return found


def _entity(row: Mapping[str, Any], catalog: Catalog) -> Entity:
    name = clean.line(row["name"])
    key = naming.identifier(str(row.get("key") or name), "item")
    known = catalog.entities.get(key)
    fields = {field.name: field for field in _fields(row.get("fields"))}
    if not any(field.type == "str" and field.editable for field in fields.values()):
        fields = {"name": Field("name", required=True)} | fields
    when, measure = str(row.get("when") or ""), str(row.get("measure") or "")
    label = clean.line(str(row.get("label") or (known.label if known else name.lower())))
    return Entity(
        key=key,
        cls=naming.class_name(name),
        label=label,
        plural=clean.line(str(row.get("plural") or plural(label))),
        about=clean.line(str(row.get("about") or f"{first_upper(a(label))}.")),
        fields=tuple(fields.values()),
        sample=clean.line(str(row.get("sample") or f"First {label}")),
        when=when if when in fields and fields[when].type in ("date", "datetime") else "created_at",
        measure=measure if measure in fields and fields[measure].type in NUMBERS else "",
        made_by=known.made_by if known else "",
        ends=known.ends if known and known.ends in fields else "",
        listed_by=known.listed_by if known else "",
    )


def _fields(rows: object) -> Iterator[Field]:
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            continue
        name = naming.identifier(row["name"])
        kind = str(row.get("type", "str")).lower()
        kind = _ALIASES.get(kind, kind)
        if name in ("id", "created_at"):
            continue
        yield Field(
            name,
            kind if kind in TYPES else "str",
            required=row.get("required") is True,
            editable=row.get("editable", True) is not False,
            default=str(row.get("default") or ""),
            least=_least(row.get("least"), kind),
        )


def _least(value: object, kind: str) -> str:
    return str(value) if kind in NUMBERS and re.fullmatch(r"-?\d{1,15}", str(value)) else ""


def _requirements(text: str, entities: Mapping[str, Entity], catalog: Catalog) -> tuple[Requirement, ...]:
    starts = list(_START.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    sections: dict[str, str] = {}
    for start, end in zip(starts, ends, strict=False):
        sections.setdefault(f"R{start[1]}", text[start.start() : end])
    primary = next(iter(entities), "item")
    found: dict[str, Requirement] = {}
    for one in parse_requirements(text):
        section = sections.get(one.id, "")
        quote = _QUOTE.search(section)
        criteria = tuple(Criterion(item.id, clean.quiet(clean.line(unmd(item.text)))) for item in one.criteria)
        title = clean.quiet(clean.line(unmd(one.title)))
        uses = _uses(section, title, primary, entities, catalog)
        said, source = (unmd(quote[2]), quote[1]) if quote else ("", "the brief")
        found.setdefault(one.id, Requirement(one.id, title, said, uses, criteria, source))
    return tuple(found.values())


def _uses(section: str, title: str, primary: str, entities: Mapping[str, Entity], catalog: Catalog) -> tuple[Use, ...]:
    built = _BUILT.search(section)
    written = [Use(*pair) for pair in _USE.findall(built[1])] if built else []
    if written:
        return tuple(use for use in written if use.capability in catalog.capabilities) or (Use("journal", "entry"),)
    named = [key for key in entities_in(title, catalog) if key in entities]
    uses = [
        Use(key, catalog.capabilities[key].home or (named[0] if named else primary))
        for key in capabilities_in(title, catalog)
    ]
    return tuple(uses) or (Use("journal", "entry"),)


def _named(text: str, fallback: Spec, catalog: Catalog) -> dict[str, Entity]:
    """The kinds of records that the requirements say they are built on, the main one first; else those of the brief."""
    main = _MAIN.search(text)
    uses = [Use(*pair) for built in _BUILT.findall(text) for pair in _USE.findall(built)]
    keys = [main[1]] if main else []
    # Without the line that names the main kind, what `records` is built on first is the nearest there is.
    keys += [use.entity for use in sorted(uses, key=lambda use: use.capability != "records") if use.entity != "entry"]
    known = {one.key: one for one in fallback.entities}
    found = {
        key: catalog.entities.get(key) or known.get(key) or kind_named(key.strip("_").replace("_", " ")) for key in keys
    }
    return found or {fallback.primary.key: fallback.primary}


def _complete(requirement: Requirement, entities: Mapping[str, Entity], catalog: Catalog) -> Requirement:
    """A requirement that a person wrote without criteria is left as it is; one of ours always has them."""
    if requirement.criteria:
        return requirement
    return msgspec.structs.replace(requirement, criteria=criteria_of(requirement, entities, catalog))
