"""The questions that a brief leaves open, and what the answers to them, or a reviewer's words, add to the project.

What is recognised in an answer becomes a requirement in `drafting.py`; the rest is recorded and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean, naming
from orchestrator_v2.agents.simulated.catalog import load_catalog
from orchestrator_v2.agents.simulated.drafting import Draft, draft
from orchestrator_v2.agents.simulated.reading import Phrase, vocabulary
from orchestrator_v2.agents.simulated.recognise import capabilities_in
from orchestrator_v2.agents.simulated.spec import Field

MOST_FEATURES = 5
"""So many features that nobody knows how to build are asked about one by one."""
MOST_FIELDS = 8
LONGEST_FIELD = 24
FEEDBACK = "the words of a reviewer"
_FIELDS = "fields"
_BETWEEN = re.compile(r"[,;/&\n、，]|\s(?:and|und|et|y)\s")


class Question(msgspec.Struct, frozen=True):
    """What is asked; `topic` is what a yes means in words that the catalog knows, `fields`, or empty for anything."""

    text: str
    topic: str = ""


class Answered(msgspec.Struct, frozen=True):
    """A question, what was answered (empty: nothing), and what came of it."""

    question: str
    answer: str = ""
    outcome: str = ""


def questions(brief: str) -> list[str]:
    """What a person could be asked about the brief, most important first; the same brief gives the same questions."""
    return [one.text for one in _questions(draft(brief))]


def _questions(found: Draft) -> Iterator[Question]:
    known = {cap.module for cap in found.spec.caps}
    plural = found.spec.primary.plural
    if found.own:
        yield Question(f"What should be kept about each of the {plural}, besides a name and details?", _FIELDS)
    for feature in found.spec.features[:MOST_FEATURES]:
        yield Question(f"What exactly should happen for '{clean.short(feature.title, 60)}'?")
    if "members" not in known:
        yield Question("Will more than one person use it, and with which roles?", "People and roles")
    if known.isdisjoint({"due", "timer", "booking"}):
        yield Question(f"Do the {plural} have due dates or reminders?", "Due dates")
    if "export" not in known:
        yield Question(f"Should the {plural} be exported, for example as CSV?", "CSV export")
    if "statistics" not in known:
        yield Question(f"Are statistics of the {plural} wanted?", "Statistics")


def understand(raw: str, answers: Mapping[str, str], feedback: str = "") -> Draft:
    """The draft of a brief with what its answers and the words of a reviewer add. Never raises."""
    if not answers and not feedback.strip():
        return draft(raw)
    extra: list[Phrase] = []
    fields: list[Field] = []
    pairs, others = paired(draft(raw), answers)
    for number, (question, answer) in enumerate(pairs, start=1):
        if question.topic == _FIELDS:
            fields += _fields(answer)
        else:
            extra += _phrases(question, answer, f"the answer to Q{number}")
    extra += [phrase for name, answer in others for phrase in _phrases(Question(name), answer, "another answer")]
    if feedback.strip():
        words = clean.line(feedback)
        extra.append(Phrase(words, said=words, source=FEEDBACK))
    return draft(raw, extra, fields)


def paired(plain: Draft, answers: Mapping[str, str]) -> tuple[list[tuple[Question, str]], list[tuple[str, str]]]:
    """Each question with its answer (by id such as Q1, or by its words; empty: none), and the answers left over."""
    rest = dict(answers)
    pairs = []
    for number, question in enumerate(_questions(plain), start=1):
        keys = [key for key in rest if key.strip().lower() in (f"q{number}", question.text.lower())]
        pairs.append((question, clean.line("; ".join(rest.pop(key) for key in keys))))
    return pairs, sorted((clean.line(name), clean.line(answer)) for name, answer in rest.items())


def asked(found: Draft, answers: Mapping[str, str]) -> tuple[list[Answered], list[Answered]]:
    """Each question with its answer and what came of it, and the answers that belong to no question."""
    pairs, others = paired(draft(found.brief.text), answers)
    rows = [
        Answered(question.text, answer, _outcome(found, f"the answer to Q{number}", question, answer))
        for number, (question, answer) in enumerate(pairs, start=1)
    ]
    return rows, [
        Answered(name, text, _outcome(found, "another answer", Question(name), text)) for name, text in others
    ]


def _outcome(found: Draft, source: str, question: Question, answer: str) -> str:
    made = [f"{one.id} ({one.title})" for one in found.spec.requirements if one.source == source]
    if made:
        return f"It became {', '.join(made)}."
    names = [field.name.replace("_", " ") for field in _fields(answer)] if question.topic == _FIELDS else []
    if names:
        return f"Each {found.spec.primary.label} has these fields too: {', '.join(names)}."
    if _refuses(answer):
        return "Nothing is added for it."
    known = capabilities_in(_wanted(question, answer), load_catalog())
    return "It is part of the project already." if known else "Recorded only: the templates cannot act on it."


def _phrases(question: Question, answer: str, source: str) -> Iterator[Phrase]:
    """What the answer asks for: what its question is about unless it says no, and what its own words name."""
    if not answer or _refuses(answer):
        return
    if question.topic:
        yield Phrase(question.topic, said=answer, source=source)
    if capabilities_in(answer, load_catalog()):
        yield Phrase(answer, said=answer, source=source)


def _wanted(question: Question, answer: str) -> str:
    return f"{question.topic}\n{answer}"


def _refuses(answer: str) -> bool:
    first = re.match(r"[\w']+", answer.casefold())
    word = first[0] if first else ""
    # Chinese and Japanese write their no without a space behind it.
    return not word or any(word == no or (no > "\u2e80" and answer.startswith(no)) for no in vocabulary().refusals)


def _fields(answer: str) -> list[Field]:
    if not answer or _refuses(answer):
        return []
    words = [clean.line(part).strip(" .") for part in _BETWEEN.split(answer)]
    names = [naming.identifier(word) for word in words if word and len(word) <= LONGEST_FIELD and word.isascii()]
    return [Field(name) for name in dict.fromkeys(names)][:MOST_FIELDS]
