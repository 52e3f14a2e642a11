"""What is to be built, as values: the project, its records, its requirements and its capabilities.

Made from a brief by `drafting.py` or from upstream files by `upstream.py`; read by all templates.
"""

from __future__ import annotations

import msgspec

TYPES = ("str", "int", "float", "bool", "date", "datetime", "money", "list")
NUMBERS = ("int", "float", "money")


class Field(msgspec.Struct, frozen=True):
    """A field of a record. `editable` ones are set by people, the others by the program; `least` bounds a number."""

    name: str
    type: str = "str"
    required: bool = False
    editable: bool = True
    default: str = ""
    least: str = ""


class Entity(msgspec.Struct, frozen=True):
    """A kind of record. `key` is its name in the catalog, `made_by` the command that makes one (empty: `add`).

    `ends` is the field that stays empty as long as the record is not finished, `listed_by` the command that lists and
    shows them (empty: `list` and `show`).
    """

    key: str
    cls: str
    label: str
    plural: str
    about: str
    fields: tuple[Field, ...]
    sample: str = "First one"
    when: str = "created_at"
    measure: str = ""
    made_by: str = ""
    ends: str = ""
    listed_by: str = ""

    @property
    def title(self) -> str:
        """The name of the field that stands for the record."""
        texts = [field for field in self.fields if field.type == "str" and field.editable]
        return next((field.name for field in texts if field.required), texts[0].name if texts else "id")

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.required)

    @property
    def editable(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.editable)

    @property
    def least(self) -> dict[str, str]:
        """The smallest value of each number that has one."""
        return {field.name: field.least for field in self.fields if field.least}

    def has(self, name: str) -> bool:
        return any(field.name == name for field in self.fields)


class Use(msgspec.Struct, frozen=True, order=True):
    """A capability of the catalog put to work on a kind of record."""

    capability: str
    entity: str


class Criterion(msgspec.Struct, frozen=True):
    id: str
    text: str


class Requirement(msgspec.Struct, frozen=True):
    """A numbered wish; `quote` is what was said in `source`, empty where the templates added it."""

    id: str
    title: str
    quote: str = ""
    uses: tuple[Use, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    source: str = "the brief"


class Feature(msgspec.Struct, frozen=True):
    """A requirement that became a named journal."""

    slug: str
    title: str
    requirement: str
    criteria: tuple[Criterion, ...]


class Built(msgspec.Struct, frozen=True):
    """A capability in this project: its module, its kind of record, and a second kind where it has one."""

    module: str
    title: str
    about: str
    e: Entity
    other: Entity
    commands: tuple[tuple[str, str], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    example: str = ""


class Spec(msgspec.Struct, frozen=True):
    """The whole project. `caps` are in the order in which the command line shows them."""

    title: str
    package: str
    entities: tuple[Entity, ...]
    requirements: tuple[Requirement, ...]
    caps: tuple[Built, ...]
    features: tuple[Feature, ...] = ()

    @property
    def primary(self) -> Entity:
        return self.entities[0]

    @property
    def modules(self) -> tuple[Built, ...]:
        """The capabilities that have a module of their own; the others are what the core holds anyway."""
        return tuple(cap for cap in self.caps if cap.commands)

    @property
    def made_elsewhere(self) -> tuple[str, ...]:
        return tuple(entity.label for entity in self.entities if entity.made_by)

    @property
    def listed_elsewhere(self) -> tuple[str, ...]:
        return tuple(entity.label for entity in self.entities if entity.listed_by)

    @property
    def several(self) -> bool:
        """Whether a person has to say which kind of record a command is about."""
        return len(self.entities) > 1

    def entity(self, key: str) -> Entity:
        return next((one for one in self.entities if one.key == key), self.primary)
