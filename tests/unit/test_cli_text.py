"""Foreign text is made harmless on its way to a terminal, and amounts and paths are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.cli.sources import read_brief, read_budget, read_parallelism, read_replacements
from orchestrator_v2.cli.text import block
from orchestrator_v2.core.errors import BriefError, ConfigError, InputError
from orchestrator_v2.core.text import age, count, duration, one_line

STEERING = {*map(chr, (*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066))}


@given(st.text())
def test_no_text_can_steer_the_terminal(text: str) -> None:
    """Whatever a brief or a model says, no control character and no reversing mark reaches the screen."""
    assert not STEERING & set(one_line(text))
    assert "\n" not in one_line(text)
    assert not STEERING & set(block(text))


@given(st.text(), st.integers(min_value=2, max_value=40))
def test_a_cut_line_is_no_longer_than_asked(text: str, limit: int) -> None:
    """A limit is kept in characters, the ellipsis included."""
    assert len(one_line(text, limit)) <= limit


def test_times_and_counts_read_like_words() -> None:
    """Seconds, minutes and hours each have their shape; one is not plural."""
    assert [duration(x) for x in (None, 0.04, 9.96, 59.9, 61, 3723)] == [
        "",
        "0.0 s",
        "10.0 s",
        "59 s",
        "1:01",
        "1:02:03",
    ]
    assert [age(x) for x in (-1, 119, 120, 7200, 172_800)] == ["0 s", "119 s", "2 min", "2 h", "2 d"]
    assert (count(1, "file"), count(2, "file")) == ("1 file", "2 files")


@pytest.mark.parametrize(("text", "nano"), [("2", 2_000_000_000), ("$0.50", 500_000_000), ("0", 0), ("1e2", 10**11)])
def test_a_budget_is_read_exactly(text: str, nano: int) -> None:
    """Dollars become whole nano-dollars without a float in between."""
    assert read_budget(text) == nano
    assert read_budget(None) is None


@pytest.mark.parametrize("text", ["-0.01", "1000001", "nan", "-inf", "", "two", "1,5", "$"])
def test_an_impossible_budget_is_refused(text: str) -> None:
    """Negative, absurd, infinite and unreadable amounts never become a ceiling."""
    with pytest.raises(ConfigError):
        read_budget(text)


@pytest.mark.parametrize("number", [0, -1, 257])
def test_an_impossible_parallelism_is_refused(number: int) -> None:
    """At least one task and at most 256 go on at once."""
    with pytest.raises(ConfigError):
        read_parallelism(number)


def test_a_brief_keeps_its_words_and_loses_a_byte_order_mark(tmp_path: Path) -> None:
    """A file's text arrives as it is, in any script, without the mark that some editors put before it."""
    path = tmp_path / "brief.md"
    path.write_bytes("\ufeff# Köche 料理 {{7*7}}\n".encode())
    assert read_brief((), str(path)) == "# Köche 料理 {{7*7}}\n"
    assert read_brief(("A", "todo", "list"), None) == "A todo list"
    with pytest.raises(BriefError):
        read_brief(("words",), str(path))


def test_replacements_are_paths_and_files(tmp_path: Path) -> None:
    """The bytes of the file stand under the project's path; a path may not be named twice."""
    file = tmp_path / "a=b.md"
    file.write_bytes(b"\xff")
    assert read_replacements([f"docs/x.md={file}"]) == {"docs/x.md": b"\xff"}
    with pytest.raises(InputError, match="twice"):
        read_replacements([f"x={file}", f"x={file}"])
