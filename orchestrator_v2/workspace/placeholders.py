"""Finding text that stands in for work: markers in comments, filler, functions with nothing in them.

A word is no placeholder by itself: `todo` may be what the app is about, and what the brief says (quoted in
`docs/intake.md`) is its subject. Whether files parse at all is `text_checks.py`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from types import MappingProxyType

from orchestrator_v2.workspace.findings import Files, Finding, split_markdown, text_of
from orchestrator_v2.workspace.text_checks import counted

_INTAKE = "docs/intake.md"
_VERBS = (
    "add|check|clean|complete|decide|do|document|fill|finish|fix|handle|implement|improve|make|move|refactor"
    "|remove|replace|support|test|use|write"
)
_MARKER = re.compile(rf"(?:TODO(?:\s*[:(]|\s*$|\s+(?:{_VERBS})\b)|FIXME\b|XXX\b)")
_COMMENT_START = re.compile(r"^\s*(?:[-*+]\s+(?:\[[ xX]\]\s+)?|\d+[.)]\s+|#+\s*|//+\s*|/\*+\s*|<!--\s*|--\s*|;+\s*)*")
# Phrases that are nobody's subject, unless the brief itself has them.
_PHRASES = MappingProxyType(
    {
        "filler text": re.compile(r"\blorem ipsum\b", re.IGNORECASE),
        "unfinished work": re.compile(r"\bnot (?:implemented yet|yet implemented)\b", re.IGNORECASE),
        "a gap to fill": re.compile(
            r"\byour (?:code|text|content) (?:goes )?here\b|\bplaceholder text\b"
            r"|<insert\b[^>\n]{0,80}>|\[insert\b[^\]\n]{0,80}\]",
            re.IGNORECASE,
        ),
    }
)
_ABSTRACT_BASES = frozenset({"ABC", "Protocol", "ABCMeta"})
_OPEN_DECORATORS = frozenset({"staticmethod", "classmethod", "property"})


def no_placeholders(files: Files, context: Files) -> Finding:
    """No marker, filler or empty function in `files`."""
    _, brief = split_markdown(text_of(files.get(_INTAKE, context.get(_INTAKE, b""))))
    phrases = {name: pattern for name, pattern in _PHRASES.items() if not pattern.search(brief)}
    problems: list[str] = []
    for path, content in sorted(files.items()):
        scan = _SCANNERS.get(PurePosixPath(path).suffix.lower(), _scan_lines)
        problems += [f"{path}:{line}: {what}" for line, what in scan(path, text_of(content), phrases)]
    return Finding(tuple(problems), f"{counted(len(files), 'file')}, no placeholder")


def _phrases_in(text: str, line: int, phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    for name, pattern in phrases.items():
        for match in pattern.finditer(text):
            yield line + text.count("\n", 0, match.start()), f"{name} ('{match[0][:60]}')"


def _lines(lines: Iterable[tuple[int, str]], phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        start = _COMMENT_START.match(line)
        if marker := _MARKER.match(line, start.end() if start else 0):
            yield number, f"a marker ('{marker[0].strip()}')"
        yield from _phrases_in(line, number, phrases)


def _scan_lines(_path: str, text: str, phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    return _lines(enumerate(text.splitlines(), 1), phrases)


def _scan_markdown(_path: str, text: str, phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    return _lines(split_markdown(text)[0], phrases)


def _scan_data(_path: str, _text: str, _phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    """JSON has no comments, and its strings are the subject's own words."""
    return iter(())


def _scan_python(path: str, text: str, phrases: dict[str, re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        tree = ast.parse(text)
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError):
        return  # `parses` says so
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    yield from _lines(comments, phrases)
    yield from _stubs(tree, tests=path.startswith("tests/") or "/tests/" in path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = ast.get_docstring(node, clean=False)
            if words and "example" not in words.lower():
                yield from _phrases_in(words, node.body[0].lineno, phrases)


_SCANNERS = MappingProxyType(
    {".py": _scan_python, ".md": _scan_markdown, ".markdown": _scan_markdown, ".json": _scan_data}
)


def _names(nodes: Iterable[ast.expr]) -> set[str]:
    """The last name of each expression: `abc.ABC` and `Protocol[T]` are ABC and Protocol."""
    found = set()
    for node in nodes:
        bare = node.value if isinstance(node, ast.Subscript) else node.func if isinstance(node, ast.Call) else node
        found.add(bare.attr if isinstance(bare, ast.Attribute) else getattr(bare, "id", ""))
    return found


def _stubs(tree: ast.Module, *, tests: bool) -> Iterator[tuple[int, str]]:
    """Functions with nothing in them; a stack of its own, because foreign trees may be deeper than ours."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, abstract = waiting.pop()
        if isinstance(node, ast.ClassDef):
            abstract = bool(_names([*node.bases, *(keyword.value for keyword in node.keywords)]) & _ABSTRACT_BASES)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            what = "" if abstract else _stub_fault(node, tests=tests)
            abstract = False
            if what:
                yield node.lineno, f"{node.name}() {what}"
        waiting += [(child, abstract) for child in reversed(list(ast.iter_child_nodes(node)))]


def _stub_fault(function: ast.FunctionDef | ast.AsyncFunctionDef, *, tests: bool) -> str:
    # A decorator may do the work (a command group, an overload, an abstract method).
    if _names(function.decorator_list) - _OPEN_DECORATORS:
        return ""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if body and _raises_not_implemented(body[-1]):
        return "only raises NotImplementedError"
    hollow = bool(body) and all(_says_nothing(statement) for statement in body)
    # A fake in a test may do nothing; a test may not.
    return "has an empty body" if hollow and (not tests or function.name.startswith("test")) else ""


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and statement.value.value is ...
    )


def _raises_not_implemented(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Raise)
        and statement.exc is not None
        and "NotImplementedError" in _names([statement.exc])
    )
