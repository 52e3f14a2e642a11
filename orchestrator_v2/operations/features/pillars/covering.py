"""Which sides of the game the pillars cover, by their words, and new pillars for the sides that none covers.

What two pillars do to each other is `pulling.py`, how they fit the game `fitting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator_v2.agents.simulated.clean import counted, short
from orchestrator_v2.operations.features.pillars.answers import (
    SIDES,
    Addition,
    Additions,
    Completeness,
    Gap,
    Severity,
    Side,
    SideCover,
)
from orchestrator_v2.operations.features.pillars.reading import ReadRequest, covers
from orchestrator_v2.operations.features.pillars.schemas import AdditionsRequest, PillarRequest, same
from orchestrator_v2.operations.features.pillars.specialists import Findings
from orchestrator_v2.operations.features.pillars.words import Filling, words
from orchestrator_v2.operations.handler import Finding

# Who looks at which side.
LOOKS_AT: Mapping[str, tuple[Side, ...]] = {
    "experience": ("experience", "audience"),
    "systems": ("mechanics",),
    "world": ("theme",),
    "scope": ("feasibility",),
    "distinctiveness": ("differentiation",),
}
# Without these a set of pillars decides little; the others can be decided elsewhere.
_CENTRAL = ("experience", "mechanics")
_WORTH = {"covered": 1.0, "partly": 0.5, "missing": 0.0}
_SAID_CHARS = 120


def find_gaps(agent: str, read: ReadRequest) -> list[Finding]:
    """The sides in this agent's charge that no description speaks of; `about` is the side."""
    return [
        Finding(about=gap.side, severity=gap.severity, statement=gap.statement, suggestion=gap.question)
        for gap in _gaps(read)
        if gap.side in LOOKS_AT[agent]
    ]


def fold_coverage(request: PillarRequest, read: ReadRequest, findings: Findings) -> Completeness:
    """All six sides; a gap weighs what the one who looked at it says."""
    covers_ = [_cover(side, read) for side in SIDES]
    weights = {one.about: one.severity for told in findings.values() for one in told}
    gaps = [gap.model_copy(update={"severity": weights.get(gap.side, gap.severity)}) for gap in _gaps(read)]
    score = round(100 * sum(_WORTH[one.coverage] for one in covers_) / len(SIDES))
    missing = [one.side for one in covers_ if one.coverage == "missing"]
    told = f"Not covered: {', '.join(missing)}." if missing else "No side is without a pillar."
    covered = sum(one.coverage == "covered" for one in covers_)
    return Completeness(
        sides=covers_, gaps=gaps, score=score, summary=f"{covered} of {len(SIDES)} sides are covered. {told}"
    )


def fold_additions(request: AdditionsRequest, read: ReadRequest, findings: Findings) -> Additions:
    """One new pillar for each gap, the widest gaps first, as many as are wanted."""
    gaps = {gap.side: gap for gap in _gaps(read)}
    order = sorted(gaps, key=lambda side: (_cover(side, read).coverage != "missing", SIDES.index(side)))
    fillings = {one.side: one for one in words().additions}
    taken = {same(name) for name in request.names}
    made = [_addition(fillings[side], gaps[side], request, taken) for side in order[: request.at_most]]
    left = len(order) - len(made)
    more = f" {counted(left, 'further gap')} left open." if left else ""
    if not made:
        return Additions(summary="Every side of the game has a pillar; nothing is to be added.")
    return Additions(suggestions=made, summary=f"{counted(len(made), 'pillar')} for what no pillar decides.{more}")


def _cover(side: Side, read: ReadRequest) -> SideCover:
    found = {pillar.name: how for pillar in read.pillars if (how := covers(pillar, side, read))}
    backed = [name for name, how in found.items() if how == "backed"]
    unread = sum(not pillar.known for pillar in read.pillars)
    if backed:
        kind, reason = "covered", f"Said in {counted(len(backed), 'description')}."
    elif found:
        kind, reason = "partly", "Only a name speaks of it; no description says what follows."
    else:
        kind, reason = "missing", "No word that speaks of it was found."
        if unread:
            reason += f" {counted(unread, 'pillar')} are in a language that is not read here and may speak of it."
    return SideCover.model_validate(
        {"side": side, "coverage": kind, "pillars": backed or list(found), "reason": reason}
    )


def _gaps(read: ReadRequest) -> Iterator[Gap]:
    for side in SIDES:
        cover = _cover(side, read)
        if cover.coverage == "covered":
            continue
        heavy = cover.coverage == "missing" and side in _CENTRAL and all(one.known for one in read.pillars)
        statement = f"{side.capitalize()}: {cover.reason}"
        severity: Severity = "major" if heavy else "minor"
        yield Gap(side=side, severity=severity, statement=statement, question=words().sides[side].asks)


def _addition(filling: Filling, gap: Gap, request: PillarRequest, taken: set[str]) -> Addition:
    said = short(request.game.said(filling.told_of), _SAID_CHARS)
    text = filling.told.replace("{said}", said.rstrip(".")) if said else filling.untold
    numbered = (f"{filling.names[0]} {number}" for number in range(2, len(taken) + 3))
    name = next(one for one in (*filling.names, *numbered) if same(one) not in taken)
    return Addition(name=name, description=text, fills=[filling.side], reason=gap.statement)
