"""`SimulatedStep`: what one step of the templates' work brings back, and what a step is made from.

Which steps a phase has is `phases.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean

# How the engine's gates begin what they say, and how the reviews of this mode do.
_GATE = re.compile(
    r"(?:not-empty|parses|no-placeholders|links|requirements|diagram|traced|tests): "
    r"|\d+ of \d+ checks? hold|'[^']*' (?:is not|belongs)"
)


class SimulatedStep(msgspec.Struct, frozen=True):
    """One step: its title, what it did, the files it wrote (path to text), its verdict where it reviews, its notes."""

    title: str
    summary: str
    files: dict[str, str]
    approved: bool | None = None
    notes: tuple[str, ...] = ()


MOST_NOTES, LONGEST_NOTE = 40, 1000


def fitting(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Notes that an agent's answer has room for; what is left out is counted, and stands on the pages anyway."""
    more = len(notes) - MOST_NOTES
    shown = tuple(clean.short(note, LONGEST_NOTE) for note in notes[:MOST_NOTES])
    return (*shown, f"… and {more} more") if more > 0 else shown


class Work(msgspec.Struct, frozen=True):
    """What a phase is given: the brief, answers to its questions, upstream files by path, why it is done again."""

    phase: str
    brief: str
    answers: Mapping[str, str]
    inputs: Mapping[str, str]
    feedback: str

    @property
    def asked(self) -> str:
        """What a person asked for when the work was sent back; empty where a gate sent it back, or nobody did."""
        return "" if _GATE.match(self.feedback) else clean.line(self.feedback)
