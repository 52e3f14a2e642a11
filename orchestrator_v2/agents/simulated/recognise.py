"""Words to meaning: which capabilities and kinds of records of the catalog a phrase speaks of.

The words themselves are data in `catalog/*.toml`; putting them together to a project is `drafting.py`.
"""

from __future__ import annotations

from orchestrator_v2.agents.simulated import naming
from orchestrator_v2.agents.simulated.catalog import Catalog
from orchestrator_v2.agents.simulated.quoting import a
from orchestrator_v2.agents.simulated.reading import vocabulary
from orchestrator_v2.agents.simulated.spec import Entity, Field

LONGEST_LABEL = 24


def capabilities_in(text: str, catalog: Catalog) -> list[str]:
    """Capabilities that the text names, in the order of the text, then of the catalog."""
    return catalog.capability_words.find(text)


def entities_in(text: str, catalog: Catalog) -> list[str]:
    """Kinds of records that the text names, in the order of the text."""
    return catalog.entity_words.find(text)


def own_entity(subject: str, catalog: Catalog) -> Entity | None:
    """A kind of record named after the project's subject: "Beehive tracker" keeps beehives.

    None where no noun is left besides those that name a capability ("Team board").
    """
    words = [
        word
        for word in naming.ascii_words(subject)
        if word not in vocabulary().fillers and word.isalpha() and len(word) > 2
    ]
    words = [word for word in words if not catalog.capability_words.find(word)]
    letters = sum(sign.isalpha() for sign in subject)
    if not words or sum(map(len, words)) * 4 < letters:
        return None
    label = " ".join(words[-2:]) if len(" ".join(words[-2:])) <= LONGEST_LABEL else words[-1][:LONGEST_LABEL]
    singular = label.removesuffix("s") if label.endswith("s") and not label.endswith(("ss", "us", "is")) else label
    key = naming.identifier(singular, "item")
    return Entity(
        key=key,
        cls=naming.class_name(singular),
        label=singular,
        plural=_plural(singular),
        about=f"What this project keeps: {a(singular)}.",
        fields=(Field("name", required=True), Field("details")),
        sample=f"First {singular}",
    )


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"
