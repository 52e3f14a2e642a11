"""Words to meaning: which capabilities and kinds of records of the catalog a phrase speaks of.

The words themselves are data in `catalog/*.toml`; putting them together to a project is `drafting.py`.
"""

from __future__ import annotations

import re
from functools import cache

from orchestrator_v2.agents.simulated import clean, naming
from orchestrator_v2.agents.simulated.catalog import Catalog
from orchestrator_v2.agents.simulated.quoting import a
from orchestrator_v2.agents.simulated.reading import kept, vocabulary
from orchestrator_v2.agents.simulated.spec import Entity, Field

LONGEST_LABEL = 24
_SHORTEST_PLURAL = 4
# Code in a brief is no wish: tags of HTML, and calls such as `alert(1)`.
_CODE = re.compile(r"</?[A-Za-z][^<>]{0,500}>|[A-Za-z_][\w.]{0,80}\((?:['\"\d][^()\n]{0,200})?\)")
_TAKEN = frozenset({"entry", "record"})
_SIBILANT = ("s", "x", "z", "ch", "sh")


@cache
def _actors() -> re.Pattern[str]:
    # The border stands before the choice, not in each of its parts: it is looked at once for each place in a text.
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, vocabulary().actors))})(?!\w)", re.IGNORECASE)


def capabilities_in(text: str, catalog: Catalog) -> list[str]:
    """Capabilities that the text names, in the order of the text, then of the catalog."""
    return catalog.capability_words.find(_meant(text))


def entities_in(text: str, catalog: Catalog) -> list[str]:
    """Kinds of records that the text names, in the order of the text."""
    return catalog.entity_words.find(_meant(text))


def _meant(text: str) -> str:
    """The text without code, and without saying who acts: "users can print" asks for printing, not for users."""
    return _actors().sub(" ", _CODE.sub(" ", clean.loud(text)))


def own_entity(subject: str, catalog: Catalog) -> Entity | None:
    """A kind of record named after the project's subject: "Beehive tracker" keeps beehives, "Chess" chess entries.

    None where no noun is left besides those that name a capability ("Team board").
    """
    words = [
        word
        for word in naming.ascii_words(_meant(subject))
        if word not in vocabulary().fillers and word.isalpha() and len(word) > 2
    ]
    abilities = {word for word in set(words) if catalog.capability_words.find(word)}
    words = [word for word in words if word not in abilities]
    letters = sum(sign.isalpha() for sign in subject)
    if not words or sum(map(len, words)) * 4 < letters:
        return None
    label = " ".join(words[-2:]) if len(" ".join(words[-2:])) <= LONGEST_LABEL else words[-1][:LONGEST_LABEL]
    if is_plural(label):
        return kind_named(singular(label))
    return kind_named(label if collects(subject) else f"{label} entry")


def collects(subject: str) -> bool:
    """Whether the subject says that it keeps many of something ("tracker"), so that its noun is what it keeps."""
    return not vocabulary().collecting.isdisjoint(naming.ascii_words(subject))


def kind_in(phrase: str, catalog: Catalog) -> Entity | None:
    """The kind of record that a phrase of one plural noun asks for ("photos"), if nobody knows it otherwise."""
    words = [word for word in kept(phrase).casefold().split() if word not in vocabulary().articles]
    word = words[0] if len(words) == 1 else ""
    if not (word.isascii() and word.isalpha() and is_plural(word)) or word in vocabulary().fillers:
        return None
    kind = None if catalog.capability_words.find(word) else kind_named(singular(word))
    return None if kind is None or kind.key in _TAKEN else kind


def kind_named(label: str) -> Entity:
    """A kind of record that is known by its name only: it has a name and details."""
    return Entity(
        key=naming.identifier(label, "item"),
        cls=naming.class_name(label),
        label=label,
        plural=plural(label),
        about=f"What this project keeps: {a(label)}.",
        fields=(Field("name", required=True), Field("details")),
        sample=f"First {label}",
    )


def is_plural(word: str) -> bool:
    """Whether an English noun seems to be a plural."""
    return len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith(("ss", "us", "is", "ics", "ways"))


def singular(word: str) -> str:
    """The singular of an English plural."""
    if word.endswith("ies") and len(word) > _SHORTEST_PLURAL:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "zzes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def plural(word: str) -> str:
    """The plural of an English noun."""
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(_SIBILANT) else f"{word}s"
