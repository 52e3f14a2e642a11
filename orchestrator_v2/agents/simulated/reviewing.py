"""The reviews of design and code, judged only by what was measured in the files at hand.

The release is `releasing.py`; measuring source is `measuring.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.hearing import asks_in
from orchestrator_v2.agents.simulated.measuring import Measured, measure
from orchestrator_v2.agents.simulated.rendering import load_renderer
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work, fitting
from orchestrator_v2.agents.simulated.upstream import MODEL, REQUIREMENTS
from orchestrator_v2.engine.trace import Requirement, parse_requirements

ARCHITECTURE = "docs/architecture.md"


class Limits(msgspec.Struct, frozen=True):
    """What a review lets pass; lines of a function, its complexity, lines of a file."""

    lines: int = 50
    complexity: int = 10
    file: int = 400


class Check(msgspec.Struct, frozen=True):
    """A check, what was measured, whether it holds, and what is wrong where it does not."""

    name: str
    measured: str
    holds: bool
    details: tuple[str, ...] = ()


MOST_POINTS = 6
"""So many open points stand in the one line that a review answers with."""


def check_none(name: str, found: Iterable[str], total: int, what: str) -> Check:
    """A check that holds when nothing is found among `total` things."""
    details = tuple(found)
    return Check(name, f"{total - len(details)} of {total} {what}", not details, details)


def review_design(work: Work) -> list[SimulatedStep]:
    """docs/reviews/design.md, approved when every check holds."""
    requirements = parse_requirements(work.inputs.get(REQUIREMENTS, ""))
    architecture = work.inputs.get(ARCHITECTURE, "")
    checks = [
        Check("Requirements are there", clean.counted(len(requirements), "requirement"), bool(requirements)),
        check_none("Requirement numbers are unique", _twice(requirements), len(requirements), "requirements"),
        check_none(
            "Each requirement has an acceptance criterion",
            (f"{one.id}: {one.title}" for one in requirements if not one.criteria),
            len(requirements),
            "requirements",
        ),
        check_none(
            "Each requirement is covered by the architecture",
            (f"{one.id}: {one.title}" for one in requirements if not _mentions(architecture, one.id)),
            len(requirements),
            "requirements",
        ),
        Check("The architecture has a diagram", _count(architecture, "```mermaid"), "```mermaid" in architecture),
        *_model_checks(work.inputs),
    ]
    return [verdict("Design review", "design", checks, work)]


def _model_checks(inputs: Mapping[str, str]) -> Iterator[Check]:
    entities = _entities(inputs.get(MODEL, ""))
    names = [str(one.get("name", "")) for one in entities]
    architecture, page = inputs.get(ARCHITECTURE, ""), inputs.get("docs/data-model.md", "")
    yield Check("The data model can be read", f"{clean.counted(len(names), 'kind')} of record", bool(names))
    yield check_none(
        "Each kind of record is in the architecture",
        (name for name in names if not _mentions(architecture, name)),
        len(names),
        "kinds",
    )
    yield check_none(
        "Each kind of record is on the data model's page",
        (name for name in names if not _mentions(page, name)),
        len(names),
        "kinds",
    )
    yield check_none(
        "Each kind of record has fields",
        (name for name, one in zip(names, entities, strict=True) if not one.get("fields")),
        len(names),
        "kinds",
    )


def review_code(work: Work) -> list[SimulatedStep]:
    """docs/reviews/code.md, with findings that were measured."""
    source = measure({path: text for path, text in work.inputs.items() if not path.startswith("tests/")})
    tests = measure({path: text for path, text in work.inputs.items() if path.startswith("tests/")})
    findings = list(_findings(source, tests, work.inputs, Limits()))
    longest = sorted(source.functions, key=lambda one: (-one.lines, one.path, one.line))[:5]
    text = load_renderer().file(
        "reviewer",
        "code.md",
        source=source,
        tests=tests,
        findings=findings,
        limits=Limits(),
        longest=longest,
    )
    measured = f"{clean.counted(len(source.functions), 'function')} in {clean.counted(source.files, 'file')} measured"
    words = f"{measured}, {clean.counted(len(findings), 'finding')}."
    return [SimulatedStep("Code review", words, {"docs/reviews/code.md": text})]


def _findings(source: Measured, tests: Measured, files: Mapping[str, str], limits: Limits) -> Iterator[str]:
    if not source.files:
        yield "No source file was among what this review may see."
    yield from (f"{path} does not parse." for path in (*source.unparsed, *tests.unparsed))
    for one in source.functions:
        if one.lines > limits.lines:
            yield f"{one.path}:{one.line} {one.name} has {one.lines} lines."
        if one.complexity > limits.complexity:
            yield f"{one.path}:{one.line} {one.name} has a complexity of {one.complexity}."
    for path in sorted(path for path in files if path.endswith(".py")):
        count = len(files[path].splitlines())
        if count > limits.file and not path.startswith("tests/"):
            yield f"{path} has {count} lines."
    yield from (f"{place} has no docstring." for place in source.undocumented)
    yield from (f"{smell}." for smell in (*source.smells, *tests.smells))


def verdict(title: str, name: str, checks: list[Check], work: Work, points: tuple[str, ...] = ()) -> SimulatedStep:
    """The step of a review: approved when every check holds; `points` stay open either way, and are said first."""
    passed = sum(check.holds for check in checks)
    approved = passed == len(checks)
    points = (*(f"{said} (in {where})" for where, said in asks_in(work.inputs)), *points)
    values = {"checks": checks, "passed": passed, "approved": approved, "points": points}
    files = {f"docs/reviews/{name}.md": load_renderer().file("consensus", f"{name}.md", **values)}
    held = f"{passed} of {clean.counted(len(checks), 'check')} hold."
    summary = " ".join((held, *fitting(points[:MOST_POINTS])))
    return SimulatedStep(title, summary, files, approved, fitting(points))


def _twice(requirements: list[Requirement]) -> Iterator[str]:
    ids = [one.id for one in requirements]
    yield from (f"{name} stands {ids.count(name)} times" for name in dict.fromkeys(ids) if ids.count(name) > 1)


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _count(text: str, what: str) -> str:
    return clean.counted(text.count(what), "diagram")


def _entities(text: str) -> list[dict[str, object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    rows = found.get("entities") if isinstance(found, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
