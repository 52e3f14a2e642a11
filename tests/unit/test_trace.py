"""Requirements are read as people write them, and a test stands for a criterion only where it names it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.engine import trace
from orchestrator_v2.engine.trace import Criterion, Requirement, parse_requirements

DOCUMENT = """# Requirements

Prose that mentions R1: and AC1.1: in passing.

## R1: Start a pomodoro

- AC1.1: a timer of 25 minutes starts
- **AC1.2**: a running one is refused
* AC2.1 - belongs to the second, wherever it stands

### R2 — Export

  - AC2.2. the file is CSV
- AC9.1: belongs to nobody

## Reasons: R3: not a requirement
"""


def test_requirements_are_read_with_their_criteria() -> None:
    """Order of the text; a criterion goes to the requirement of its number; prose is not taken for one."""
    assert parse_requirements(DOCUMENT) == [
        Requirement(
            "R1",
            "Start a pomodoro",
            (Criterion("AC1.1", "a timer of 25 minutes starts"), Criterion("AC1.2", "a running one is refused")),
        ),
        Requirement(
            "R2",
            "Export",
            (
                Criterion("AC2.1", "belongs to the second, wherever it stands"),
                Criterion("AC2.2", "the file is CSV"),
            ),
        ),
    ]


def test_a_test_stands_for_the_criteria_that_it_names() -> None:
    """In its name, its docstring or its body; once for each test, in path order."""
    files = {
        "tests/test_b.py": 'def test_export_ac2_1():\n    """AC2.2 too."""\n    assert "AC2.1"\n',
        "tests/test_a.py": (
            "# AC7.7 stands above all tests\nclass TestTimer:\n"
            "    def test_start(self):\n        # AC1.1\n        pass\n"
            "    async def test_refused(self):\n        'ac1.2 and AC2.1'\n"
        ),
    }
    assert trace.tests_naming_criteria(files) == {
        "AC1.1": ["tests/test_a.py::test_start"],
        "AC1.2": ["tests/test_a.py::test_refused"],
        "AC2.1": ["tests/test_a.py::test_refused", "tests/test_b.py::test_export_ac2_1"],
        "AC2.2": ["tests/test_b.py::test_export_ac2_1"],
    }


def test_a_longer_number_is_another_criterion() -> None:
    """AC1.1 is not found in AC1.10, nor in a word that ends in AC."""
    found = trace.tests_naming_criteria({"t.py": "def test_x():\n    'AC1.10 MAC1.1 xac1_1'\n"})
    assert found == {"AC1.10": ["t.py::test_x"]}


@given(st.text(), st.text())
def test_any_text_is_read_without_an_error(document: str, source: str) -> None:
    """Requirements and tests come from models and people: nothing that they write stops the report."""
    assert isinstance(parse_requirements(document), list)
    assert isinstance(trace.tests_naming_criteria({"t.py": source}), dict)


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(words, st.lists(words, max_size=4)), max_size=6))
def test_what_is_written_in_the_format_is_read_back(wanted: list[tuple[str, list[str]]]) -> None:
    """The simulated planner's way of writing and this reading are one format."""
    lines: list[str] = []
    for number, (title, criteria) in enumerate(wanted, start=1):
        lines.append(f"## R{number}: {title}")
        lines += [f"- AC{number}.{index}: {text}" for index, text in enumerate(criteria, start=1)]
    read = parse_requirements("\n".join(lines))
    assert [(each.title, [criterion.text for criterion in each.criteria]) for each in read] == wanted


@pytest.mark.parametrize(
    "unit", ["\n", " ", "\t", "- ", "- AC1.1", "## R1 ", "## R1: ", "AC1.1 ", "def test_a", "def "]
)
def test_hostile_text_is_read_in_linear_time(unit: str) -> None:
    """Half a megabyte of one repeated piece is read at once: no part of a pattern can share its blanks with another."""
    text = unit * (500_000 // len(unit))
    assert len(parse_requirements(text)) <= 500_000
    assert len(trace.tests_naming_criteria({"tests/test_a.py": text})) <= 1
