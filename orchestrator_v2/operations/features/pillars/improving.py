"""Pillars rewritten by rules: what can be cut, tied to the game or shortened without a model, and what cannot be.

Nothing is made up: what the data does not say becomes a question to the designer. The faults are `judging.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from orchestrator_v2.agents.simulated.clean import counted, line, short
from orchestrator_v2.operations.features.pillars.answers import Change, Improved, Improvement
from orchestrator_v2.operations.features.pillars.judging import JUDGES, MOST_SENTENCES
from orchestrator_v2.operations.features.pillars.reading import Read, ReadRequest, sentences
from orchestrator_v2.operations.features.pillars.schemas import PillarRequest, same
from orchestrator_v2.operations.features.pillars.specialists import Findings
from orchestrator_v2.operations.features.pillars.words import words

_MOST_CHARS = 400
_NAME_WORDS = 6
_NAME_END = re.compile(r"\s*[:;,(–—|]\s*|\s+-\s+")
_ENDS = (".", "!", "?", "…", "。", "！", "？")
_QUESTIONS: Mapping[str, str] = {
    "clarity": "What would somebody who watches the game see of it?",
    "distinctiveness": "What does it decide that nothing else decides?",
    "experience": "What does the player do, or feel, because of it?",
    "decisions": "Which tempting feature would be cut for it?",
}

_Rule = Callable[[str, Read, str], tuple[str, Change | None]]


def fold_rewrites(request: PillarRequest, read: ReadRequest, findings: Findings) -> Improvement:
    """One rewrite for each pillar, in the request's order."""
    taken = {same(name) for name in request.names}
    done: list[Improved] = []
    for pillar in read.pillars:
        done.append(_rewrite(pillar, line(request.game.core_loop), taken, findings))
        taken.add(same(done[-1].new_name))
    changed = sum(bool(one.changes) for one in done)
    asked = sum(len(one.questions) for one in done)
    words_ = (
        f"{changed} of {counted(len(done), 'pillar')} rewritten, {counted(asked, 'question')} left to the designer."
    )
    return Improvement(pillars=done, summary=words_)


def _rewrite(pillar: Read, loop: str, taken: set[str], findings: Findings) -> Improved:
    text, changes = pillar.description, []
    for rule in _RULES:
        text, change = rule(text, pillar, loop)
        changes += [change] if change else []
    name = _shorter_name(pillar.name)
    if same(name) in taken:
        name = pillar.name
    if name != pillar.name:
        changes.append(
            Change(what=f"Its name is cut to {counted(len(name.split()), 'word')}.", why="A name is said often.")
        )
    questions = list(_questions(pillar.name, findings))
    return Improved(name=pillar.name, new_name=name, description=text, changes=changes, questions=questions)


def _questions(name: str, findings: Findings) -> Iterator[str]:
    for judge in JUDGES:
        found = next((one for one in findings.get(judge, ()) if one.about == name and one.severity != "info"), None)
        if found:
            yield f"{found.statement} {_QUESTIONS[judge]}"


def _filled(text: str, pillar: Read, loop: str) -> tuple[str, Change | None]:
    if line(text):
        return text, None
    made = pillar.name if pillar.name.endswith(_ENDS) else f"{pillar.name}."
    return made, Change(what="The name stands in for the missing description.", why="There was none to rewrite.")


def _tidy(text: str, pillar: Read, loop: str) -> tuple[str, Change | None]:
    made = line(text)
    made = made if made.endswith(_ENDS) or not made[-1:].isalnum() else f"{made}."
    return made, _changed(text, made, "Spaces and the full stop are in order.", "It is read as a sentence.")


def _quieter(text: str, pillar: Read, loop: str) -> tuple[str, Change | None]:
    made = _loud().sub("", text)
    made = made[:1].upper() + made[1:] if made != text else made
    if not any(sign.isalnum() for sign in made):
        return text, None
    said = ", ".join(f"“{word.strip()}”" for word in dict.fromkeys(_loud().findall(text)))
    return made, _changed(text, made, f"Left out: {said}.", "Such a word makes a claim louder and no clearer.")


def _shorter(text: str, pillar: Read, loop: str) -> tuple[str, Change | None]:
    parts = sentences(text)
    made = text if len(parts) <= MOST_SENTENCES else " ".join(parts[:MOST_SENTENCES])
    made = short(made, _MOST_CHARS)
    left = max(0, len(parts) - MOST_SENTENCES)
    what = f"{counted(left, 'sentence')} left out." if left else f"Cut to {_MOST_CHARS} characters."
    return made, _changed(text, made, what, "A pillar is one or two sentences; the rest is design.")


def _grounded(text: str, pillar: Read, loop: str) -> tuple[str, Change | None]:
    if not loop or not pillar.known or "action" in pillar.backed or same(loop) in same(text):
        return text, None
    made = f"{text} It shows in the core loop: {short(loop, 160).rstrip('.')}."
    return made, Change(what="Tied to the core loop.", why="No word said what the player does because of it.")


_RULES: tuple[_Rule, ...] = (_filled, _tidy, _quieter, _shorter, _grounded)


def _changed(before: str, after: str, what: str, why: str) -> Change | None:
    return None if before == after else Change(what=what, why=why)


def _shorter_name(name: str) -> str:
    if len(name.split()) <= _NAME_WORDS:
        return name
    head = _NAME_END.split(name)[0].strip()
    head = head if any(sign.isalnum() for sign in head) else name
    return " ".join(head.split()[:_NAME_WORDS])


@cache
def _loud() -> re.Pattern[str]:
    listed = "|".join(re.escape(word) for word in sorted(words().loud, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{listed})\s+(?=\w)", re.IGNORECASE)
