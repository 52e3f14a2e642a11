"""Pillars that pull against each other, by words that stand at two poles and by what one rules out and another asks.

The poles are data (`words.py`); one pillar that pulls both ways by itself is `judging.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from orchestrator_v2.agents.simulated.clean import counted
from orchestrator_v2.operations.features.pillars.answers import Contradiction, Contradictions
from orchestrator_v2.operations.features.pillars.checks import HEAVY
from orchestrator_v2.operations.features.pillars.reading import Read, ReadRequest
from orchestrator_v2.operations.features.pillars.schemas import PillarRequest
from orchestrator_v2.operations.features.pillars.specialists import Findings
from orchestrator_v2.operations.features.pillars.words import words
from orchestrator_v2.operations.handler import Finding

PULLERS = ("experience", "systems", "people", "scope", "coherence")
_RANK = ("minor", "major", "critical")
_MOST_WORDS = 5


def find_pulls(agent: str, read: ReadRequest) -> list[Finding]:
    """What this agent sees between two pillars; `about` names both."""
    look = _refusals if agent == "coherence" else _poles
    return [found for one, other in combinations(read.pillars, 2) for found in look(agent, one, other)]


def fold_pulls(request: PillarRequest, read: ReadRequest, findings: Findings) -> Contradictions:
    """One contradiction for each pair, the heaviest first, with all that was seen between the two."""
    told: dict[str, list[Finding]] = {}
    for agent in PULLERS:
        for one in findings.get(agent, ()):
            told.setdefault(one.about, []).append(one)
    pairs = [
        (one, other, told[_label(one, other)])
        for one, other in combinations(read.pillars, 2)
        if _label(one, other) in told
    ]
    found = sorted((_contradiction(*pair) for pair in pairs), key=lambda one: -_RANK.index(one.severity))
    heavy = sum(one.severity in HEAVY for one in found)
    summary = f"{counted(len(found), 'pair')} of {_count(read)} pull apart, {heavy} of them heavily."
    unread = sum(not pillar.known for pillar in read.pillars)
    if unread:
        summary += f" {counted(unread, 'pillar')} are in a language that is not read here."
    return Contradictions(contradictions=found, coherent=not heavy, summary=summary)


def _count(read: ReadRequest) -> int:
    return len(read.pillars) * (len(read.pillars) - 1) // 2


def _contradiction(one: Read, other: Read, told: Sequence[Finding]) -> Contradiction:
    severity = max(
        (finding.severity for finding in told if finding.severity in _RANK), key=_RANK.index, default="minor"
    )
    ways = [*dict.fromkeys(finding.suggestion for finding in told), *_first_by_priority(one, other)]
    return Contradiction.model_validate(
        {
            "first": one.name,
            "second": other.name,
            "severity": severity,
            "tension": " ".join(dict.fromkeys(finding.statement for finding in told)),
            "reconcile": " ".join(ways),
        }
    )


def _first_by_priority(one: Read, other: Read) -> Iterator[str]:
    if one.priority is not None and other.priority is not None and one.priority != other.priority:
        first = one if one.priority < other.priority else other
        yield f"Where both cannot be had, “{first.name}” goes first by its priority."


def _poles(agent: str, one: Read, other: Read) -> Iterator[Finding]:
    for number, axis in enumerate(words().axes):
        if axis.agent == agent and {_pole(number, one), _pole(number, other)} == {"left", "right"}:
            yield _finding(one, other, axis.severity, f"{axis.felt.capitalize()}.", axis.reconcile)


def _pole(axis: int, pillar: Read) -> str:
    """left, right, or the empty string where the pillar is at neither or at both."""
    at = [pole for pole in ("left", "right") if f"axis:{axis}:{pole}" in pillar.meant]
    return at[0] if len(at) == 1 else ""


def _refusals(agent: str, one: Read, other: Read) -> Iterator[Finding]:
    for refusing, asking in ((one, other), (other, one)):
        both = sorted(refusing.ruled_out & asking.content)[:_MOST_WORDS]
        if both:
            named = ", ".join(f"“{word}”" for word in both)
            statement = f"“{refusing.name}” rules out what “{asking.name}” speaks of: {named}."
            yield _finding(one, other, "major", statement, "Say what exactly is ruled out, and what is still allowed.")


def _finding(one: Read, other: Read, severity: str, statement: str, suggestion: str) -> Finding:
    found = {"about": _label(one, other), "severity": severity, "statement": statement, "suggestion": suggestion}
    return Finding.model_validate(found)


def _label(one: Read, other: Read) -> str:
    return f"“{one.name}” and “{other.name}”"
