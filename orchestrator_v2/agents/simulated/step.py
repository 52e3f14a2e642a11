"""`SimulatedStep`: what one step of the templates' work brings back, and what a step is made from.

Which steps a phase has is `phases.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class SimulatedStep(msgspec.Struct, frozen=True):
    """One step: its title, what it did, the files it wrote (path to text), and its verdict where it reviews."""

    title: str
    summary: str
    files: dict[str, str]
    approved: bool | None = None


class Work(msgspec.Struct, frozen=True):
    """What a phase is given: the brief, answers to its questions, upstream files by path, why it is done again."""

    phase: str
    brief: str
    answers: Mapping[str, str]
    inputs: Mapping[str, str]
    feedback: str
