"""Tools as typed functions, and the conversation in which a model asks for them, over a scripted model."""

from __future__ import annotations

import asyncio
import datetime
import threading
from typing import Annotated, Literal

import msgspec
import pytest
from pydantic import BaseModel, Field

from orchestrator_v2.core.errors import BudgetExceededError, ConfigError, InvalidOutputError, RunStateError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.tool_loop import MAX_AT_ONCE, run_with_tools
from orchestrator_v2.llm.tools import ToolRegistry
from orchestrator_v2.llm.types import Completion, Image, InvokeOptions, LLMConfig, Message, ToolCall, ToolResult
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))
REAL = Provenance("real", "anthropic", "claude-sonnet-5-5")


class Point(BaseModel):
    x: int
    y: int = 0


def area(width: int, height: int = 2, unit: Literal["m", "km"] = "m") -> str:
    """The area of a rectangle."""
    return f"{width * height} {unit}2"


def wishes(*calls: ToolCall, text: str = "") -> Completion:
    """An answer that asks for tools."""
    return Completion(text, "tool_use", Usage(10, 5, calls=1, cost=None), REAL, tool_calls=calls)


def call(name: str, number: int = 1, **arguments) -> ToolCall:
    return ToolCall(f"toolu_{number}", name, arguments)


def registry(*functions, **options) -> ToolRegistry:
    made = ToolRegistry()
    for function in functions:
        made.add(function, **options)
    return made


def run(tools: ToolRegistry, wish: ToolCall) -> ToolResult:
    return asyncio.run(tools.run(wish))


def talk(answers, tools, *, key="", ledger=None, options=None, prompt="Measure it.", **more):
    """The answer at the end of a conversation, and the script that remembers what it was sent."""
    factory, scripted = scripted_factory(answers, name="anthropic")
    client = factory.create_client(CONFIG, ledger=ledger)
    options = options or InvokeOptions(max_tokens=100)
    return asyncio.run(run_with_tools(client, prompt, tools, options, key=key, **more)), scripted


def test_a_function_becomes_a_tool_by_its_signature_and_docstring():
    """Names, types, defaults, required ones and descriptions of parameters stand in the schema; it is closed."""

    def plan(name: Annotated[str, Field(description="whose")], at: Point, schema: list[int] | None = None) -> None:
        """Plans a thing."""

    first, second = registry(area, plan).specs
    assert (first.name, first.description) == ("area", "The area of a rectangle.")
    assert first.parameters["required"] == ["width"]
    assert first.parameters["properties"]["height"] == {"default": 2, "type": "integer"}
    assert first.parameters["properties"]["unit"]["enum"] == ["m", "km"]
    assert first.parameters["additionalProperties"] is False
    assert second.parameters["properties"]["name"]["description"] == "whose"
    assert set(second.parameters["properties"]) == {"name", "at", "schema"}
    assert second.parameters["$defs"]["Point"]["required"] == ["x"]


def test_arguments_arrive_as_the_types_that_were_asked_for():
    """A model, a date and a nested list are what the function gets; sync and async functions both work."""
    seen = []

    async def note(at: Point, day: datetime.date, names: list[str], _quiet: bool = True) -> dict[str, int]:
        """Notes it down."""
        seen.append((at, day, names, _quiet))
        return {"noted": len(names)}

    tools = registry(note, area)
    result = run(tools, call("note", at={"x": 1}, day="2026-11-21", names=["a", "b"]))
    assert result == ToolResult("toolu_1", '{"noted":2}')
    assert seen == [(Point(x=1), datetime.date(2026, 11, 21), ["a", "b"], True)]
    assert run(tools, call("area", width=3, unit="km")).content == "6 km2"


def test_wrong_arguments_never_reach_the_function():
    """Missing, wrong, surplus and not allowed values come back as one error that names each, without the value."""
    called = []

    def send(amount: int, to: Literal["a", "b"]) -> str:
        """Sends money."""
        called.append(amount)
        return "sent"

    result = run(registry(send), call("send", amount="hunter2", extra=1))
    assert result.is_error
    assert all(word in result.content for word in ("amount", "to: Field required", "extra"))
    assert "hunter2" not in result.content
    assert called == []


def test_what_goes_wrong_in_a_tool_is_told_to_the_model():
    """An exception, a time-out, an unknown name: an error result each, and nothing is raised."""

    def broken(x: int) -> str:
        """Breaks."""
        raise KeyError("no such row")

    async def slow() -> str:
        """Is slow."""
        await asyncio.sleep(60)
        return "never"

    tools = registry(broken)
    tools.add(slow, timeout=0.05)
    assert run(tools, call("broken", x=1)).content == "The tool failed: KeyError: 'no such row'"
    assert run(tools, call("slow")) == ToolResult("toolu_1", "The tool took longer than 0.05 s.", is_error=True)
    unknown = run(tools, call("brokn"))
    assert unknown.is_error
    assert "broken, slow" in unknown.content


def test_an_error_that_stops_a_run_is_not_hidden_in_a_result():
    """A tool that asks a model itself may meet the budget: that parks the run as it does anywhere else."""

    def ask() -> str:
        """Asks a model."""
        raise BudgetExceededError("The call does not fit the budget.")

    with pytest.raises(BudgetExceededError):
        run(registry(ask), call("ask"))


def test_results_are_cut_and_clean():
    """A result over the cap is cut and says so; NUL and lone surrogates do not come through."""

    def read() -> str:
        """Reads."""
        return "a\x00\ud800" + "x" * 200

    tools = ToolRegistry(result_cap=50)
    tools.add(read)
    content = run(tools, call("read")).content
    assert content.startswith("a\ufffdx")
    assert content.endswith("[cut here: 202 characters in all]")
    assert len(content) < 100


def undescribed(x: int) -> str:
    return ""


def untyped(x) -> str:
    """Has no type."""
    return ""


def variadic(*things: int) -> str:
    """Takes anything."""
    return ""


def impossible(x: object.__class__) -> str:
    """Wants a class."""
    return ""


def unresolved(x: Nowhere) -> str:  # noqa: F821 - the point of the test
    """Has a type that is not there."""
    return ""


@pytest.mark.parametrize("function", [undescribed, untyped, variadic, impossible, unresolved], ids=lambda f: f.__name__)
def test_what_cannot_be_a_tool_is_refused_when_it_is_added(function):
    """A function that the model could not be told of is an error in the caller's code, and is named."""
    with pytest.raises(ConfigError, match=function.__name__):
        registry(function)


def test_names_are_what_providers_take_and_each_is_there_once():
    """A bad name and a second tool of one name are refused."""
    with pytest.raises(ConfigError, match="cannot be called"):
        registry(area, name="größe")
    with pytest.raises(ConfigError, match="two tools"):
        registry(area, area)


def test_a_conversation_goes_on_until_the_model_asks_for_no_more():
    """Each round repeats what was said, with the calls and their results in order; the usage is that of all rounds."""
    answers = [
        wishes(call("area", 1, width=2), call("nope", 2), call("area", 3, width=5), text="Let me see."),
        wishes(call("area", 4, width=7)),
        "It is 14.",
    ]
    image = Image(b"png")
    options = InvokeOptions(max_tokens=100, images=(image,))
    completion, scripted = talk(answers, registry(area), options=options)
    assert completion.text == "It is 14."
    assert completion.usage.calls == 3
    first, second, third = scripted.calls
    assert first.messages == (Message("user", "Measure it.", images=(image,)),)
    assert first.options.tools == registry(area).specs
    assert first.options.images == third.options.images == ()
    said, given = second.messages[1:]
    assert (said.role, said.content, said.tool_calls) == ("assistant", "Let me see.", answers[0].tool_calls)
    assert [result.content for result in given.tool_results][::2] == ["4 m2", "10 m2"]
    assert [result.is_error for result in given.tool_results] == [False, True, False]
    assert len(third.messages) == 5


def test_tools_of_one_round_run_at_the_same_time():
    """Three that wait for each other all come back, in the order of the calls."""
    together = threading.Barrier(3, timeout=5)

    def meet(who: str) -> str:
        """Waits for the two others."""
        together.wait()
        return who

    answers = [wishes(*(call("meet", number, who=who) for number, who in enumerate("abc"))), "Done."]
    _, scripted = talk(answers, registry(meet))
    assert [result.content for result in scripted.calls[1].messages[-1].tool_results] == ["a", "b", "c"]


def test_the_number_of_rounds_and_of_calls_at_once_is_bounded():
    """A model that never stops is an error, and its last wishes are not run; of a flood only a part is."""
    ran = []

    def count(n: int) -> int:
        """Counts."""
        ran.append(n)
        return n

    with pytest.raises(InvalidOutputError, match="after 2 rounds"):
        talk([wishes(call("count", n=n)) for n in range(2)], registry(count), max_rounds=2)
    assert ran == [0]
    flood = wishes(*(call("count", number, n=number) for number in range(MAX_AT_ONCE + 3)))
    _, scripted = talk([flood, "Done."], registry(count))
    results = scripted.calls[1].messages[-1].tool_results
    assert [result.is_error for result in results] == [False] * MAX_AT_ONCE + [True] * 3


def counted(repeatable=False):
    """A registry with a tool that has an effect, and the list of its effects."""
    effects = []

    def send(amount: int) -> str:
        """Sends money."""
        effects.append(amount)
        return f"sent {amount}, {len(effects)} so far"

    return registry(send, repeatable=repeatable), effects


def test_on_resume_neither_a_round_nor_a_tool_is_done_again():
    """Every round and result is found in the ledger; the answer, marked as recorded, is the same."""
    answers = [wishes(call("send", amount=5)), wishes(call("send", 2, amount=7)), "All sent."]
    tools, effects = counted()
    ledger = MemoryCallLedger()
    first, _ = talk(answers, tools, key="a/act", ledger=ledger)
    again, scripted = talk([], tools, key="a/act", ledger=ledger)
    assert (again.text, again.recorded, effects, scripted.calls) == ("All sent.", True, [5, 7], [])
    assert [row.key for row in ledger.rows] == ["a/act/1", "a/act/1/tool/1", "a/act/2", "a/act/2/tool/1", "a/act/3"]
    assert [row.charged for row in ledger.rows][1::2] == [0, 0]
    assert first.cost == sum(row.charged for row in ledger.rows)


def test_an_error_of_a_tool_is_recorded_as_one():
    """What the model was told the first time it is told again, the mark of an error included."""
    ledger = MemoryCallLedger()
    wish = wishes(call("nope"))
    _, before = talk([wish, "Sorry."], registry(area), key="a", ledger=ledger)
    ledger.rows[2:] = []
    _, after = talk(["Sorry."], registry(area), key="a", ledger=ledger)
    assert after.calls[0].messages == before.calls[1].messages
    assert after.calls[0].messages[-1].tool_results[0].is_error


@pytest.mark.parametrize("outcome", ["outcome_unknown", "failed", "intent"])
def test_a_tool_that_was_under_way_at_a_crash_is_not_called_again(outcome):
    """The model is told that its effect is not known; a tool that may be repeated is called again."""
    for repeatable in (False, True):
        tools, effects = counted(repeatable)
        ledger = MemoryCallLedger()
        talk([wishes(call("send", amount=5)), "Sent."], tools, key="a", ledger=ledger)
        ledger.rows[2:] = []
        ledger.rows[1] = msgspec.structs.replace(ledger.rows[1], outcome=outcome, completion=None)
        _, scripted = talk(["Who knows."], tools, key="a", ledger=ledger)
        result = scripted.calls[0].messages[-1].tool_results[0]
        assert effects == ([5, 5] if repeatable else [5])
        assert result.is_error is not repeatable
        assert ledger.rows[2].outcome == "done"


def test_a_cancelled_tool_leaves_no_open_row():
    """A drain in the middle of a tool settles its row as failed, and costs nothing."""
    started = asyncio.Event()

    async def hang() -> str:
        """Hangs."""
        started.set()
        await asyncio.Event().wait()
        return ""

    async def go(ledger):
        factory, _ = scripted_factory([wishes(call("hang"))], name="anthropic")
        client = factory.create_client(CONFIG, ledger=ledger)
        task = asyncio.ensure_future(run_with_tools(client, "Go.", registry(hang), key="a"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    ledger = MemoryCallLedger()
    asyncio.run(go(ledger))
    assert [(row.outcome, row.charged) for row in ledger.rows][1:] == [("failed", 0)]


def test_a_replay_calls_no_tool():
    """Rounds and results come from the ledger alone; a result that is not there is a clear error."""
    tools, effects = counted()
    ledger = MemoryCallLedger()
    talk([wishes(call("send", amount=5)), "Sent."], tools, key="a", ledger=ledger)

    class Reading:
        find = ledger.find

    factory, _ = scripted_factory([])
    replay = factory.create_replay(CONFIG, Reading())
    options = InvokeOptions(max_tokens=100)

    def replayed():
        return asyncio.run(run_with_tools(replay, "Measure it.", tools, options, key="a"))

    assert replayed().text == "Sent."
    ledger.rows.pop(1)
    with pytest.raises(RunStateError, match="a/1/tool/1"):
        replayed()
    assert effects == [5]


def test_the_hit_rate_is_the_share_of_the_input_that_was_cached():
    """Half the input from the cache is 0.5; sums weigh by tokens; without input there is no rate."""
    used = Usage(input_tokens=200, cache_read_tokens=100)
    assert used.hit_rate == 0.5
    assert (used + Usage(input_tokens=200)).hit_rate == 0.25
    assert NO_USAGE.hit_rate is None
