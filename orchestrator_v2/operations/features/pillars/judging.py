"""Whether pillars are pillars, measured: clear, distinctive, actionable, testable; and the verdicts that follow.

How they are rewritten is `improving.py`; what a real answer has to hold is `checks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import cast

from orchestrator_v2.agents.simulated.clean import counted
from orchestrator_v2.operations.features.pillars.answers import Criterion, Issue, PillarVerdict, Validation
from orchestrator_v2.operations.features.pillars.checks import verdict_of
from orchestrator_v2.operations.features.pillars.reading import READ_CHARS, Read, ReadRequest, overlap
from orchestrator_v2.operations.features.pillars.schemas import PillarRequest, same
from orchestrator_v2.operations.features.pillars.specialists import Findings
from orchestrator_v2.operations.features.pillars.words import words
from orchestrator_v2.operations.handler import Finding

JUDGES: Mapping[str, Criterion] = {
    "clarity": "clear",
    "distinctiveness": "distinctive",
    "experience": "actionable",
    "decisions": "testable",
}
MOST_SENTENCES, MOST_WORDS, FEWEST_WORDS = 2, 60, 4
# A team keeps so many in mind.
MOST_PILLARS = 7
ALIKE = 0.5
_PENALTY = {"critical": 65, "major": 35, "minor": 10, "info": 0}
_MOST_SET_ISSUES = 20


def find_faults(judge: str, read: ReadRequest) -> list[Finding]:
    """What one judge finds; `about` is the pillar's name."""
    return [finding for pillar in read.pillars for finding in _FINDERS[judge](pillar, read)]


def fold_verdicts(request: PillarRequest, read: ReadRequest, findings: Findings) -> Validation:
    """One verdict for each pillar from all that was found about it; each weight takes its points from 100."""
    verdicts = [_verdict(name, list(issues_of(name, findings))) for name in request.names]
    score = sum(one.score for one in verdicts) // len(verdicts)
    counts = [sum(one.verdict == kind for one in verdicts) for kind in ("pillar", "weak", "not_a_pillar")]
    return Validation(
        pillars=verdicts,
        set_issues=list(_set_issues(read))[:_MOST_SET_ISSUES],
        score=score,
        summary=f"Of {counted(len(verdicts), 'pillar')}, {counts[0]} hold, {counts[1]} are weak, {counts[2]} none.",
    )


def issues_of(name: str, findings: Findings) -> Iterator[Issue]:
    """What was found about one pillar, each statement once."""
    told: set[str] = set()
    for judge, criterion in JUDGES.items():
        for one in findings.get(judge, ()):
            if one.about == name and one.statement not in told:
                told.add(one.statement)
                yield Issue(
                    criterion=criterion, severity=one.severity, statement=one.statement, suggestion=one.suggestion
                )


def _verdict(name: str, issues: Sequence[Issue]) -> PillarVerdict:
    score = max(0, 100 - sum(_PENALTY[issue.severity] for issue in issues))
    return PillarVerdict.model_validate(
        {"name": name, "verdict": verdict_of(score), "score": score, "issues": [one.model_dump() for one in issues]}
    )


def _set_issues(read: ReadRequest) -> Iterator[str]:
    count = len(read.pillars)
    if count > MOST_PILLARS:
        yield f"There are {count} pillars; more than {MOST_PILLARS} are a list of features that nobody holds in mind."
    if count == 1:
        yield "One pillar alone cannot be weighed against another."
    for one, other in combinations(read.pillars, 2):
        if _is_repeated(one, other) or overlap(one, other) >= ALIKE:
            yield f"“{one.name}” and “{other.name}” say much the same; keep one, or say what sets them apart."


def _clarity(pillar: Read, read: ReadRequest) -> Iterator[Finding]:
    say = _saying(pillar)
    if not pillar.description.strip():
        yield say("critical", "It has a name and no description.", "Say in one or two sentences what it decides.")
        return
    if pillar.said.rstrip(".!。") == same(pillar.name) or pillar.words < FEWEST_WORDS:
        yield say("major", f"Its description is {counted(pillar.words, 'word')} long.", "Say what it decides, and how.")
    vague = pillar.listed("vague")
    if vague:
        severity = "major" if len(vague) * 2 >= len(pillar.content) else "minor"
        named = ", ".join(f"“{word}”" for word in vague)
        yield say(
            severity, f"Words that any game could use of itself: {named}.", "Say what a player would see instead."
        )
    if len(pillar.sentences) > MOST_SENTENCES or pillar.words > MOST_WORDS:
        yield _too_long(pillar)
    axes = [axis for number, axis in enumerate(words().axes) if _both(number) <= pillar.meant]
    for axis in axes:
        yield say("major", f"It pulls both ways by itself: {axis.felt}.", axis.reconcile)
    if not pillar.known:
        yield say("info", "Its words are in no language that is read here; only its form was judged.", "")


def _too_long(pillar: Read) -> Finding:
    size = f"{counted(len(pillar.sentences), 'sentence')} and {counted(pillar.words, 'word')}"
    beyond = " (of what was read)" if len(pillar.description.strip()) > READ_CHARS else ""
    severity = "major" if len(pillar.sentences) > 3 * MOST_SENTENCES or pillar.words > 3 * MOST_WORDS else "minor"
    return _saying(pillar)(
        severity, f"It has {size}{beyond}.", "Keep what decides; move the rest to the design itself."
    )


def _distinctiveness(pillar: Read, read: ReadRequest) -> Iterator[Finding]:
    say = _saying(pillar)
    if same(pillar.name) in words().generic:
        yield say("minor", "Its name would fit every game.", "Name what is particular to this one.")
    for other in read.pillars:
        if other is pillar:
            continue
        if _is_repeated(pillar, other):
            yield say("major", f"It says word for word what “{other.name}” says.", "Merge the two, or tell them apart.")
        elif overlap(pillar, other) >= ALIKE:
            share = round(100 * overlap(pillar, other))
            yield say(
                "major", f"It shares {share} % of its words with “{other.name}”.", "Merge them, or tell them apart."
            )


def _experience(pillar: Read, read: ReadRequest) -> Iterator[Finding]:
    if pillar.known and pillar.description.strip() and "action" not in pillar.backed:
        yield _saying(pillar)(
            "minor", "No word in it says what the player does or decides.", "Say what the player does because of it."
        )


def _decisions(pillar: Read, read: ReadRequest) -> Iterator[Finding]:
    for what in pillar.listed("other"):
        yield _saying(pillar)("major", f"It is {what}, not of the game's design.", "Say what the player gets of it.")
    testing = pillar.ruled_out or {"test"} & pillar.backed or any(sign.isdigit() for sign in pillar.description)
    if pillar.known and pillar.description.strip() and not testing:
        yield _saying(pillar)(
            "minor", "It rules nothing out and sets no measure.", "Say which tempting feature would be cut for it."
        )


_FINDERS: Mapping[str, Callable[[Read, ReadRequest], Iterator[Finding]]] = {
    "clarity": _clarity,
    "distinctiveness": _distinctiveness,
    "experience": _experience,
    "decisions": _decisions,
}


def _is_repeated(one: Read, other: Read) -> bool:
    return bool(one.said) and one.said == other.said


def _both(axis: int) -> frozenset[str]:
    return frozenset((f"axis:{axis}:left", f"axis:{axis}:right"))


def _saying(pillar: Read) -> Callable[[str, str, str], Finding]:
    def say(severity: str, statement: str, suggestion: str) -> Finding:
        found = {"about": pillar.name, "severity": severity, "statement": statement, "suggestion": suggestion}
        return Finding.model_validate(found)

    return cast(Callable[[str, str, str], Finding], say)
