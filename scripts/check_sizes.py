"""Holds the limits of size and shape that ruff does not know; complexity is ruff's C90, imports are `.importlinter`.

python scripts/check_sizes.py [ROOT]     a line `file:line: what (limit)` for each fault, exit code 1
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE, TESTS = "orchestrator_v2", "tests"
FILE_LINES = 400
FUNCTION_LINES = 50
FORBIDDEN_NAMES = frozenset({"utils", "helpers", "common", "misc"})
FORBIDDEN_MOCKS = frozenset({"unittest.mock", "mock", "pytest_mock"})

Fault = tuple[int, str]


class Module(NamedTuple):
    path: Path
    source: str
    tree: ast.Module


Rule = Callable[[Module], Iterator[Fault]]


def file_length(module: Module) -> Iterator[Fault]:
    lines = module.source.count("\n")
    if lines > FILE_LINES:
        yield FILE_LINES + 1, f"the file has {lines} lines (limit {FILE_LINES})"


def function_length(module: Module) -> Iterator[Fault]:
    """Counts from `def` to the last line, docstring included, decorators not."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, f"{node.name}() has {lines} lines (limit {FUNCTION_LINES})"


def docstring(module: Module) -> Iterator[Fault]:
    if not ast.get_docstring(module.tree):
        yield 1, "the module does not open with a docstring (what lives here; what does not, and where that is)"


def module_name(module: Module) -> Iterator[Fault]:
    for part in (*module.path.parts[:-1], module.path.stem):
        if part.lower() in FORBIDDEN_NAMES:
            yield 1, f"a module called {part} says nothing (not allowed: {', '.join(sorted(FORBIDDEN_NAMES))})"


def type_checking(module: Module) -> Iterator[Fault]:
    for node in ast.walk(module.tree):
        if getattr(node, "id", getattr(node, "attr", "")) == "TYPE_CHECKING":
            yield getattr(node, "lineno", 1), "TYPE_CHECKING hides an import from the contracts (not allowed)"


def unfinished(module: Module) -> Iterator[Fault]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield node.lineno, "NotImplementedError stands for work that is not done (not allowed)"


def mocks(module: Module) -> Iterator[Fault]:
    for node in ast.walk(module.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        origin = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if FORBIDDEN_MOCKS.intersection({origin, *names, *(f"{origin}.{name}" for name in names)}):
            yield getattr(node, "lineno", 1), "a mock (not allowed: use a fake or the real thing)"


RULES: dict[str, tuple[Rule, ...]] = {
    PACKAGE: (file_length, function_length, docstring, module_name, type_checking, unfinished),
    "scripts": (file_length, function_length, docstring, module_name),
    "benchmarks": (file_length, docstring, module_name),
    TESTS: (module_name, mocks),
}


def faults(root: Path) -> Iterator[str]:
    """`file:line: what` for each fault below `root`, in path order."""
    for folder, rules in RULES.items():
        for path in sorted((root / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            module = Module(path.relative_to(root), source, ast.parse(source, str(path)))
            for line, what in (fault for rule in rules for fault in rule(module)):
                yield f"{module.path}:{line}: {what}"


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = list(faults(root))
    print("\n".join(found) or "sizes and shapes are within the limits")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
