"""The reviews: design, code and release, judged only by what was measured in the files at hand.

Measuring source is `measuring.py`; whether the tests pass is measured by the engine, not told here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchestrator_v2.agents.simulated.measuring import Measured, measure, parse
from orchestrator_v2.agents.simulated.rendering import load_renderer
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import MODEL, REQUIREMENTS
from orchestrator_v2.engine.trace import Requirement, parse_requirements, tests_naming_criteria

ARCHITECTURE = "docs/architecture.md"
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s#]+)(?:#[^)]*)?\)")


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


def check_none(name: str, found: Iterable[str], total: int, what: str) -> Check:
    """A check that holds when nothing is found among `total` things."""
    details = tuple(found)
    return Check(name, f"{total - len(details)} of {total} {what}", not details, details)


def review_design(work: Work) -> list[SimulatedStep]:
    """docs/reviews/design.md, approved when every check holds."""
    requirements = parse_requirements(work.inputs.get(REQUIREMENTS, ""))
    architecture = work.inputs.get(ARCHITECTURE, "")
    checks = [
        Check("Requirements are there", f"{len(requirements)} requirement(s)", bool(requirements)),
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
    return [_verdict("Design review", "design.md", "docs/reviews/design.md", checks)]


def _model_checks(inputs: Mapping[str, str]) -> Iterator[Check]:
    entities = _entities(inputs.get(MODEL, ""))
    names = [str(one.get("name", "")) for one in entities]
    architecture, page = inputs.get(ARCHITECTURE, ""), inputs.get("docs/data-model.md", "")
    yield Check("The data model can be read", f"{len(names)} kind(s) of record", bool(names))
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
        feedback=work.feedback,
    )
    words = f"{len(source.functions)} function(s) in {source.files} file(s) measured, {len(findings)} finding(s)."
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


def review_release(work: Work) -> list[SimulatedStep]:
    """docs/reviews/release.md, approved when every check holds."""
    files = work.inputs
    requirements = parse_requirements(files.get(REQUIREMENTS, ""))
    criteria = [one for requirement in requirements for one in requirement.criteria]
    tests = {path: text for path, text in files.items() if path.startswith("tests/") and path.endswith(".py")}
    named = tests_naming_criteria(tests)
    python = [path for path in sorted(files) if path.endswith(".py")]
    wanted = ("README.md", "pyproject.toml", REQUIREMENTS, ".gitignore")
    checks = [
        check_none(
            "The files of a release are there", (path for path in wanted if path not in files), len(wanted), "files"
        ),
        Check(
            "There is source",
            f"{sum(path.startswith('src/') for path in python)} file(s)",
            any(path.startswith("src/") for path in python),
        ),
        check_none(
            "Each Python file parses", (path for path in python if parse(files[path]) is None), len(python), "files"
        ),
        Check("There are criteria", f"{len(criteria)} criteria", bool(criteria)),
        check_none(
            "Each acceptance criterion is named by a test",
            (f"{one.id}: {one.text}" for one in criteria if one.id not in named),
            len(criteria),
            "criteria",
        ),
        *_link_checks(files),
        *_review_checks(files),
    ]
    return [_verdict("Release review", "release.md", "docs/reviews/release.md", checks)]


def _link_checks(files: Mapping[str, str]) -> Iterator[Check]:
    links = _LINK.findall(files.get("README.md", ""))
    local = [link for link in links if "://" not in link]
    broken = (link for link in local if link not in files)
    yield check_none("Links in the README lead somewhere", broken, len(local), "links")


def _review_checks(files: Mapping[str, str]) -> Iterator[Check]:
    for name, path in (("Code review", "docs/reviews/code.md"), ("Hygiene report", "docs/hygiene.md")):
        if path in files:
            open_points = len(re.findall(r"^- F\d+:|\*\*look at this\*\*", files[path], re.MULTILINE))
            yield Check(f"{name} was made", f"{open_points} open point(s)", True)


def _verdict(title: str, template: str, path: str, checks: list[Check]) -> SimulatedStep:
    passed = sum(check.holds for check in checks)
    approved = passed == len(checks)
    text = load_renderer().file("consensus", template, checks=checks, passed=passed, approved=approved)
    return SimulatedStep(title, f"{passed} of {len(checks)} checks hold.", {path: text}, approved)


def _twice(requirements: list[Requirement]) -> Iterator[str]:
    ids = [one.id for one in requirements]
    yield from (f"{name} stands {ids.count(name)} times" for name in dict.fromkeys(ids) if ids.count(name) > 1)


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _count(text: str, what: str) -> str:
    return f"{text.count(what)} diagram(s)"


def _entities(text: str) -> list[dict[str, object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    rows = found.get("entities") if isinstance(found, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
