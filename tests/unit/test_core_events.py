"""Every event survives its encoding, whatever its fields hold, and foreign bytes are refused."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core import events
from orchestrator_v2.core.events import Event, decode_event, encode_event, event_type
from orchestrator_v2.core.records import Artifact, Provenance, Receipt
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.core.workflow import Gate, Phase, Workflow

KINDS = typing.get_args(Event)
# JSON holds what UTF-8 holds: a lone surrogate is removed before it gets here.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
texts = st.lists(text, max_size=3).map(tuple)
whole = st.integers(-(2**63), 2**63 - 1)
number = st.floats(allow_nan=False, allow_infinity=False)
provenances = st.builds(Provenance, text, text, text)
PARTS: dict[object, st.SearchStrategy[object]] = {
    str: text,
    int: whole,
    float: number,
    bool: st.booleans(),
    int | None: st.none() | whole,
    float | None: st.none() | number,
    tuple[str, ...]: texts,
    dict[str, str]: st.dictionaries(text, text, max_size=3),
}


def strategy(kind: object, within: frozenset[object] = frozenset()) -> st.SearchStrategy[object]:
    """Any value of a field's type, built from the type itself, so that a new event is tested unasked; a type that holds
    its own kind holds one level of it."""
    if kind in PARTS:
        return PARTS[kind]
    if typing.get_origin(kind) is dict:
        return st.dictionaries(text, strategy(typing.get_args(kind)[1], within), max_size=3)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        deep = (inner, inner) in within
        return st.just(()) if deep else st.lists(strategy(inner, within), max_size=2).map(tuple)
    if isinstance(kind, types.UnionType):
        return st.none() | strategy(next(it for it in typing.get_args(kind) if it is not type(None)), within)
    assert isinstance(kind, type) and issubclass(kind, msgspec.Struct), f"no strategy for {kind}"
    hints = typing.get_type_hints(kind)
    seen = within | ({(kind, kind)} if kind in within else {kind})
    return st.builds(kind, **{name: strategy(hints[name], seen) for name in kind.__struct_fields__})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_comes_back_as_it_went_in(kind: type[Event]) -> None:
    """Decoding what was encoded gives an equal event of the same class."""

    @given(strategy(kind))
    def round_trip(event: typing.Any) -> None:
        back = decode_event(encode_event(event))
        assert type(back) is kind
        assert back == event
        assert event_type(back) == kind.__name__

    round_trip()


def test_the_union_holds_every_event_class() -> None:
    """An event class that is forgotten in the union could be written and never read."""
    defined = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, events._Event) and value is not events._Event
    }
    assert defined == set(KINDS)


def test_the_class_name_is_the_tag() -> None:
    """A person who looks into the database can read what happened."""
    assert msgspec.json.decode(encode_event(events.PhaseSkipped("data", "not needed"))) == {
        "type": "PhaseSkipped",
        "phase": "data",
        "reason": "not needed",
    }


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"null", b'{"type":"Unknown"}', b'{"type":"PhaseSkipped"}', b'{"type":"PhaseSkipped",']
)
def test_bytes_that_are_no_event_are_refused(payload: bytes) -> None:
    """A damaged or foreign row is an error, not an event with empty fields."""
    with pytest.raises(msgspec.DecodeError):
        decode_event(payload)


FROZEN = (Usage(), Artifact("a", "b", 1), Receipt("c", True), Phase("d", "e"), Gate(), Workflow("f", ()))


@pytest.mark.parametrize("value", FROZEN, ids=lambda value: type(value).__name__)
def test_values_in_events_are_frozen(value: msgspec.Struct) -> None:
    """What was recorded is not changed afterwards by who holds it."""
    with pytest.raises(AttributeError):
        setattr(value, value.__struct_fields__[0], "changed")
