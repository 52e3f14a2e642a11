"""The questions that a brief leaves open, for the intake page and for asking a person first.

What an answer changes is decided in `drafting.py`: what the templates recognise in it becomes a requirement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.drafting import Draft, draft

MOST_FEATURES = 5
"""So many features that nobody knows how to build are asked about one by one."""


def questions(brief: str) -> list[str]:
    """What a person could be asked about the brief, most important first; the same brief gives the same questions."""
    return list(_questions(draft(brief)))


def _questions(found: Draft) -> Iterator[str]:
    known = {cap.module for cap in found.spec.caps}
    plural = found.spec.primary.plural
    if found.own:
        yield f"What should be kept about each of the {plural}, besides a name and details?"
    for feature in found.spec.features[:MOST_FEATURES]:
        yield f"What exactly should happen for '{clean.short(feature.title, 60)}'?"
    if "members" not in known:
        yield "Will more than one person use it, and with which roles?"
    if "due" not in known and "timer" not in known and "booking" not in known:
        yield f"Do the {plural} have due dates or reminders?"
    if "export" not in known:
        yield f"Should the {plural} be exported, for example as CSV?"
    if "statistics" not in known:
        yield f"Are statistics of the {plural} wanted?"


def asked(found: Draft, answers: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Each question with its answer (by id such as Q1, or by its words; empty: none), and the answers left over."""
    plain = draft(found.brief.text) if answers else found
    rest = dict(answers)
    pairs = []
    for number, question in enumerate(_questions(plain), start=1):
        keys = [key for key in rest if key.strip().lower() in (f"q{number}", question.lower())]
        pairs.append((question, "; ".join(rest.pop(key) for key in keys)))
    return pairs, sorted(rest.items())
