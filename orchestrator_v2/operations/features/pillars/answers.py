"""What the operations on design pillars answer, one model for each operation.

What no schema can say about an answer is `checks.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator_v2.operations.handler import Answer, Prose

Criterion = Literal["clear", "distinctive", "actionable", "testable"]
Side = Literal["experience", "mechanics", "audience", "theme", "feasibility", "differentiation"]
Aspect = Literal["title", "genre", "audience", "core_loop", "platform", "constraints"]
Severity = Literal["info", "minor", "major", "critical"]
SIDES: tuple[Side, ...] = ("experience", "mechanics", "audience", "theme", "feasibility", "differentiation")


class Issue(Answer):
    """What one pillar lacks, by which criterion."""

    criterion: Criterion
    severity: Severity
    statement: Prose
    suggestion: Prose = ""


class PillarVerdict(Answer):
    """Whether this is a design pillar; `score` is 0 to 100."""

    name: Prose
    verdict: Literal["pillar", "weak", "not_a_pillar"]
    score: int = Field(ge=0, le=100)
    issues: list[Issue] = Field(default=[], max_length=50)


class Validation(Answer):
    """One verdict for each pillar; `set_issues` concern several of them, or their number."""

    pillars: list[PillarVerdict]
    set_issues: list[Prose] = Field(default=[], max_length=50)
    score: int = Field(ge=0, le=100)
    summary: Prose


class Change(Answer):
    what: Prose
    why: Prose


class Improved(Answer):
    """A pillar rewritten. `name` is the one it has, `new_name` the one proposed (the same where it is kept);
    `questions` are for the designer: what the data does not say.
    """

    name: Prose
    new_name: Prose
    description: Prose
    changes: list[Change] = Field(default=[], max_length=30)
    questions: list[Prose] = Field(default=[], max_length=30)


class Improvement(Answer):
    pillars: list[Improved]
    summary: Prose


class SideCover(Answer):
    """How one side of the game is covered, and by which pillars."""

    side: Side
    coverage: Literal["covered", "partly", "missing"]
    pillars: list[Prose]
    reason: Prose


class Gap(Answer):
    """What no pillar decides; `question` is the decision that stays open for it."""

    side: Side
    severity: Severity
    statement: Prose
    question: Prose


class Completeness(Answer):
    sides: list[SideCover]
    gaps: list[Gap] = Field(default=[], max_length=50)
    score: int = Field(ge=0, le=100)
    summary: Prose


class Contradiction(Answer):
    """Two pillars that pull apart: where it is felt, and how both can stand."""

    first: Prose
    second: Prose
    severity: Literal["minor", "major", "critical"]
    tension: Prose
    reconcile: Prose


class Contradictions(Answer):
    """`coherent` is true where no contradiction is major or critical."""

    contradictions: list[Contradiction] = Field(default=[], max_length=200)
    coherent: bool
    summary: Prose


class Addition(Answer):
    """A new pillar, the sides that it fills and why it is needed."""

    name: Prose
    description: Prose
    fills: list[Side]
    reason: Prose


class Additions(Answer):
    suggestions: list[Addition] = Field(default=[], max_length=6)
    summary: Prose


class Mismatch(Answer):
    """Where a pillar does not fit what is said of the game."""

    aspect: Aspect
    severity: Literal["minor", "major", "critical"]
    statement: Prose
    suggestion: Prose


class PillarFit(Answer):
    """How one pillar fits the game; `unknown` where the data does not say enough to tell."""

    name: Prose
    fit: Literal["strong", "partial", "weak", "unknown"]
    reasons: list[Prose] = Field(default=[], max_length=30)
    mismatches: list[Mismatch] = Field(default=[], max_length=50)


class ContextFit(Answer):
    """`missing` are the aspects of the game of which the request says nothing."""

    pillars: list[PillarFit]
    missing: list[Aspect]
    summary: Prose
