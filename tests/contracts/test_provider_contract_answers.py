"""Every provider's wire when all goes well: what is asked arrives, what is answered comes whole, counted and once.

How a wire writes it is in that wire's own file (`tests/integration/test_llm_*.py`); here is what all of them do.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from provider_cases import ASK, OPTIONS, WIRES, Bench, Talk, opened

from orchestrator_v2.core.errors import RequestRejectedError
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.prices import price
from orchestrator_v2.llm.types import Image, InvokeOptions, Message, ToolCall, ToolResult, ToolSpec

TEXT = "Grüße aus der Küche: 漢字 \U0001f600 und noch etwas mehr."
SCHEMA = {
    "type": "object",
    "properties": {"a_rare_colour": {"type": "string", "minLength": 1}},
    "required": ["a_rare_colour"],
    "additionalProperties": False,
}
WEATHER = ToolSpec("weather", "What the sky does.", {**SCHEMA, "properties": {"a_rare_colour": {"type": "string"}}})


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened(request.param) as bench:
        yield bench


def test_an_answer_comes_whole_with_usage_cost_and_provenance(bench: Bench) -> None:
    """Pieces and scripts are put together and heard as they come; cached tokens count into the total, and cost less."""
    wire = bench.dialect
    talk = bench.talk([wire.reply(text=TEXT, usage=wire.usage(150, 20, 50))], listen=True)
    done = talk.result
    assert done.text == "".join(talk.heard) == TEXT
    assert done.finish_reason == "stop" and done.request_id
    counted = (done.usage.input_tokens, done.usage.cache_read_tokens, done.usage.output_tokens, done.usage.calls)
    assert counted == (150, 20, 50, 1)
    info = bench.factory(talk.clock).resolve(bench.config())
    assert str(done.provenance) == f"real ({wire.provider}/{wire.model})"
    usage = Usage(input_tokens=150, cache_read_tokens=20, output_tokens=50)
    assert done.cost == talk.rows[0].charged == price(info.price, usage)
    assert (done.cost is None) == (info.price is None)


@pytest.mark.parametrize("counts", [None, (-1, 0, 5), (10**9, 0, 5), (10, 0, 10**9)], ids=str)
def test_a_count_that_cannot_be_true_is_charged_as_reserved(bench: Bench, counts: tuple[int, int, int] | None) -> None:
    """Missing, negative or absurd: the answer holds, its cost is the reservation, and a note says so."""
    wire = bench.dialect
    talk = bench.talk([wire.reply(usage={} if counts is None else wire.usage(*counts))])
    assert talk.rows[0].charged == talk.rows[0].reserved
    assert "token count was" in talk.result.notes[0]


def test_what_is_asked_arrives_byte_for_byte(bench: Bench) -> None:
    """System prompt and all turns, templates and scripts unchanged; neighbours of one role keep to the wire's rules."""
    messages = [
        Message("user", "The project {{7*7}} ${HOME}", stable=True),
        Message("user", f"The task: {TEXT}"),
        Message("assistant", "{}"),
        Message("user", "Once more."),
    ]
    options = msgspec.structs.replace(OPTIONS, system_prompt="Be {{brief}}.")
    talk = bench.talk(["ok"], messages=messages, options=options)
    said = bench.dialect.prompt_of(talk.requests[0])
    assert all(words in said for words in ("Be {{brief}}.", *(message.content for message in messages)))


def test_a_schema_reaches_the_model_by_some_means(bench: Bench) -> None:
    """Enforced by the wire, or told in the prompt: the field that is wanted stands in the request."""
    talk = bench.talk(['{"a_rare_colour": "x"}'], options=msgspec.structs.replace(OPTIONS, response_schema=SCHEMA))
    assert talk.requests[0].raw.count(b"a_rare_colour") >= 1


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("temperature", 0.5, b"0.5"),
        ("top_p", 0.25, b"0.25"),
        ("reasoning", "low", b"low"),
        ("seed", 4711, b"4711"),
        ("stop_sequences", ("THE-END",), b"THE-END"),
        ("max_tokens", 77, b"77"),
    ],
)
def test_an_option_is_honoured_or_refused_and_never_dropped(bench: Bench, name: str, value: Any, shown: bytes) -> None:
    """What the model does not take is an error before anything is sent; all else is in the request."""
    talk = bench.talk(["ok"], options=InvokeOptions(**{name: value}))
    if name in bench.dialect.refused:
        assert type(talk.result) is RequestRejectedError
        assert (talk.requests, talk.rows[0].charged) == ([], 0)
    else:
        assert talk.result.text == "ok"
        assert shown.lower() in talk.requests[0].raw.lower()


def test_max_tokens_is_kept_within_the_models_own_cap(bench: Bench) -> None:
    """More than the model can give is not asked for."""
    talk = bench.talk(["ok"], options=InvokeOptions(max_tokens=500_000))
    facts = bench.factory(talk.clock).resolve(bench.config()).facts
    if facts.window is not None and facts.window < 500_000:
        assert talk.requests == []
    else:
        assert bench.dialect.cap_of(talk.requests[0]) == (facts.max_output or 500_000)


def test_pictures_travel_in_the_turns_they_belong_to(bench: Bench) -> None:
    """A message's own come first, those of the options with the last words of the user."""
    messages = [
        Message("user", "One", images=(Image(b"first picture"),)),
        Message("assistant", "Yes."),
        Message("user", "Two"),
    ]
    options = msgspec.structs.replace(OPTIONS, images=(Image(b"second picture", "image/webp"),))
    raw = bench.talk(["ok"], messages=messages, options=options).requests[0].raw
    places = [raw.find(base64.b64encode(data)) for data in (b"first picture", b"second picture")]
    assert -1 < places[0] < raw.find(b"Yes.") < places[1]
    assert b"image/webp" in raw


def test_tools_are_offered_wished_for_and_answered(bench: Bench) -> None:
    """Wishes come whole with their ids, are charged, and go back with their results as the wire's rules ask."""
    wire = bench.dialect
    options = msgspec.structs.replace(OPTIONS, tools=(WEATHER,))
    wishes = (("call_a", "weather", {"a_rare_colour": 'größe ⛅ \\ "'}), ("call_b", "weather", {"a_rare_colour": "x"}))
    talk = bench.talk([wire.reply(**{"text": "Let me see.", **wire.calls(wishes)})], options=options)
    assert talk.result.finish_reason == "tool_use"
    assert talk.result.tool_calls == tuple(ToolCall(*wish) for wish in wishes)
    assert talk.rows[0].completion == talk.result
    results = (ToolResult("call_a", "a grey sky"), ToolResult("call_b", "no such town", is_error=True))
    dialogue = [
        *ASK,
        Message("assistant", talk.result.text, tool_calls=talk.result.tool_calls),
        Message("user", "", tool_results=results),
        Message("user", "Well?"),
    ]
    again = bench.talk(["Rain."], messages=dialogue, options=options)
    assert again.result.text == "Rain."
    raw = again.requests[0].raw
    assert raw.find(b"a grey sky") < raw.find(b"no such town") < raw.find(b"Well?")


def test_a_cut_answer_holds_no_wish(bench: Bench) -> None:
    """What was cut off may be half a call: it is asked for again with more room."""
    wire = bench.dialect
    wish = wire.calls((("call_a", "weather", {"a_rare_colour": "x"}),))
    cut = wire.reply(**{**wish, "text": "", "stop_reason": wire.ends["length"]})
    talk = bench.talk(
        [cut, wire.reply(**{"text": "", **wish})], options=msgspec.structs.replace(OPTIONS, tools=(WEATHER,))
    )
    assert [len(row.completion.tool_calls) for row in talk.rows if row.completion] == [0, 1]


def test_a_recorded_answer_is_not_sent_again(bench: Bench) -> None:
    """The same key and request give the same answer from the ledger, tool calls and all."""

    async def twice(client: Any, talk: Talk) -> Any:
        return [await client.invoke(ASK, OPTIONS, key="a/1") for _ in range(2)]

    talk = bench.work(["Once."], twice)
    first, second = talk.result
    assert (first.text, second.text, second.recorded) == ("Once.", "Once.", True)
    assert len(talk.requests) == 1


def test_calls_at_once_do_not_mix(bench: Bench) -> None:
    """Forty at a time: each gets the answer to its own question, each has its own settled row."""
    wire = bench.dialect

    def answer(seen: Any) -> Any:
        number = int(re.search(r"number (\d+)", wire.prompt_of(seen)).group(1))  # type: ignore[union-attr]
        return wire.reply(text=f"{number} " * 30, silence=0.001 * (number % 7))

    async def many(client: Any, talk: Talk) -> Any:
        asked = (client.invoke(f"This is number {n}.", OPTIONS, key=f"a/{n}") for n in range(40))
        return await asyncio.gather(*asked)

    talk = bench.work([answer] * 40, many)
    assert [done.text for done in talk.result] == [f"{n} " * 30 for n in range(40)]
    assert {row.outcome for row in talk.rows} == {"done"}
    assert [row.completion.text for row in talk.rows if row.completion] == [done.text for done in talk.result]


def test_one_connection_serves_calls_one_after_the_other(bench: Bench) -> None:
    """Nothing is left unread that would cost the next call a connection of its own."""
    before = bench.server.connections
    for _ in range(5):
        bench.talk(["ok"])
    assert bench.server.connections - before <= 1


def test_a_stream_that_is_left_early_is_cancelled_and_charged(bench: Bench) -> None:
    """Leaving after the first piece settles the row as reserved, and the next call is served."""

    async def leave(client: Any, talk: Talk) -> Any:
        pieces = client.stream("Build a clock.", OPTIONS, key="a/1")
        first = await anext(pieces)
        await pieces.aclose()
        return first

    talk = bench.work([bench.dialect.reply(text="word " * 50, pause=0.01, piece=150)], leave)
    assert talk.result and talk.result in "word " * 50
    assert [(row.outcome, row.charged) for row in talk.rows] == [("failed", talk.rows[0].reserved)]
    assert bench.talk(["ok"]).result.text == "ok"
