"""Every crash point that a test may ask for stands in the product, under a name written out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_v2.core.probe import CRASH_POINTS

PACKAGE = Path(__file__).parents[2] / "orchestrator_v2"


@pytest.fixture(scope="module")
def nodes() -> list[ast.AST]:
    """All of the product's code but the list of the points itself."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "core" / "probe.py"]
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]


def called_with_a_name(nodes: list[ast.AST]) -> Iterator[str]:
    """The literal names in calls of `probe("name")` or `self._probe("name")`."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called.lstrip("_") == "probe":
                yield str(node.args[0].value)


def test_every_crash_point_stands_in_the_code(nodes: list[ast.AST]) -> None:
    """A crash test cannot wait for a point that no code passes; some pass it as data (`Unit(before=…)`)."""
    written = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert set(CRASH_POINTS) - written == set()


def test_no_code_passes_a_point_that_no_test_can_name(nodes: list[ast.AST]) -> None:
    """A mistyped name in a `probe(…)` call would be a crash point that is never tested."""
    names = set(called_with_a_name(nodes))
    assert names <= set(CRASH_POINTS)
    assert len(names) > 5
