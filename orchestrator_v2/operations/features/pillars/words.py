"""The words by which simulated answers read pillars: data from `subagent_prompts/operations/pillars/simulated`.

What is made of a text with them is `reading.py`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from orchestrator_v2.agents.simulated.word_index import WordIndex
from orchestrator_v2.agents.templates import template_root
from orchestrator_v2.operations.features.pillars.answers import Aspect, Side


class SideWords(msgspec.Struct, frozen=True):
    """A side of a game: the question it answers, and the words that speak of it."""

    asks: str
    words: tuple[str, ...]


class Other(msgspec.Struct, frozen=True):
    """What is taken for a pillar, and is none."""

    what: str
    words: tuple[str, ...]


class Axis(msgspec.Struct, frozen=True):
    """Two poles; `agent` looks for it, `felt` says where the pull is felt, `reconcile` how both can stand."""

    agent: str
    severity: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    felt: str
    reconcile: str


class Misfit(msgspec.Struct, frozen=True):
    """What a game's aspect says (`when`) against what a pillar asks for (`words`)."""

    aspect: Aspect
    agent: str
    severity: str
    when: tuple[str, ...]
    words: tuple[str, ...]
    statement: str
    suggestion: str


class Filling(msgspec.Struct, frozen=True, rename={"told_of": "from", "told": "with", "untold": "without"}):
    """A pillar for a side that has none: `told` holds {said}, what the game says of the aspect `told_of`."""

    side: Side
    names: tuple[str, ...]
    told_of: Aspect
    told: str
    untold: str


class Words(msgspec.Struct, frozen=True):
    """All of the catalog."""

    small: frozenset[str]
    negators: tuple[str, ...]
    vague: tuple[str, ...]
    loud: tuple[str, ...]
    generic: frozenset[str]
    actions: tuple[str, ...]
    tests: tuple[str, ...]
    others: tuple[Other, ...]
    sides: dict[Side, SideWords]
    axes: tuple[Axis, ...]
    misfits: tuple[Misfit, ...]
    additions: tuple[Filling, ...]


@cache
def words() -> Words:
    """Reads the shipped words once."""
    path = template_root() / "operations" / "pillars" / "simulated" / "words.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Words)


@cache
def negated() -> re.Pattern[str]:
    """A negator with the one or two words behind it."""
    listed = "|".join(re.escape(word) for word in sorted(words().negators, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{listed})((?:\s+[\w-]+){{1,2}})", re.IGNORECASE)


class Meanings:
    """Finds the catalog's words in a text; a word after a negator is not found, unless the catalog has it with one."""

    def __init__(self, listed: Iterable[tuple[str, str]]) -> None:
        negators = set(words().negators)
        plain: dict[str, list[str]] = {}
        negative: dict[str, list[str]] = {}
        for key, word in listed:
            starts = word.removesuffix("*").split()[0] in negators
            (negative if starts else plain).setdefault(key, []).append(word)
        self._plain, self._negative = WordIndex(plain), WordIndex(negative)

    def find(self, text: str) -> frozenset[str]:
        asserted = negated().sub(" ", text)
        return frozenset((*self._plain.find(asserted), *self._negative.find(text)))


@cache
def meanings() -> Meanings:
    """Keys: `action`, `test`, `vague:fun`, `loud:very`, `other:a choice of technology`, `side:theme`, `axis:0:left`,
    `misfit:3`, `when:3`.
    """
    return Meanings(_listed(words()))


def _listed(found: Words) -> Iterator[tuple[str, str]]:
    yield from (("action", word) for word in found.actions)
    yield from (("test", word) for word in found.tests)
    yield from ((f"vague:{word}", word) for word in found.vague)
    yield from ((f"loud:{word}", word) for word in found.loud)
    for name, side in found.sides.items():
        yield from ((f"side:{name}", word) for word in side.words)
    yield from ((f"other:{other.what}", word) for other in found.others for word in other.words)
    for number, axis in enumerate(found.axes):
        yield from ((f"axis:{number}:left", word) for word in axis.left)
        yield from ((f"axis:{number}:right", word) for word in axis.right)
    for number, misfit in enumerate(found.misfits):
        yield from ((f"misfit:{number}", word) for word in misfit.words)
        yield from ((f"when:{number}", word) for word in misfit.when)
