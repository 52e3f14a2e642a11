"""Python source measured with Python's own parser: functions, lines, complexity, docstrings, annotations.

What the numbers mean for a review is `reviewing.py`; nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

import msgspec

_DECISIONS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert, ast.match_case)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Function(msgspec.Struct, frozen=True):
    """A function or method; `lines` from its first line to its last, `complexity` is decisions + 1."""

    path: str
    name: str
    line: int
    lines: int
    complexity: int
    documented: bool
    annotated: bool
    public: bool


class Measured(msgspec.Struct, frozen=True):
    """A set of Python files, measured."""

    files: int
    lines: int
    code: int
    functions: tuple[Function, ...]
    undocumented: tuple[str, ...]
    unparsed: tuple[str, ...]
    smells: tuple[str, ...]

    @property
    def longest(self) -> int:
        return max((one.lines for one in self.functions), default=0)

    @property
    def hardest(self) -> int:
        return max((one.complexity for one in self.functions), default=0)

    @property
    def annotated(self) -> int:
        return sum(one.annotated for one in self.functions)


def measure(files: Mapping[str, str]) -> Measured:
    """The measures of all `.py` files among `files`, in path order. Never raises; what does not parse is named."""
    sources = {path: files[path] for path in sorted(files) if path.endswith(".py")}
    functions: list[Function] = []
    undocumented: list[str] = []
    unparsed: list[str] = []
    smells: list[str] = []
    for path, text in sources.items():
        tree = parse(text)
        if tree is None:
            unparsed.append(path)
            continue
        functions += _functions(tree, path)
        undocumented += _undocumented(tree, path)
        smells += _smells(tree, path)
    lines = [row.strip() for text in sources.values() for row in text.splitlines()]
    code = sum(bool(row) and not row.startswith("#") for row in lines)
    return Measured(
        len(sources), len(lines), code, tuple(functions), tuple(undocumented), tuple(unparsed), tuple(smells)
    )


def undocumented(files: Mapping[str, str]) -> tuple[str, ...]:
    """The public names of all `.py` files among `files` that have no docstring, in path order."""
    trees = ((path, parse(files[path])) for path in sorted(files) if path.endswith(".py"))
    return tuple(name for path, tree in trees if tree is not None for name in _undocumented(tree, path))


def parse(text: str) -> ast.Module | None:
    """The syntax tree, or None where there is none."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _functions(tree: ast.Module, path: str) -> Iterator[Function]:
    within = {id(node): list(ast.walk(node)) for node in ast.walk(tree) if isinstance(node, _Function)}
    nested = {id(child) for nodes in within.values() for child in nodes[1:] if isinstance(child, _Function)}
    for nodes in within.values():
        node = nodes[0]
        if isinstance(node, _Function):
            yield Function(
                path=path,
                name=node.name,
                line=node.lineno,
                lines=(node.end_lineno or node.lineno) - node.lineno + 1,
                complexity=1 + _decisions(nodes),
                documented=ast.get_docstring(node) is not None,
                annotated=_annotated(node),
                public=not node.name.startswith("_") and id(node) not in nested,
            )


def _decisions(nodes: Iterable[ast.AST]) -> int:
    count = 0
    for child in nodes:
        if isinstance(child, _DECISIONS):
            count += 1
        elif isinstance(child, ast.BoolOp):
            count += len(child.values) - 1
        elif isinstance(child, ast.comprehension):
            count += 1 + len(child.ifs)
    return count


def _annotated(node: _Function) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = arguments[1:] if arguments and arguments[0].arg in ("self", "cls") else arguments
    return node.returns is not None and all(one.annotation is not None for one in named)


def _undocumented(tree: ast.Module, path: str) -> Iterator[str]:
    if ast.get_docstring(tree) is None and tree.body:
        yield f"{path}: the module"
    for node in _definitions(tree.body):
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield f"{path}:{node.lineno} {node.name}"


def _definitions(body: Iterable[ast.stmt]) -> Iterator[ast.ClassDef | _Function]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node
            yield from _definitions(node.body)
        elif isinstance(node, _Function):
            yield node


def _smells(tree: ast.Module, path: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{path}:{node.lineno} a bare except"
        elif isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names):
            yield f"{path}:{node.lineno} a star import"
        elif isinstance(node, _Function) and any(
            isinstance(value, ast.List | ast.Dict | ast.Set) for value in (*node.args.defaults, *node.args.kw_defaults)
        ):
            yield f"{path}:{node.lineno} {node.name} has a mutable default argument"
