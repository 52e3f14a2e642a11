"""What the operations on design pillars are asked with: the pillars, and the game that they are for.

What they answer is `answers.py`; that the request as a whole is sound is said by `operations/types.py`.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from orchestrator_v2.operations.handler import Data, Prose

MAX_PILLARS = 20
ASPECTS = ("title", "genre", "audience", "core_loop", "platform", "constraints")


def same(name: str) -> str:
    """What two names that mean the same thing have in common: no case, no spare spaces, one form of each letter."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _is_name(value: str) -> str:
    """A name that a model can say back as it is."""
    name = value.strip()
    if not name:
        raise ValueError("is empty")
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        raise ValueError("holds a line end or another control character")
    return name


def _is_short(value: str) -> str:
    if len(value) > 120:
        raise ValueError(f"has {len(value):,} characters, 120 are allowed")
    return value


PillarName = Annotated[str, AfterValidator(_is_name), AfterValidator(_is_short)]


class Pillar(Data):
    """One pillar: `description` is a sentence or two; `priority` 1 goes before 2 where two pull apart."""

    name: PillarName
    description: Prose = ""
    priority: int | None = Field(default=None, ge=1, le=100)


class Game(Data):
    """What is known of the game; all of it may be empty."""

    title: Prose = ""
    genre: Prose = ""
    audience: Prose = ""
    core_loop: Prose = ""
    platform: Prose = ""
    constraints: list[Prose] = Field(default=[], max_length=50)

    def said(self, aspect: str) -> str:
        """An aspect as one text; empty where nothing is said."""
        value = getattr(self, aspect)
        return "; ".join(one.strip() for one in value if one.strip()) if isinstance(value, list) else str(value).strip()

    def missing(self) -> list[str]:
        """The aspects of which nothing is said."""
        return [aspect for aspect in ASPECTS if not self.said(aspect)]


class PillarRequest(Data):
    """The pillars of a game, 1 to 20, no two of one name."""

    game: Game = Game()
    pillars: list[Pillar] = Field(min_length=1, max_length=MAX_PILLARS)

    @field_validator("pillars")
    @classmethod
    def _are_unique(cls, pillars: list[Pillar]) -> list[Pillar]:
        names = [same(pillar.name) for pillar in pillars]
        twice = [pillar.name for pillar, name in zip(pillars, names, strict=True) if names.count(name) > 1]
        if twice:
            raise ValueError(f"these names stand there more than once: {', '.join(twice)}")
        return pillars

    @property
    def names(self) -> list[str]:
        return [pillar.name for pillar in self.pillars]


class AdditionsRequest(PillarRequest):
    """`at_most` is how many new pillars are wanted."""

    at_most: int = Field(default=3, ge=1, le=6)
