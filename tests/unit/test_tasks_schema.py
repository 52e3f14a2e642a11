"""A schema that no answer could be held to is told before anybody is asked, and one that fails is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from orchestrator_v2.core.errors import InputError, InvalidOutputError
from orchestrator_v2.tasks.agent_registry import AgentRegistry
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.answer_schema import answer_schema
from orchestrator_v2.tasks.task_executor import TaskExecutor


class Uncallable(BaseModel):
    run: Callable[[], int]


class Unwritable(BaseModel):
    a: Any = object()


class Raising(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def check(cls, value: int) -> int:
        raise KeyError("boom")


class Node(BaseModel):
    name: str
    below: list[Node] = []


def inside(schema: object) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


circular: dict[str, Any] = {"type": "object"}
circular["not"] = circular
deep: Any = {}
for _ in range(2_000):
    deep = {"not": deep}
CHAIN = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(500)}

UNUSABLE = {
    "leads nowhere": inside({"$ref": "#/$defs/none"}),
    "'#anchor' leads nowhere": inside({"$dynamicRef": "#anchor"}),
    "http://127.0.0.1:9/x.json' leads nowhere": inside({"$ref": "http://127.0.0.1:9/x.json"}),
    "'#/allOf/x' leads nowhere": {"allOf": [{}], "$ref": "#/allOf/x"},
    "leads to no schema": {"type": "object", "required": ["a"], "$ref": "#/required"},
    "is not a 'regex'": {"type": "object", "$ref": "#/x-more", "x-more": {"pattern": "("}},
    "back to itself": {"$ref": "#"},
    "A \\$ref of it leads back": {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}},
    "follow one another": {"$ref": "#/$defs/a0", "$defs": {**CHAIN, "a500": {"type": "object"}}},
    "nested too deep": inside(deep),
    "no JSON Schema: ValueError": circular,
    "no JSON Schema: TypeError": {"type": "object", "enum": [{1, 2}]},
    "Uncallable has no JSON Schema": Uncallable,
    "Unwritable has no JSON Schema": Unwritable,
}


@pytest.mark.parametrize("words", UNUSABLE)
def test_a_schema_that_cannot_be_used_is_told_before_anything_is_sent(words: str) -> None:
    """Whether it leads nowhere, never ends or is none: the caller's mistake, which costs nothing."""
    with pytest.raises(InputError, match=words) as caught:
        answer_schema(UNUSABLE[words])
    assert caught.value.do.startswith("Nothing was sent.")


def test_references_that_end_are_followed() -> None:
    """A schema may lead into itself below a property, through definitions of either name and by anchors."""
    tree = answer_schema(Node)
    assert tree is not None
    assert tree.read('{"name": "a", "below": [{"name": "b"}]}')["below"] == [{"name": "b", "below": []}]
    both = {
        "$ref": "#/definitions/node",
        "definitions": {"node": inside({"$ref": "#it"}), "it": {"$anchor": "it", "$ref": "#/x-far/0"}},
        "x-far": [{"type": "integer", "not": {"$ref": "#/definitions/none"}}],
    }
    with pytest.raises(InputError, match="'#/definitions/none' leads nowhere"):
        answer_schema(both)
    both["definitions"]["none"] = {"const": 3}  # type: ignore[index]
    good = answer_schema(both)
    assert good is not None
    assert good.read('{"a": 4}') == {"a": 4}
    with pytest.raises(InvalidOutputError, match="should not be valid"):
        good.read('{"a": 3}')


def test_a_schema_is_a_copy() -> None:
    """Who changes the dictionary after it was checked changes nothing."""
    given = inside({"type": "integer"})
    schema = answer_schema(given)
    assert schema is not None
    given["properties"]["a"]["$ref"] = "#/none"
    assert schema.schema == inside({"type": "integer"})


def test_an_answer_that_nests_too_deep_is_the_answers_fault() -> None:
    """It is told like any other fault of an answer, so that a model may mend it."""
    steps = 60
    schema = answer_schema(
        {
            "$ref": "#/$defs/s0",
            "$defs": {
                **{f"s{n}": {"$ref": f"#/$defs/s{n + 1}"} for n in range(steps)},
                f"s{steps}": inside({"$ref": "#/$defs/s0"}),
            },
        }
    )
    assert schema is not None
    with pytest.raises(InvalidOutputError, match="nests too deep"):
        schema.read('{"a": ' * 40 + "{}" + "}" * 40)


@pytest.mark.parametrize("given", [Uncallable, Unwritable, Raising, {"$ref": "#"}, inside({"$ref": "#/none"})])
def test_a_task_whose_schema_fails_ends_no_other(given: Any) -> None:
    """The others' answers come; its own error says that the schema is to be mended, and where it broke."""
    agents = AgentRegistry()
    agents.register_agent("a", "dev", "api", "simulated")
    tasks = [AgentTask("p", response_schema=given), AgentTask("q")]
    bad, good = TaskExecutor(agents, environ={}).execute_parallel_sync(tasks, limit=2)
    assert good.success
    assert bad.error is not None
    assert (bad.error.code, bad.output, bad.data) == ("invalid_input", "", None)
    assert "response_schema" in bad.error.what
    if given is Raising:
        assert "KeyError: 'boom' (at test_tasks_schema.py:" in bad.error.why
        assert "The answer had come" in bad.error.why
        assert bad.usage.calls == 1
    else:
        assert (bad.error.do[:17], bad.usage.calls) == ("Nothing was sent.", 0)
