"""The release review: whether everything is there and traced, and what is not proved, not built or not checked.

Whether the tests pass is measured by the engine, not told here; the other reviews are `reviewing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.measuring import parse
from orchestrator_v2.agents.simulated.proving import not_proved
from orchestrator_v2.agents.simulated.reading import read_brief
from orchestrator_v2.agents.simulated.reviewing import Check, check_none, verdict
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import REQUIREMENTS, read_spec
from orchestrator_v2.engine.trace import parse_requirements, tests_naming_criteria

_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s#]+)(?:#[^)]*)?\)")
_LONGEST = 120
MOST_NAMED = 10
"""So many journals are named; the others are counted."""


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
            clean.counted(sum(path.startswith("src/") for path in python), "file"),
            any(path.startswith("src/") for path in python),
        ),
        check_none(
            "Each Python file parses", (path for path in python if parse(files[path]) is None), len(python), "files"
        ),
        Check("There are criteria", clean.counted(len(criteria), "criterion", "criteria"), bool(criteria)),
        check_none(
            "Each acceptance criterion is named by a test",
            (f"{one.id}: {one.text}" for one in criteria if one.id not in named),
            len(criteria),
            "criteria",
        ),
        *_link_checks(files),
        *_review_checks(files),
    ]
    points = tuple(_open_points(work, tests))
    return [verdict("Release review", "release", checks, work, points)]


def _link_checks(files: Mapping[str, str]) -> Iterator[Check]:
    links = _LINK.findall(files.get("README.md", ""))
    local = [link for link in links if "://" not in link]
    broken = (link for link in local if link not in files)
    yield check_none("Links in the README lead somewhere", broken, len(local), "links")


def _review_checks(files: Mapping[str, str]) -> Iterator[Check]:
    for name, path in (("Code review", "docs/reviews/code.md"), ("Hygiene report", "docs/hygiene.md")):
        if path in files:
            open_points = len(re.findall(r"^- F\d+:|\*\*look at this\*\*", files[path], re.MULTILINE))
            yield Check(f"{name} was made", clean.counted(open_points, "open point"), True)


def _open_points(work: Work, tests: Mapping[str, str]) -> Iterator[str]:
    """What a release may have, but nobody should overlook: each in one sentence."""
    spec = read_spec(work.brief, work.answers, work.inputs)
    criteria = {one.id: one.text for each in spec.requirements for one in each.criteria}
    unproved = [name for name in not_proved(tests) if name in criteria]
    proved = len(criteria) - len(unproved)
    yield f"{proved} of {clean.counted(len(criteria), 'criterion', 'criteria')} proved by a test."
    for name in unproved:
        yield f"{name} is not proved, nearest check only: {clean.short(criteria[name], _LONGEST)}"
    wishes = [one for one in spec.requirements if one.quote]
    journals = [one for one in wishes if all(use.capability == "journal" for use in one.uses)]
    if journals:
        named = ", ".join(f"{one.id} ({clean.short(one.title, 40)})" for one in journals[:MOST_NAMED])
        named += f" and {len(journals) - MOST_NAMED} more" if len(journals) > MOST_NAMED else ""
        count = f"{len(journals)} of {clean.counted(len(wishes), 'wish', 'wishes')}"
        yield f"{count} {'is a journal' if len(journals) == 1 else 'are journals'} only, not built: {named}."
    for text in read_brief(work.brief).constraints:
        yield f"A constraint that nobody checked: {clean.short(text, _LONGEST)}"
