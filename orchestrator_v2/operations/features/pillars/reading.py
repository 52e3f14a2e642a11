"""What can be measured in pillars without a model: their length, their words, what they share and what they rule out.

Which words mean what is `words.py`; what follows for an answer is said beside each operation.
"""

from __future__ import annotations

import re

import msgspec

from orchestrator_v2.operations.features.pillars.answers import Side
from orchestrator_v2.operations.features.pillars.schemas import ASPECTS, PillarRequest, same
from orchestrator_v2.operations.features.pillars.words import meanings, negated, words

# A pillar is a sentence or two; of a longer text the words beyond this many characters are not read.
READ_CHARS = 2_000
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)]*\s+|(?<=[。！？।])\s*")
_SPACELESS = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{2,}")


class Read(msgspec.Struct, frozen=True):
    """One pillar as it was read.

    `said` is the description as `same` has it, `content` are the words that say what it is about, `ruled_out` those
    behind a negator, `meant` the catalog's keys in name and description, `backed` those in the description alone.
    `known` is False where the language is not one that the catalog knows: then nothing follows from a word that was
    not found.
    """

    name: str
    description: str
    said: str
    priority: int | None
    words: int
    sentences: tuple[str, ...]
    content: frozenset[str]
    ruled_out: frozenset[str]
    meant: frozenset[str]
    backed: frozenset[str]
    known: bool

    def listed(self, kind: str) -> list[str]:
        """The catalog's words of one kind in the description, as `vague`, in alphabetical order; a stem ends in `…`."""
        found = (key.removeprefix(f"{kind}:") for key in self.backed if key.startswith(f"{kind}:"))
        return sorted(word.replace("*", "…") for word in found)


class ReadRequest(msgspec.Struct, frozen=True):
    """All pillars as they were read, and of each aspect of the game its words and keys."""

    pillars: tuple[Read, ...]
    game_content: dict[str, frozenset[str]]
    game_meant: dict[str, frozenset[str]]


def read_request(request: PillarRequest) -> ReadRequest:
    said = {aspect: request.game.said(aspect) for aspect in ASPECTS}
    return ReadRequest(
        tuple(_read(pillar.name, pillar.description, pillar.priority) for pillar in request.pillars),
        {aspect: content_words(text) for aspect, text in said.items()},
        {aspect: meanings().find(text[:READ_CHARS]) for aspect, text in said.items()},
    )


def _read(name: str, description: str, priority: int | None) -> Read:
    text = description.strip()[:READ_CHARS]
    tokens = _tokens(f"{name} {text}")
    backed = meanings().find(text)
    meant = backed | meanings().find(name)
    spaceless = sum(len(one[0]) for one in _SPACELESS.finditer(text))
    return Read(
        name=name,
        description=description,
        said=same(description),
        priority=priority,
        words=len(_tokens(text)) + spaceless // 2,  # two signs of a script without spaces are about a word
        sentences=sentences(text),
        content=content_words(negated().sub(" ", f"{name}. {text}")),
        ruled_out=frozenset().union(*(content_words(one[1]) for one in negated().finditer(f"{name}. {text}"))),
        meant=meant,
        backed=backed,
        known=bool(meant) or any(token in words().small for token in tokens),
    )


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, those without a letter or digit left out."""
    parts = (" ".join(part.split()) for part in _SENTENCE_END.split(text) if part)
    return tuple(part for part in parts if any(sign.isalnum() for sign in part))


def content_words(text: str) -> frozenset[str]:
    """The words that say what a text is about; of scripts without spaces, each two signs that stand together."""
    text = same(text[:READ_CHARS])
    pairs = {run[at : at + 2] for run in _SPACELESS.findall(text) for at in range(len(run) - 1)}
    vague = words().vague
    plain = {_stem(token) for token in set(_tokens(_SPACELESS.sub(" ", text))) if len(token) > 2 and token not in vague}
    return frozenset(pairs | {word for word in plain if word not in words().small})


def overlap(one: Read, other: Read) -> float:
    """How much two pillars say with the same words, 0 to 1; 0 where one of them has fewer than three."""
    if min(len(one.content), len(other.content)) < 3:
        return 0.0
    return len(one.content & other.content) / len(one.content | other.content)


def covers(read: Read, side: Side, request: ReadRequest) -> str:
    """`backed` by the description, only `named`, or the empty string."""
    key = f"side:{side}"
    # What the game says of its own audience and limits are words for these sides, too.
    aspects = {"audience": ("audience",), "feasibility": ("constraints", "platform"), "theme": ("title",)}
    shared = any(read.content & request.game_content[aspect] for aspect in aspects.get(side, ()))
    if key in read.backed or shared:
        return "backed"
    return "named" if key in read.meant else ""


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word
