"""Why a phase is done again, said on its pages and in its notes: a reviewer's words, and what came of them.

What the templates recognise in such words is `asking.py`; only requirements can be added, so only planning can act.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.asking import FEEDBACK, understand
from orchestrator_v2.agents.simulated.quoting import fenced, md, unmd
from orchestrator_v2.agents.simulated.rendering import SIMULATED_LINE
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work

HEADING = "## Asked for by a reviewer"
CANNOT = "the templates cannot act on it"
_ACTING = ("intake", "planning")
_LONGEST_NOTE = 300
_ASKED = re.compile(rf"^{re.escape(HEADING)}\n\n(A reviewer asked: .*)$", re.MULTILINE)


def with_feedback(steps: list[SimulatedStep], work: Work) -> list[SimulatedStep]:
    """The steps with a section, a note and a summary that say why the work was done again, and what came of it."""
    if not work.feedback.strip():
        return steps
    section = f"## Sent back by a gate\n\n{fenced(work.feedback)}"
    if not work.asked:
        return [_with_section(steps[0], section), *steps[1:]]
    became = _became(work)
    section = f"{HEADING}\n\nA reviewer asked: “{md(work.asked)}”; {md(became)}."
    note = f"A reviewer asked: “{clean.short(work.asked, _LONGEST_NOTE)}”; {became}."
    first = msgspec.structs.replace(steps[0], notes=(*steps[0].notes, note), summary=f"{note} {steps[0].summary}")
    return [_with_section(first, section), *steps[1:]]


def asks_in(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Path and sentence of each reviewer's words that earlier phases wrote down."""
    pages = ((path, text) for path, text in sorted(files.items()) if path.endswith(".md"))
    return [(path, unmd(said)) for path, text in pages for said in _ASKED.findall(text)]


def _became(work: Work) -> str:
    if work.phase not in _ACTING:
        return f"{CANNOT} here, only a new requirement reaches them"
    found = understand(work.brief, work.answers, work.asked)
    made = [f"{one.id} ({one.title})" for one in found.spec.requirements if one.source == FEEDBACK]
    return f"it became {', '.join(made)}" if made else CANNOT


def _with_section(step: SimulatedStep, section: str) -> SimulatedStep:
    """The step with the section on its first page; where it has no page, on one of its own beside its files."""
    page = next((path for path in step.files if path.endswith(".md")), "")
    if page:
        return msgspec.structs.replace(step, files=step.files | {page: f"{step.files[page]}\n{section}\n"})
    folder = next((path.split("/")[0] for path in step.files if "/" in path), "docs")
    text = f"# Why this was done again\n\n> {SIMULATED_LINE}\n\n{section}\n"
    return msgspec.structs.replace(step, files=step.files | {f"{folder}/REVIEW.md": text})
