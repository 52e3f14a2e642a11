"""Checks of files as text: there is something, it parses, requirements are testable, diagrams close, tests trace.

Placeholder text is `placeholders.py`, links are `links.py`, running tests is `pytest_run.py`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from types import MappingProxyType

from orchestrator_v2.engine.trace import parse_requirements, tests_naming_criteria
from orchestrator_v2.workspace.findings import Files, Finding, text_of

_MAY_BE_EMPTY = frozenset({"__init__.py", ".gitkeep", "py.typed"})
_LARGEST_DATA = 1 << 20
_MERMAID = re.compile(r"^ {0,3}```+\s*mermaid[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
_DIAGRAMS = frozenset(
    {
        "graph", "flowchart", "sequenceDiagram", "classDiagram", "stateDiagram", "stateDiagram-v2", "erDiagram",
        "journey", "gantt", "pie", "mindmap", "timeline", "gitGraph", "quadrantChart", "requirementDiagram",
        "C4Context", "C4Container", "C4Component", "C4Dynamic", "C4Deployment", "sankey-beta", "xychart-beta",
        "block-beta", "architecture-beta", "packet-beta",
    }
)  # fmt: skip
_QUOTED = re.compile(r'"[^"\n]*"|%%[^\n]*|\|[^|\n]*\|')
# Shapes and arrows of Mermaid in which a bracket has no partner: asymmetric nodes `>text]`, cardinalities `}o--||`.
_UNPAIRED = re.compile(r">[^\n\[\]]*\]|[|}o][|}o{]?(?:--|\.\.)[|{o}][|{o]?|\[[/\\]|[/\\]\]")
_PAIRS = MappingProxyType({")": "(", "]": "[", "}": "{"})


def counted(count: int, one: str, many: str = "") -> str:
    """The number with its words: `1 file`, `2 files`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def not_empty(files: Files, _context: Files) -> Finding:
    """The phase made at least one file with text, and none that is blank."""
    blank = [p for p, c in files.items() if not c.strip() and PurePosixPath(p).name not in _MAY_BE_EMPTY]
    problems = [f"{path} is empty." for path in blank]
    if not any(content.strip() for content in files.values()):
        problems.append("No file with text was made.")
    return Finding(tuple(problems), f"{counted(len(files), 'file')}, none empty")


def _parse_python(path: str, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        compile(text, path, "exec", dont_inherit=True)


def _parse_json(_path: str, text: str) -> None:
    json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_toml(_path: str, text: str) -> None:
    import tomllib

    tomllib.loads(text)


def _parse_yaml(_path: str, text: str) -> None:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for _ in yaml.load_all(text, Loader=loader):
        pass


_PARSERS: MappingProxyType[str, Callable[[str, str], None]] = MappingProxyType(
    {".py": _parse_python, ".json": _parse_json, ".toml": _parse_toml, ".yaml": _parse_yaml, ".yml": _parse_yaml}
)


def _parse_fault(path: str, content: bytes) -> str:
    parser = _PARSERS.get(PurePosixPath(path).suffix.lower())
    try:
        text = content.decode("utf-8-sig" if parser is _parse_python else "utf-8")
    except UnicodeDecodeError as error:
        return f"{path} is not UTF-8 text (byte {error.start})."
    try:
        if "\0" in text:
            raise ValueError("it holds a null byte")
        if parser is not None:
            if len(content) > _LARGEST_DATA:
                raise ValueError("it is larger than 1 MiB")
            parser(path, text)
    except (RecursionError, MemoryError):
        return f"{path} is nested too deeply."
    except Exception as error:  # noqa: BLE001 - whatever a parser says of foreign text is the finding
        where = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        return f"{path}{where} does not parse: {' '.join(said.split())[:300]}"
    return ""


def parses(files: Files, _context: Files) -> Finding:
    """Each file is what its suffix says, or UTF-8 text where the suffix says nothing."""
    problems = [fault for path, content in sorted(files.items()) if (fault := _parse_fault(path, content))]
    return Finding(tuple(problems), counted(len(files), "file parses", "files parse"))


def _calm(text: str) -> str:
    """`text` without blank lines and runs of spaces, over which the patterns of `trace.py` take the square of time."""
    return "\n".join(re.sub(r"\s+", " ", line) for line in text.splitlines() if line.strip())


def requirements(files: Files, _context: Files) -> Finding:
    """At least one requirement, each with a criterion, all ids unique, no criterion without its requirement."""
    text = "\n".join(text_of(content) for path, content in sorted(files.items()) if path.endswith(".md"))
    found = parse_requirements(_calm(text))
    problems = [] if found else ["There is no requirement: write '## R1: title' and below it '- AC1.1: criterion'."]
    problems += [f"{item.id} ({item.title}) has no acceptance criterion." for item in found if not item.criteria]
    problems += [f"{name} is used {count} times." for name, count in Counter(i.id for i in found).items() if count > 1]
    criteria = {item.id: [c.id for c in item.criteria] for item in found}
    counted = Counter(name for names in criteria.values() for name in names)
    problems += [f"{name} is used {count} times." for name, count in counted.items() if count > 1]
    total = sum(map(len, criteria.values()))
    return Finding(tuple(dict.fromkeys(problems)), _said(len(found), total))


def _said(found: int, criteria: int) -> str:
    with_criteria = counted(criteria, "acceptance criterion", "acceptance criteria")
    return f"{counted(found, 'requirement')} with {with_criteria}"


def _bracket_fault(source: str) -> str:
    opened: list[str] = []
    for char in _UNPAIRED.sub(" ", _QUOTED.sub(" ", source)):
        if char in "([{":
            opened.append(char)
        elif char in _PAIRS and (not opened or opened.pop() != _PAIRS[char]):
            return f"'{char}' closes nothing"
    return f"'{opened[-1]}' is not closed" if opened else ""


def _diagram_fault(source: str) -> str:
    body = re.sub(r"\A\s*---\n.*?\n---\n", "", source, count=1, flags=re.DOTALL)
    lines = [line.strip() for line in body.splitlines() if line.strip() and not line.strip().startswith("%%")]
    kind = re.split(r"[\s:;]", lines[0])[0] if lines else ""
    if kind not in _DIAGRAMS:
        return f"begins with '{kind}', which is no diagram"
    if len(lines) < 2 and ";" not in lines[0]:
        return "has nothing in it"
    return _bracket_fault("\n".join(lines[1:]))


def diagram(files: Files, _context: Files) -> Finding:
    """At least one Mermaid block, and each a known diagram with its brackets closed."""
    problems, count = [], 0
    for path, content in sorted(files.items()):
        for block in _MERMAID.findall(text_of(content)):
            count += 1
            fault = _diagram_fault(block)
            problems += [f"{path}: diagram {count} {fault}."] if fault else []
    if not count:
        problems.append("There is no Mermaid diagram: write a block that begins with '```mermaid'.")
    return Finding(tuple(problems), counted(count, "diagram"))


def traced(files: Files, context: Files) -> Finding:
    """Each acceptance criterion of docs/requirements.md is named by a test below tests/."""
    everything = {**context, **files}
    found = parse_requirements(_calm(text_of(everything.get("docs/requirements.md", b""))))
    wanted = [(criterion.id, criterion.text) for item in found for criterion in item.criteria]
    tests = {p: text_of(c) for p, c in everything.items() if p.startswith("tests/") and p.endswith(".py")}
    named = tests_naming_criteria(tests)
    problems = [f"{name} ({text}) is named by no test." for name, text in wanted if name not in named]
    if not wanted:
        problems.append("docs/requirements.md has no acceptance criterion to trace.")
    return Finding(tuple(problems), f"{counted(len(wanted), 'criterion', 'criteria')}, each named by a test")
