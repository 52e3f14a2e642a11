"""From requirements to the whole project: which modules, which records with which fields, which journals.

Works the same for requirements that were drafted here and for those a person edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchestrator_v2.agents.simulated import naming
from orchestrator_v2.agents.simulated.catalog import Capability, Catalog, parse_field
from orchestrator_v2.agents.simulated.quoting import a, first_upper
from orchestrator_v2.agents.simulated.spec import Built, Criterion, Entity, Feature, Field, Requirement, Spec, Use

BASE = ("records", "safety")
JOURNAL_CRITERIA = (
    "`note {slug} TEXT` keeps an entry with its time, and `entries {slug}` lists it.",
    "An entry without words is refused, and other journals do not show it.",
)


def assemble(
    title: str, package: str, requirements: tuple[Requirement, ...], base: Mapping[str, Entity], catalog: Catalog
) -> Spec:
    """The project for these requirements over these kinds of records (the first of them is the main one)."""
    primary = next(iter(base.values()), catalog.entities["item"])
    uses = _closed(requirements, primary, catalog)
    commands = {usage.split()[0] for key in uses for usage, _ in catalog.capabilities[key].commands}
    entities = tuple(_addable(entity, commands) for entity in _entities(uses, base, primary, catalog))
    features = tuple(_features(requirements))
    spec = Spec(title, package, entities, requirements, (), features)
    return msgspec.structs.replace(
        spec, caps=tuple(_built(key, uses[key], spec, catalog) for key in _order(uses, catalog))
    )


def criteria_of(requirement: Requirement, base: Mapping[str, Entity], catalog: Catalog) -> tuple[Criterion, ...]:
    """The acceptance criteria that the templates can prove for what the requirement is built as.

    `base` are the project's kinds of records, the main one first.
    """
    primary = next(iter(base.values()))
    number = requirement.id.removeprefix("R")
    texts: list[str] = []
    for use in dict.fromkeys(requirement.uses):
        if use.capability == "journal":
            slug = feature_slug(requirement)
            texts += [text.format(slug=slug) for text in JOURNAL_CRITERIA]
            continue
        entity = base.get(use.entity) or catalog.entities.get(use.entity, primary)
        capability = catalog.capabilities[use.capability]
        texts += [fill(text, entity, other_of(capability, primary, catalog)) for _, text in capability.criteria]
    return tuple(Criterion(f"AC{number}.{place}", text) for place, text in enumerate(dict.fromkeys(texts), start=1))


def fill(text: str, entity: Entity, other: Entity) -> str:
    """The catalog's words with the record's name in them."""
    for mark, label in (("{one}", entity.label), ("{other}", other.label)):
        text = text.replace(f"A {mark}", first_upper(a(label))).replace(f" a {mark}", f" {a(label)}")
        text = text.replace(mark, label)
    return text.replace("{many}", entity.plural)


def feature_slug(requirement: Requirement) -> str:
    """The short name of a requirement's journal; the number keeps it unique."""
    return naming.slug(f"{requirement.id} {requirement.title}", length=32)


def other_of(capability: Capability, primary: Entity, catalog: Catalog) -> Entity:
    """The second kind of record that a capability works with; the main one where it needs none of its own."""
    return catalog.entities.get(capability.other, primary)


def _closed(requirements: Iterable[Requirement], primary: Entity, catalog: Catalog) -> dict[str, Use]:
    """One use for each capability: the first that is asked for, then what it stands on, then the base."""
    uses: dict[str, Use] = {}
    for use in (use for requirement in requirements for use in requirement.uses):
        if use.capability not in catalog.capabilities:
            continue
        uses.setdefault(use.capability, use)
        for need in catalog.capabilities[use.capability].needs:
            uses.setdefault(need, Use(need, catalog.capabilities[need].home or primary.key))
    for key in BASE:
        uses[key] = Use(key, primary.key)
    return uses


def _order(uses: Mapping[str, Use], catalog: Catalog) -> list[str]:
    return [key for key in catalog.capabilities if key in uses]


def _entities(
    uses: Mapping[str, Use], base: Mapping[str, Entity], primary: Entity, catalog: Catalog
) -> tuple[Entity, ...]:
    found = dict(base) or {primary.key: primary}
    for key, use in uses.items():
        capability = catalog.capabilities[key]
        own = catalog.entities.get(use.entity)
        entity = found.get(use.entity) or own or primary
        # A capability that lives on its own kind of record counts on every field the catalog gives that kind.
        needed = own.fields if own and capability.home == use.entity else ()
        found[entity.key] = _with(entity, (*needed, *map(parse_field, capability.fields)))
        if capability.other:
            other = found.get(capability.other) or other_of(capability, primary, catalog)
            other = found.get(other.key, other)
            fields = catalog.entities[other.key].fields if capability.other == other.key else ()
            found[other.key] = _with(other, (*fields, *map(parse_field, capability.other_fields)))
    return tuple(_distinct(found.values()))


def _addable(entity: Entity, commands: set[str]) -> Entity:
    """A kind that another command makes has no `add`, unless that command is not part of this project."""
    return entity if entity.made_by in commands else msgspec.structs.replace(entity, made_by="")


def _with(entity: Entity, fields: Iterable[Field]) -> Entity:
    have = {field.name: field for field in entity.fields}
    for field in fields:
        known = have.get(field.name)
        have[field.name] = field if known is None or known.type != field.type else known
    return msgspec.structs.replace(entity, fields=tuple(have.values()))


def _distinct(entities: Iterable[Entity]) -> Iterator[Entity]:
    labels: set[str] = set()
    classes: set[str] = set()
    for entity in entities:
        label, cls = entity.label, entity.cls
        while label in labels or cls.lower() in classes:
            label, cls = f"{label} 2", f"{cls}2"
        labels.add(label)
        classes.add(cls.lower())
        yield msgspec.structs.replace(entity, label=label, cls=cls)


def _features(requirements: Iterable[Requirement]) -> Iterator[Feature]:
    for requirement in requirements:
        if any(use.capability == "journal" for use in requirement.uses):
            yield Feature(feature_slug(requirement), requirement.title, requirement.id, requirement.criteria)


def _built(key: str, use: Use, spec: Spec, catalog: Catalog) -> Built:
    capability = catalog.capabilities[key]
    e = spec.entity(use.entity)
    other = spec.entity(capability.other) if capability.other in catalog.entities else spec.primary
    commands = ((_usage(text, spec), about) for text, about in capability.commands)
    return Built(
        module=key,
        title=capability.title,
        about=fill(capability.about, e, other),
        e=e,
        other=other,
        commands=tuple((fill(usage, e, other), fill(about, e, other)) for usage, about in commands),
        checks=tuple((name, fill(text, e, other)) for name, text in capability.criteria),
        example=capability.example,
    )


def _usage(text: str, spec: Spec) -> str:
    """Where there is one kind of record only, nobody has to say which."""
    return text if spec.several else text.replace(" [--kind KIND]", "")
