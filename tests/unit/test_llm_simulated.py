"""The provider that asks nobody, and the smallest value that fits a schema."""

from __future__ import annotations

import asyncio
import json
from random import Random

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.smallest import smallest_instance
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger


def ask(prompt="Build a clock.", options=None, ledger=None):
    """One call through the whole chain, without a key and under a budget of nothing."""

    async def go():
        factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
        client = factory.create_client(LLMConfig("simulated", ""), ledger=ledger)
        pieces = []
        messages = [Message("user", prompt)]
        answer = await client.invoke(messages, options or InvokeOptions(), key="a/1", sink=pieces.append)
        assert "".join(pieces) == answer.text
        await factory.aclose()
        return answer

    return asyncio.run(go())


def test_it_needs_no_key_costs_nothing_and_says_what_it_is():
    """0 tokens, cost 0 in answer and ledger, provenance simulated, a text that is marked; a budget of 0 is enough."""
    ledger = MemoryCallLedger(budget=0)
    answer = ask(ledger=ledger)
    assert answer.text.startswith("[simulated] No model was asked.")
    assert str(answer.provenance) == "simulated (simulated/simulated)"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.cost) == (0, 0, 0)
    assert "simulated" in answer.notes[0]
    assert [(row.outcome, row.reserved, row.charged) for row in ledger.rows] == [("done", 0, 0)]


def test_the_same_request_has_the_same_answer_and_another_has_another():
    """Nothing random, no clock: only what was asked decides."""
    assert ask("one").text == ask("one").text
    assert ask("one").text != ask("two").text
    assert ask("one").text != ask("one", InvokeOptions(system_prompt="Be brief.")).text


def test_it_is_listed_as_ready():
    """It is among the providers, with nothing missing, in an empty environment."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0), environ={})
    found = {each.provider: each for each in factory.list_providers()}["simulated"]
    assert found.ready
    assert found.missing == ""


SCHEMAS = [
    (
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]},
        {"b": 0},
    ),
    ({"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2}, ["x", "x"]),
    ({"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "uniqueItems": True}, ["x", "y"]),
    ({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True}, ["", "1"]),
    ({"type": "array", "prefixItems": [{"const": 1}, {"type": "boolean"}], "minItems": 3}, [1, False, None]),
    (
        {"$defs": {"P": {"const": 7}}, "type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}, "required": ["p"]},
        {"p": 7},
    ),
    ({"$defs": {"a/b": {"const": 7}}, "$ref": "#/$defs/a~1b"}, 7),
    ({"anyOf": [{"type": "object", "required": ["long"]}, {"type": "null"}]}, None),
    ({"oneOf": [{"const": "longer"}, {"const": "no"}]}, "no"),
    ({"type": ["string", "null"], "minLength": 9}, None),
    (
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 1}}, "required": ["b"]}]},
        {"a": 1, "b": None},
    ),
    ({"type": "string", "minLength": 12, "maxLength": 12}, "simulatedsim"),
    ({"type": "string", "format": "date"}, "2026-01-01"),
    ({"type": "string", "pattern": "^[A-Z]+$"}, "A"),
    ({"type": "string", "pattern": "^0+$", "minLength": 7}, "0000000"),
    ({"type": "integer", "minimum": 3}, 3),
    ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}, 5),
    ({"type": "integer", "maximum": -2}, -2),
    ({"type": "number", "minimum": 0.2, "maximum": 0.4}, 0.2),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "object", "minProperties": 2, "properties": {"a": {"type": "null"}}}, {"a": None, "simulated0": None}),
    ({"required": ["x"], "additionalProperties": {"type": "boolean"}}, {"x": False}),
    ({"type": "object", "properties": {"next": {"$ref": "#"}}}, {}),
    (True, None),
    ({}, None),
]


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS, ids=[json.dumps(row[0])[:50] for row in SCHEMAS])
def test_the_smallest_value_fits(schema, expected):
    """For each keyword the value that is expected, and a judge that is not ours says that it fits."""
    found = smallest_instance(schema)
    assert found == expected
    jsonschema.Draft202012Validator(schema).validate(found)


IMPOSSIBLE = [
    False,
    {"enum": []},
    {"$ref": "#/$defs/None"},
    {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
    {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
    {"type": "integer", "minimum": 3, "maximum": 2},
    {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "string", "pattern": "^the very words of a poem$"},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True},
    {"type": "novelty"},
    {"anyOf": []},
]


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=[json.dumps(schema)[:50] for schema in IMPOSSIBLE])
def test_what_nothing_simulated_fits_is_an_error_and_no_wrong_answer(schema):
    """Contradictions, endless nesting and patterns that are not met are refused, unbilled and with the reason."""
    with pytest.raises(RequestRejectedError, match="no simulated answer") as caught:
        smallest_instance(schema)
    assert caught.value.unbilled


def test_a_response_schema_is_answered_with_json_that_fits():
    """Through the whole chain the text is the smallest value as JSON."""
    schema = {"type": "object", "properties": {"files": {"type": "array"}}, "required": ["files"]}
    assert ask(options=InvokeOptions(response_schema=schema)).text == '{"files":[]}'


LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["boolean", "null"])}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-9, 0), "maximum": st.integers(1, 9), "exclusiveMinimum": st.integers(-9, -1)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 20), "maxLength": st.integers(20, 30)}
    ),
    st.fixed_dictionaries({"enum": st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3)), min_size=1)}),
    st.just({"$ref": "#/$defs/X"}),
)


def grown(inner):
    """Objects, arrays and choices around smaller schemas."""
    names = st.sampled_from("abc")
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner)},
            optional={
                "required": st.lists(names, unique=True),
                "minProperties": st.integers(0, 3),
                "additionalProperties": inner,
            },
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=1)}),
    )


@given(st.recursive(LEAVES, grown, max_leaves=10))
def test_whatever_the_schema_the_value_fits_it_and_is_the_same_again(schema):
    """A law over generated schemas, judged by another validator."""
    whole = {**schema, "$defs": {"X": {"type": "array", "items": {"const": 1}, "minItems": 1}}}
    found = smallest_instance(whole)
    jsonschema.Draft202012Validator(whole).validate(found)
    assert smallest_instance(whole) == found
    json.dumps(found, allow_nan=False)
