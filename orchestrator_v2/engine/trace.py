"""Requirements read from `docs/requirements.md`, and which test and file stands for each; measured, never told.

The format is the one that people edit: `## R1: title`, below it `- AC1.1: criterion`. A test stands for a
criterion when it names its id (`AC1.1`, or `ac1_1` in a name). The report that shows this is `report.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import msgspec

# One line a match, and no two parts that could share a blank: hostile text is read in linear time.
_REQUIREMENT = re.compile(r"^#{2,4}[ \t]+R(\d{1,6})[ \t]*[:.\-–—][ \t]*(\S.*)$", re.MULTILINE)
_CRITERION = re.compile(
    r"^[ \t]{0,16}[-*][ \t]+(?:\*\*)?AC(\d{1,6})\.(\d{1,6})(?:\*\*)?[ \t]*[:.\-–—][ \t]*(\S.*)$", re.MULTILINE
)
_MENTION = re.compile(r"(?<![A-Za-z0-9])AC_?(\d+)[._](\d+)(?![0-9])", re.IGNORECASE)
_SKIP = re.compile(r"^[ \t]*(?:@pytest\.mark\.skip\b|pytest\.skip\()", re.MULTILINE)
_FUNCTION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(test_\w+)", re.MULTILINE)


class Criterion(msgspec.Struct, frozen=True):
    id: str
    text: str


class Requirement(msgspec.Struct, frozen=True):
    id: str
    title: str
    criteria: tuple[Criterion, ...] = ()


def parse_requirements(text: str) -> list[Requirement]:
    """Requirements in the order of the text, each with the criteria whose number begins with its own."""
    criteria: dict[str, list[Criterion]] = {}
    for match in _CRITERION.finditer(text):
        requirement, number, words = match.groups()
        criteria.setdefault(requirement, []).append(Criterion(f"AC{requirement}.{number}", words.rstrip()))
    return [
        Requirement(f"R{match.group(1)}", match.group(2).rstrip(), tuple(criteria.get(match.group(1), ())))
        for match in _REQUIREMENT.finditer(text)
    ]


def tests_naming_criteria(files: Mapping[str, str]) -> dict[str, list[str]]:
    """For each criterion id the tests that name it, as `tests/test_x.py::test_name`, in path order."""
    found: dict[str, list[str]] = {}
    for test, body in _tests(files):
        for number in dict.fromkeys(f"AC{a}.{b}" for a, b in _MENTION.findall(body)):
            found.setdefault(number, []).append(test)
    return found


def skipped_tests(files: Mapping[str, str]) -> set[str]:
    """Tests that are written to be skipped: they name a criterion and prove nothing of it."""
    return {test for test, body in _tests(files) if _SKIP.search(body)}


def _tests(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each test function's name and its text, from its decorators to the next function's."""
    for path in sorted(files):
        text = files[path]
        starts = [(start, _decorated_from(text, start.start())) for start in _FUNCTION.finditer(text)]
        ends = [begin for _, begin in starts[1:]] + [len(text)]
        for (start, begin), end in zip(starts, ends, strict=False):
            yield f"{path}::{start.group(1)}", text[begin:end]


def _decorated_from(text: str, at: int) -> int:
    """Where the lines of decorators right above a function begin."""
    while at and text[text.rfind("\n", 0, at - 1) + 1 : at].lstrip().startswith("@"):
        at = text.rfind("\n", 0, at - 1) + 1
    return at


def sources_behind(test_path: str, files: Mapping[str, str]) -> list[str]:
    """The project's modules that a test file imports, as paths below `src/`, in path order."""
    try:
        tree = ast.parse(files[test_path])
    except (SyntaxError, ValueError, RecursionError):
        return []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    candidates = {f"src/{name.replace('.', '/')}{end}" for name in names for end in (".py", "/__init__.py")}
    return sorted(candidates & files.keys())
