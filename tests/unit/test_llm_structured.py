"""The gate for model output: any text gives a clean value or one kind of error, quickly."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.errors import InvalidOutputError
from orchestrator_v2.llm.structured import MAX_BYTES, clean_text, parse_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=12,
)
containers = json_values.filter(lambda value: isinstance(value, dict | list))


def looks_clean(value):
    if isinstance(value, str):
        assert not any(ord(c) < 32 and c not in "\t\n\r" for c in value)
        value.encode("utf-8")
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            looks_clean(key)
            looks_clean(item)
    elif isinstance(value, list):
        for item in value:
            looks_clean(item)


@settings(max_examples=300, deadline=2000)
@given(st.text() | st.binary() | st.text(alphabet='{}[]",:\\ \n`jsonu0123456789eE+-.tfNaI\x00\ud800'))
def test_any_text_is_a_clean_value_or_an_invalid_output(text):
    """No input raises anything but InvalidOutputError, and no value carries what databases cannot keep."""
    try:
        value = parse_json(text)
    except InvalidOutputError:
        return
    looks_clean(value)


@settings(max_examples=150, deadline=2000)
@given(containers)
def test_valid_json_comes_through_unchanged(value):
    """Bare, in a fence, or between prose: the same value."""
    text = json.dumps(value)
    assert parse_json(text) == value
    assert parse_json(f"Here it is:\n```json\n{json.dumps(value, indent=1)}\n```\nDone.") == value
    if len(text) > 8:
        assert parse_json(f"As in [1], the answer is {text} and that is all.") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json here",
        "42",
        '"text"',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": 1, "a": 2}',
        '{"a\\u0000": 1, "a": 2}',
        '{"a": ' + "9" * 65 + "}",
        '{"a": 1e999}',
        "[" * 65 + "]" * 65,
        "[" + ",".join(["1"] * 50_001) + "]",
        '{"a": [1, 2',
        '{"files": [{"path": "a.py"}, {"path": "b',
        '{"a": "' + "x" * MAX_BYTES + '"}',
        b"\xff\xfe\x00",
    ],
)
def test_hostile_or_broken_json_is_refused(text):
    """Each limit of the gate refuses; a cut answer does not shrink to a part from its inside."""
    with pytest.raises(InvalidOutputError):
        parse_json(text)


def test_limits_themselves_pass():
    """What is exactly at a limit is accepted."""
    assert parse_json("[" * 64 + "]" * 64)
    assert len(parse_json("[" + ",".join(["1"] * 49_999) + "]")) == 49_999
    assert parse_json('{"a": ' + "9" * 64 + "}")


def test_strings_are_cleaned():
    """NUL and controls go, halves of characters become U+FFFD, whole pairs and line ends stay."""
    assert parse_json('{"a": "x\\u0000y\\u0007\\n\\t\\ud83d\\ude00\\ud800z"}') == {"a": "xy\n\t\U0001f600\ufffdz"}
    assert clean_text("a\x00b\ud83dc") == "ab\ufffdc"
    assert clean_text("tab\tline\r\n") == "tab\tline\r\n"


def test_code_fences_inside_strings_do_not_cut_the_value():
    """A fenced answer whose strings hold fences of their own is still found whole."""
    value = {"content": "# T\n```python\nprint({'a': [1]})\n```\n"}
    assert parse_json(f"```json\n{json.dumps(value)}\n```") == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2_000_000,
        "{" * 2_000_000,
        '{"' * 1_000_000,
        "```" * 1_000_000,
        "```" + " " * 3_000_000,
        '"\\' * 1_500_000,
        "[{}]," * 500_000,
        "{]" * 1_000_000,
        "```\n{" * 500_000,
        "{ x" * 1_300_000,
        "{x}" * 1_300_000,
        "[ " * 2_000_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_crafted_text_takes_no_long_time(text):
    """Patterns that make careless scanners quadratic are refused or read in seconds: else this never ends."""
    with contextlib.suppress(InvalidOutputError):
        parse_json(text)
