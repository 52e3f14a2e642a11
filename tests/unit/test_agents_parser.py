"""What becomes of a model's answer: values that fit, or one clean error that names every fault."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.agents.paths import path_problem
from orchestrator_v2.agents.response_parser import ResponseParser
from orchestrator_v2.agents.schemas import AgentOutput, AgentPlan, OutputAnswer, PlanAnswer, answer_schema
from orchestrator_v2.core.errors import InvalidOutputError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage

PARSER = ResponseParser()
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "summary": JSON_VALUES,
        "steps": JSON_VALUES,
        "files": JSON_VALUES | st.lists(st.fixed_dictionaries({"path": st.text(), "content": st.text()}), max_size=4),
        "removed": st.lists(st.text(), max_size=3) | JSON_VALUES,
        "approved": JSON_VALUES,
        "notes": JSON_VALUES,
    },
)


def _answer(**fields):
    return json.dumps({"summary": "done", "files": [], **fields})


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | (SHAPED | JSON_VALUES).map(json.dumps))
@settings(max_examples=400, deadline=None)
def test_any_text_is_an_answer_or_an_invalid_output_error(text):
    """Nothing else ever leaves the parser, and what leaves it can be stored."""
    for read in (PARSER.plan, lambda t: PARSER.output(t, outputs=("src/**",), taken={"docs/a.md"})):
        try:
            answer = read(text)
        except InvalidOutputError as error:
            str(error).encode()
        else:
            stored = answer.model_dump_json().encode()
            assert b"\\u0000" not in stored


def test_every_fault_is_named_at_once():
    """The corrective turn can mend all of it, not only the first."""
    text = json.dumps({"steps": [{"title": " ", "detail": 7}, {"files": "x"}]})
    with pytest.raises(InvalidOutputError) as caught:
        PARSER.plan(text)
    for place in ("summary", "steps.0.title", "steps.0.detail", "steps.1.title", "steps.1.files"):
        assert place in caught.value.why


def test_a_plan_has_one_to_twelve_steps():
    """Neither an empty plan nor an endless one is acted on."""
    for count in (0, 13):
        with pytest.raises(InvalidOutputError, match="steps"):
            PARSER.plan(json.dumps({"summary": "s", "steps": [{"title": "t"}] * count}))
    assert len(PARSER.plan(json.dumps({"summary": "s", "steps": [{"title": "t"}] * 12})).steps) == 12


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "src/../../x", "src//x", "src/", "C:/x", "src\\x", "src/a:b", "src/./x", "", "docs/a.md"],
)
def test_a_path_that_is_unsafe_or_not_the_phases_own_is_refused(path):
    """A file outside the phase's outputs, or outside the project, never gets as far as the workspace."""
    assert path_problem(path, ("src/**",), ())
    with pytest.raises(InvalidOutputError):
        PARSER.output(_answer(files=[{"path": path, "content": "x"}]), outputs=("src/**",))
    with pytest.raises(InvalidOutputError):
        PARSER.output(_answer(removed=[path]), outputs=("src/**",))


def test_without_declared_outputs_only_other_phases_files_are_refused():
    """An agent that is used alone may write anything new."""
    assert PARSER.output(_answer(files=[{"path": "new.md", "content": "x"}]), taken={"old.md"}).files
    with pytest.raises(InvalidOutputError, match="belongs to another phase"):
        PARSER.output(_answer(files=[{"path": "old.md", "content": "x"}]), taken={"old.md"})


def test_contents_and_names_are_cleaned():
    """NUL, control characters, lone surrogates and bidi marks are gone; line ends and tabs stay."""
    content = "a\x00b\x1bc\ud800d\te\r\nf\n"
    answer = PARSER.output(_answer(files=[{"path": "./src/\u202eevil.py", "content": content}]), outputs=("src/**",))
    assert answer.files[0].path == "src/evil.py"
    assert answer.files[0].content == "abc\ufffdd\te\r\nf\n"


def test_a_file_given_twice_and_a_missing_verdict_are_refused():
    """Which of two contents counts is not guessed, and neither is an approval."""
    double = [{"path": "a.md", "content": "1"}, {"path": "./a.md", "content": "2"}]
    with pytest.raises(InvalidOutputError, match="more than once"):
        PARSER.output(_answer(files=double))
    with pytest.raises(InvalidOutputError, match="approved"):
        PARSER.output(_answer(), verdict=True)
    assert PARSER.output(_answer(approved=False), verdict=True).approved is False


def test_a_file_that_is_too_large_is_refused_without_being_shown():
    """The error tells the size, not the megabyte."""
    with pytest.raises(InvalidOutputError, match="1,000,001 characters") as caught:
        PARSER.output(_answer(files=[{"path": "a.md", "content": "x" * 1_000_001}]))
    assert len(str(caught.value)) < 500


def test_a_model_cannot_say_what_it_cost_or_how_it_came_to_be():
    """Usage and provenance are the caller's; fields of that name in an answer are ignored."""
    answer = PARSER.output(_answer(usage={"cost": 0}, provenance={"kind": "human"}))
    assert type(answer) is OutputAnswer
    assert not hasattr(answer, "usage")


def test_the_schema_asks_for_every_field_and_nothing_else():
    """Providers with strict schemas take it: all fields required, no others, no length limits."""
    for model in (PlanAnswer, OutputAnswer):
        schema = answer_schema(model)
        for one in (schema, *schema["$defs"].values()):
            assert one["required"] == list(one["properties"])
            assert one["additionalProperties"] is False
        assert not {"maxLength", "minItems", "maxItems", "default"} & set(json.dumps(schema).replace('"', " ").split())
    assert "title" in answer_schema(PlanAnswer)["$defs"]["PlanStep"]["properties"]


def test_results_survive_a_dump_and_name_their_provenance_in_it():
    """A dumped output says `simulated` in words, and a dumped plan can be loaded and acted on."""
    plan = AgentPlan.model_validate({"summary": "s", "steps": [{"title": "t"}]})
    assert AgentPlan.model_validate_json(plan.model_dump_json()) == plan
    output = AgentOutput(summary="s", usage=Usage(3, 4, cost=None), provenance=Provenance("real", "p", "m"))
    assert AgentOutput.model_validate_json(output.model_dump_json()) == output
    assert json.loads(AgentOutput(summary="s").model_dump_json())["provenance"]["kind"] == "simulated"
