"""What a model's own searches may cost, what they did cost, and which counts nobody believes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from orchestrator_v2.core.errors import BudgetExceededError, UnknownPriceError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.catalog import ModelRow, ProviderRow, resolve_model
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.prices import PriceRow, find_price, parse_price_row, price, price_row
from orchestrator_v2.llm.search.types import SearchConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

NOW = 1_795_219_200.0
MESSAGES = [Message("user", "What is new?")]
SEARCHING = InvokeOptions(max_tokens=1000, native_search=2)
ROW = PriceRow(input=((0, 3_000),), output=((0, 15_000),), search=7)
CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))
NATIVE = SearchConfig(engine="native", mode="always", max_searches=2)


def info(row=ROW, *, window=200_000, uncapped=0):
    facts = ModelRow(window=window, native_search="tool", price=row)
    catalog = {"acme": ProviderRow(default="m", models={"m": facts}, uncapped_searches=uncapped)}
    return resolve_model("acme", "m", now=NOW, catalog=catalog)


def answer(searches, sent=10, made=20):
    usage = Usage(sent, made, calls=1, cost=None)
    return Completion("Hi.", usage=usage, provenance=Provenance("real", "acme", "m"), searches=searches)


def test_what_may_be_found_is_reserved_as_a_full_window_and_every_search_allowed():
    """Without a search the reservation is as it was; where the wire takes no limit, more searches are reserved."""
    meter = Meter([info()])
    whole = price(ROW, Usage(200_000, 1000))
    assert meter.reserve(MESSAGES, SEARCHING) == whole + 2 * 7
    assert meter.reserve(MESSAGES, InvokeOptions(max_tokens=1000)) < whole
    assert Meter([info(uncapped=10)]).reserve(MESSAGES, SEARCHING) == whole + 10 * 7


@pytest.mark.parametrize("model", [info(msgspec.structs.replace(ROW, search=None)), info(window=None), info(None)])
def test_what_is_not_known_is_not_reserved_as_nothing(model):
    """No price of a search, no window, no price at all: None, with which a budget refuses the call."""
    assert Meter([model]).reserve(MESSAGES, SEARCHING) is None


def test_searches_are_charged_as_they_were_made():
    """Used ones on top of the tokens, none when none was used, and an unknown price makes the cost unknown."""
    tokens = price(ROW, Usage(10, 20))
    assert Meter([info()]).settle(answer(2), MESSAGES, SEARCHING).cost == tokens + 14
    assert Meter([info()]).settle(answer(0), MESSAGES, SEARCHING).cost == tokens
    unknown = Meter([info(msgspec.structs.replace(ROW, search=None))])
    assert unknown.settle(answer(1), MESSAGES, SEARCHING).cost is None
    assert unknown.settle(answer(0), MESSAGES, SEARCHING).cost == tokens


@pytest.mark.parametrize(("searches", "sent", "honest"), [(1, 390_000, True), (1, 460_000, False), (101, 10, False)])
def test_input_that_grew_by_searching_is_believed_within_reason(searches, sent, honest):
    """Each search has the model read all anew; over that, the count is no honest one and the reservation is charged."""
    meter = Meter([info()])
    settled = meter.settle(answer(searches, sent), MESSAGES, SEARCHING)
    assert (settled.notes == ()) == honest
    assert (settled.cost == meter.reserve(MESSAGES, SEARCHING)) != honest


def test_searches_that_nobody_asked_for_are_not_believed():
    """Without the tool a server that counts searches, or so much input, is charged as the reservation, and noted."""
    plain = InvokeOptions(max_tokens=1000)
    for odd in (answer(1), answer(-1), answer(0, 100_000)):
        settled = Meter([info()]).settle(odd, MESSAGES, plain)
        assert settled.notes
        assert settled.cost == Meter([info()]).reserve(MESSAGES, plain)


def test_a_model_that_broke_off_is_charged_its_searches_too():
    """A fallback answered: the first may have searched all it was allowed to."""
    first = info()
    other = msgspec.structs.replace(first, provider="other")
    lost = msgspec.structs.replace(answer(1), provenance=Provenance("fallback", "other", "m"), unsettled=("acme/m",))
    settled = Meter([first, other]).settle(lost, MESSAGES, SEARCHING)
    whole = price(ROW, Usage(200_000, 1000)) + 14
    assert settled.cost == price(ROW, Usage(10, 20)) + 7 + whole


def test_the_price_of_a_search_is_pinned_with_the_others():
    """A run keeps it; rows of earlier runs have none, which is unknown and not free."""
    row = find_price("anthropic", "claude-sonnet-5-5", now=NOW)
    assert parse_price_row(price_row(row)) == row
    assert row.search == 10_000_000
    assert parse_price_row('{"input":[[0,1]],"output":[[0,1]]}').search is None


@pytest.mark.parametrize(("budget", "error"), [(10**9, BudgetExceededError), (10**12, None)])
def test_a_budget_holds_for_a_call_that_may_search(budget, error):
    """What the window full of pages may cost is weighed before anything is sent."""
    factory, scripted = scripted_factory(["Hi."], name="anthropic")
    client = factory.create_client(CONFIG, search=NATIVE, ledger=MemoryCallLedger(budget=budget))
    call = client.invoke("What is new?", InvokeOptions(max_tokens=1000), key="a/1")
    if error is None:
        assert asyncio.run(call).text == "Hi."
        assert scripted.calls[0].options.native_search == 2
    else:
        with pytest.raises(error):
            asyncio.run(call)
        assert scripted.calls == []


def test_a_run_that_pinned_no_price_of_a_search_refuses_under_a_budget():
    """Prices pinned before there was one stay as they are: unknown."""
    factory, scripted = scripted_factory(["Hi."], name="anthropic")
    prices = {"claude-sonnet-5-5": '{"input":[[0,1]],"output":[[0,1]]}'}
    ledger = MemoryCallLedger(budget=10**12)
    client = factory.create_client(CONFIG, search=NATIVE, ledger=ledger, prices=prices)
    with pytest.raises(UnknownPriceError):
        asyncio.run(client.invoke("What is new?", InvokeOptions(max_tokens=1000), key="a/1"))
    assert scripted.calls == []
