"""How pillars fit what is said of the game: its audience, platform, limits, genre and loop, by their words.

The pairs of words that do not fit are data (`words.py`); what the pillars do to each other is `pulling.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator_v2.agents.simulated.clean import short
from orchestrator_v2.operations.features.pillars.answers import ContextFit, Mismatch, PillarFit
from orchestrator_v2.operations.features.pillars.checks import HEAVY
from orchestrator_v2.operations.features.pillars.reading import Read, ReadRequest
from orchestrator_v2.operations.features.pillars.schemas import ASPECTS, PillarRequest
from orchestrator_v2.operations.features.pillars.specialists import Findings
from orchestrator_v2.operations.features.pillars.words import words
from orchestrator_v2.operations.handler import Finding

FITTERS = ("audience", "technology", "scope", "coherence")
_MOST_WORDS = 4


def find_misfits(agent: str, request: PillarRequest, read: ReadRequest) -> list[Finding]:
    """What does not fit, in this agent's charge; `about` is the pillar's name."""
    return [finding for who, _, finding in _misfits(request, read) if who == agent]


def fold_fit(request: PillarRequest, read: ReadRequest, findings: Findings) -> ContextFit:
    """One fit for each pillar: weak where something heavy is against it, strong where it shares the game's words."""
    told = {(one.about, one.statement): one.severity for given in findings.values() for one in given}
    fits = []
    for pillar in read.pillars:
        mismatches = [
            Mismatch.model_validate({**one.model_dump(), "aspect": aspect, "severity": told[one.about, one.statement]})
            for _, aspect, one in _misfits(request, read)
            if one.about == pillar.name and told.get((one.about, one.statement), "info") != "info"
        ]
        fits.append(_fit(pillar, mismatches, read))
    counts = [sum(one.fit == kind for one in fits) for kind in ("strong", "partial", "weak", "unknown")]
    missing = request.game.missing()
    summary = f"{counts[0]} strong, {counts[1]} partial, {counts[2]} weak, {counts[3]} unknown"
    untold = f"; nothing is said of {', '.join(missing)}." if missing else "."
    return ContextFit.model_validate(
        {"pillars": [one.model_dump() for one in fits], "missing": missing, "summary": summary + untold}
    )


def _misfits(request: PillarRequest, read: ReadRequest) -> Iterator[tuple[str, str, Finding]]:
    """Agent, aspect and finding."""
    for pillar in read.pillars:
        for number, misfit in enumerate(words().misfits):
            if f"misfit:{number}" in pillar.meant and f"when:{number}" in read.game_meant[misfit.aspect]:
                said = short(request.game.said(misfit.aspect), 80)
                statement = f"{misfit.aspect.replace('_', ' ').capitalize()} (“{said}”): {misfit.statement}."
                found = {"about": pillar.name, "severity": misfit.severity, "statement": statement}
                yield misfit.agent, misfit.aspect, Finding.model_validate({**found, "suggestion": misfit.suggestion})


def _fit(pillar: Read, mismatches: Sequence[Mismatch], read: ReadRequest) -> PillarFit:
    reasons = list(_reasons(pillar, read))
    if any(one.severity in HEAVY for one in mismatches):
        kind = "weak"
    elif mismatches:
        kind = "partial"
    elif reasons:
        kind = "strong"
    else:
        kind, reason = _untied(pillar, read)
        reasons = [reason]
    told = {"name": pillar.name, "fit": kind, "reasons": reasons}
    return PillarFit.model_validate({**told, "mismatches": [one.model_dump() for one in mismatches]})


def _reasons(pillar: Read, read: ReadRequest) -> Iterator[str]:
    for aspect in ASPECTS:
        shared = sorted(pillar.content & read.game_content[aspect])
        if shared:
            named = ", ".join(f"“{word}”" for word in shared[:_MOST_WORDS])
            yield f"It shares {named} with the game's {aspect.replace('_', ' ')}."


def _untied(pillar: Read, read: ReadRequest) -> tuple[str, str]:
    if not any(read.game_content.values()):
        return "unknown", "Too little is said of the game."
    if not pillar.known:
        return "unknown", "Its words are in no language that is read here."
    return "partial", "Nothing found speaks against it, and no word ties it to this game."
