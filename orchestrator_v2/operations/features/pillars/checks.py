"""What has to hold of an answer about pillars beside its schema, each fault as a sentence that the model is told.

The rules stand in words in the operations' templates as well; the shapes are `answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator_v2.llm.structured import clean_text
from orchestrator_v2.operations.features.pillars.answers import (
    SIDES,
    Additions,
    Completeness,
    ContextFit,
    Contradictions,
    Improved,
    Improvement,
    PillarFit,
    PillarVerdict,
    Validation,
)
from orchestrator_v2.operations.features.pillars.schemas import AdditionsRequest, PillarRequest, same

# The lowest score of each verdict.
PILLAR, WEAK = 70, 40
HEAVY = ("major", "critical")


def verdict_of(score: int) -> str:
    return "pillar" if score >= PILLAR else "weak" if score >= WEAK else "not_a_pillar"


def check_validation(request: PillarRequest, answer: Validation) -> Iterator[str]:
    yield from _each_once([one.name for one in answer.pillars], request.names)
    for one in answer.pillars:
        yield from _verdict_faults(one)
    scores = [one.score for one in answer.pillars] or [answer.score]
    if not min(scores) <= answer.score <= max(scores):
        yield f"score: {answer.score} lies outside the pillars' own scores, {min(scores)} to {max(scores)}"


def _verdict_faults(one: PillarVerdict) -> Iterator[str]:
    wanted = verdict_of(one.score)
    if one.verdict != wanted:
        yield f"{one.name!r}: a score of {one.score} goes with the verdict {wanted}, not {one.verdict}"
    if one.verdict == "pillar" and any(issue.severity == "critical" for issue in one.issues):
        yield f"{one.name!r}: it has a critical issue and yet the verdict pillar"
    if one.verdict != "pillar" and all(issue.severity == "info" for issue in one.issues):
        yield f"{one.name!r}: the verdict {one.verdict} needs an issue that explains it"


def check_improvement(request: PillarRequest, answer: Improvement) -> Iterator[str]:
    yield from _each_once([one.name for one in answer.pillars], request.names)
    new = [same(one.new_name) for one in answer.pillars]
    for one, name in zip(answer.pillars, new, strict=True):
        if new.count(name) > 1:
            yield f"new_name {one.new_name!r} is given to more than one pillar"
    before = {pillar.name: pillar.description for pillar in request.pillars}
    for one in answer.pillars:
        if one.name in before:
            yield from _rewrite_faults(one, before[one.name])


def _rewrite_faults(one: Improved, before: str) -> Iterator[str]:
    if not one.new_name.strip() or not one.description.strip():
        yield f"{one.name!r}: new_name and description must not be empty"
    renamed = same(one.new_name) != same(one.name)
    if (renamed or same(one.description) != same(clean_text(before))) and not one.changes:
        yield f"{one.name!r} was changed, and changes does not say what and why"
    if (one.new_name, one.description) == (one.name, clean_text(before)) and one.changes:
        yield f"{one.name!r} is as it was, and yet changes names something"


def check_completeness(request: PillarRequest, answer: Completeness) -> Iterator[str]:
    yield from _each_once([one.side for one in answer.sides], SIDES, "side")
    gaps = {gap.side for gap in answer.gaps}
    for one in answer.sides:
        yield from _known(one.pillars, request.names, f"side {one.side}")
        if (one.coverage == "missing") == bool(one.pillars):
            yield f"side {one.side}: {one.coverage} with {len(one.pillars)} pillars; missing means none, else name them"
        if (one.coverage == "covered") == (one.side in gaps):
            yield f"side {one.side}: {one.coverage}; a gap is named for each side that is not covered, and no other"
    covered = sum(one.coverage == "covered" for one in answer.sides)
    if (covered == len(SIDES)) != (answer.score == 100):
        yield f"score: {answer.score} with {covered} of {len(SIDES)} sides covered; 100 means all of them, and back"


def check_contradictions(request: PillarRequest, answer: Contradictions) -> Iterator[str]:
    pairs = [frozenset((one.first, one.second)) for one in answer.contradictions]
    for one, pair in zip(answer.contradictions, pairs, strict=True):
        where = f"{one.first!r} and {one.second!r}"
        yield from _known([one.first, one.second], request.names, "contradictions")
        if pairs.count(pair) > 1:
            yield f"the pair {where} is named more than once"
        if not one.tension.strip() or not one.reconcile.strip():
            yield f"the pair {where}: tension and reconcile must not be empty"
    heavy = any(one.severity in HEAVY for one in answer.contradictions)
    if answer.coherent == heavy:
        yield f"coherent is {str(answer.coherent).lower()}; it is true exactly where nothing is major or critical"


def check_additions(request: AdditionsRequest, answer: Additions) -> Iterator[str]:
    if len(answer.suggestions) > request.at_most:
        yield f"there are {len(answer.suggestions)} suggestions, at most {request.at_most} are wanted"
    taken = {same(name) for name in request.names}
    said = {same(pillar.description) for pillar in request.pillars if pillar.description.strip()}
    for one in answer.suggestions:
        if same(one.name) in taken:
            yield f"the name {one.name!r} is taken by another pillar"
        if same(one.description) in said:
            yield f"{one.name!r} says what another pillar says already"
        if not one.name.strip() or not one.description.strip():
            yield "a suggestion's name and description must not be empty"
        if not one.fills or len(set(one.fills)) < len(one.fills):
            yield f"{one.name!r}: fills names at least one side, and each once"
        taken.add(same(one.name))
        said.add(same(one.description))


def check_context(request: PillarRequest, answer: ContextFit) -> Iterator[str]:
    yield from _each_once([one.name for one in answer.pillars], request.names)
    missing = request.game.missing()
    if sorted(answer.missing) != sorted(missing):
        yield f"missing: the request says nothing of {', '.join(missing) or 'no aspect'}; name these and no other"
    for one in answer.pillars:
        yield from _fit_faults(one, missing)
        if len(missing) == len(type(request.game).model_fields) and one.fit != "unknown":
            yield f"{one.name!r}: nothing is said of the game, so its fit is unknown"


def _fit_faults(one: PillarFit, missing: Sequence[str]) -> Iterator[str]:
    for aspect in sorted({it.aspect for it in one.mismatches if it.aspect in missing}):
        yield f"{one.name!r}: a mismatch with {aspect}, of which the request says nothing"
    heavy = any(it.severity in HEAVY for it in one.mismatches)
    if heavy != (one.fit == "weak"):
        yield f"{one.name!r}: fit is {one.fit}; it is weak exactly where a mismatch is major or critical"
    if one.mismatches and one.fit in ("strong", "unknown"):
        yield f"{one.name!r}: fit is {one.fit}, and yet there is a mismatch"


def _each_once(given: Sequence[str], wanted: Sequence[str], what: str = "pillar") -> Iterator[str]:
    for name in wanted:
        count = given.count(name)
        if count != 1:
            yield f"the {what} {name!r} is there {count} times, it must be there once"
    yield from (f"there is no {what} {name!r}" for name in dict.fromkeys(given) if name not in wanted)


def _known(given: Sequence[str], names: Sequence[str], where: str) -> Iterator[str]:
    yield from (f"{where}: there is no pillar {name!r}" for name in dict.fromkeys(given) if name not in names)
    if len(set(given)) < len(given):
        yield f"{where}: a pillar is named twice"
