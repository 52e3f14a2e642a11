"""The catalog of what the templates know: kinds of records and capabilities, read from TOML beside the prompts.

Finding them in a person's words is `recognise.py`; this file only reads.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources.abc import Traversable

import msgspec

from orchestrator_v2.agents.simulated.spec import Entity, Field
from orchestrator_v2.agents.simulated.word_index import WordIndex
from orchestrator_v2.agents.templates import template_root

_FIELD = re.compile(r"(\w+): (\w+)(?: = ([^!~>]+?))?(?: >= (\d+))?([!~]*)$")


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """Something the templates can build; the fields are explained at the top of `capabilities.toml`."""

    title: str
    about: str
    home: str = ""
    part_of: str = ""
    other: str = ""
    main: str = ""
    flexible: bool = False
    needs: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    other_fields: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    criteria: tuple[tuple[str, str], ...] = ()
    example: str = ""


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    plural: str
    about: str
    label: str = ""
    fields: tuple[str, ...]
    words: tuple[str, ...] = ()
    sample: str = "First one"
    when: str = "created_at"
    measure: str = ""
    made_by: str = ""
    ends: str = ""
    listed_by: str = ""


class Catalog(msgspec.Struct, frozen=True):
    """Everything by name, and the words that find it."""

    capabilities: dict[str, Capability]
    entities: dict[str, Entity]
    capability_words: WordIndex
    entity_words: WordIndex


@cache
def load_catalog() -> Catalog:
    """Reads the shipped files once; the same every time."""
    folder = template_root() / "architect" / "simulated" / "catalog"
    capabilities = msgspec.convert(_toml(folder / "capabilities.toml"), dict[str, Capability])
    kinds = msgspec.convert(_toml(folder / "entities.toml"), dict[str, _Kind])
    return Catalog(
        capabilities=capabilities,
        entities={key: _entity(key, kind) for key, kind in kinds.items()},
        capability_words=WordIndex({key: one.words for key, one in capabilities.items()}),
        entity_words=WordIndex({key: kind.words for key, kind in kinds.items()}),
    )


def parse_field(text: str) -> Field:
    """A field from its short form `name: type = default >= least`, `!` for required, `~` for set by the program."""
    match = _FIELD.match(text)
    if match is None:
        raise ValueError(f"not a field: {text}")
    name, kind, default, least, marks = match.groups()
    return Field(name, kind, "!" in marks, "~" not in marks, default=(default or "").strip(), least=least or "")


def _entity(key: str, kind: _Kind) -> Entity:
    return Entity(
        key=key,
        cls=key.capitalize(),
        label=kind.label or key,
        plural=kind.plural,
        about=kind.about,
        fields=tuple(parse_field(text) for text in kind.fields),
        sample=kind.sample,
        when=kind.when,
        measure=kind.measure,
        made_by=kind.made_by,
        ends=kind.ends,
        listed_by=kind.listed_by,
    )


def _toml(path: Traversable) -> dict[str, object]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
