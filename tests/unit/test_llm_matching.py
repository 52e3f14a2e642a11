"""Choosing a model: what fits, what is cheapest, what is local; the same whatever the order it is asked in."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.llm.candidates import usable
from orchestrator_v2.llm.catalog import Dialect, ModelInfo, ModelRow, ProviderRow, load_catalog, resolve_model
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.matching import BLEND, Needs, enforces_schema, match, misfits
from orchestrator_v2.llm.prices import FREE, PriceRow, price
from orchestrator_v2.llm.types import LLMConfig

NOW = 1_795_219_200.0  # 2026-11-21
HERE, THERE = "http://localhost:11434/v1", "https://llm.example/v1"
ALL = Needs(vision=True, tools=True, json_schema=True, min_context_window=10_000, max_output=1_000)
ABLE = ModelRow(window=10_000, max_output=1_000, vision=True, tools=True)


def priced(dollars):
    """So many millionths of a dollar for each token, in and out."""
    return PriceRow(((0, dollars * 1_000_000_000),), ((0, dollars * 1_000_000_000),))


def model(name="m", *, provider="acme", facts=ABLE, cost=None, base_url=THERE, row=None):
    row = row or ProviderRow(wire="openai", open=True, models={name: facts})
    return ModelInfo(provider, name, facts, base_url, price=cost, row=row)


WINDOWS = st.sampled_from([None, 999, 10_000, 200_000])
KNOWN = st.sampled_from([None, True, False])
ROWS = st.builds(
    ModelRow,
    window=WINDOWS,
    max_output=WINDOWS,
    vision=KNOWN,
    tools=KNOWN,
    json_schema=st.booleans(),
    embeds=st.booleans(),
)
INFOS = st.lists(
    st.builds(
        model,
        st.sampled_from(["a", "b", "c", "d"]),
        provider=st.sampled_from(["one", "two"]),
        facts=ROWS,
        cost=st.sampled_from([None, FREE, priced(1), priced(2), priced(3)]),
        base_url=st.sampled_from([HERE, THERE, "http://127.0.0.1:1/v1", "http://[::1]:1/v1", ""]),
    ),
    unique_by=lambda info: (info.provider, info.name, info.base_url),
    max_size=8,
)
NEEDS = st.builds(
    Needs,
    vision=st.booleans(),
    tools=st.booleans(),
    json_schema=st.booleans(),
    min_context_window=st.sampled_from([None, 1, 10_000]),
    max_output=st.sampled_from([None, 1, 10_000]),
)
PREFERENCES = st.sampled_from(["local", "cloud", "auto"])


@settings(max_examples=300, deadline=None)
@given(INFOS, NEEDS, PREFERENCES)
def test_what_is_chosen_fits_and_nothing_of_its_class_that_fits_is_cheaper(infos, needs, preference):
    """Nothing is chosen only where nothing fits; a known price comes before an unknown one, a local one where asked."""
    decision = match(infos, needs, preference)
    chosen = decision.chosen
    fitting = [each for each in decision.considered if each.fits]
    assert (chosen is None) == (fitting == [])
    if chosen is None:
        return
    meant = [
        info
        for info in infos
        if (info.provider, info.name, info.price) == (chosen.provider, chosen.model, chosen.price)
    ]
    assert any(misfits(info, needs) == () for info in meant)
    assert chosen.local or preference != "local" or not any(each.local for each in fitting)
    rivals = [each for each in fitting if preference != "local" or each.local == chosen.local]
    costs = [each.cost_of_a_call for each in rivals if each.cost_of_a_call is not None]
    assert chosen.cost_of_a_call == (min(costs) if costs else None)


@settings(max_examples=200, deadline=None)
@given(INFOS, NEEDS, PREFERENCES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_offered_does_not_matter(infos, needs, preference, random):
    """The same decision, to the last word, however the models are listed."""
    shuffled = random.sample(infos, len(infos))
    assert match(shuffled, needs, preference) == match(infos, needs, preference)


@settings(max_examples=200, deadline=None)
@given(INFOS, NEEDS, PREFERENCES)
def test_all_that_was_offered_is_told_and_why_not(infos, needs, preference):
    """Each model is in the decision with its reasons; what fits has none; local ones are left out for the cloud."""
    decision = match(infos, needs, preference)
    assert len(decision.considered) == sum(preference != "cloud" or info.base_url in ("", THERE) for info in infos)
    assert all(each.fits == (each.why_not == ()) for each in decision.considered)
    assert decision.reason
    ordered = [each.fits for each in decision.considered]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ({"vision": None}, "It is not known to see pictures."),
        ({"vision": False}, "It sees no pictures."),
        ({"tools": None}, "It is not known to take tools."),
        ({"tools": False}, "It takes no tools here."),
        ({"json_schema": False}, "Its wire does not hold an answer to a schema."),
        ({"window": None}, "Its window is not known."),
        ({"window": 9_999}, "Its window of 9,999 tokens is less than 10,000."),
        ({"max_output": None}, "Its longest answer is not known."),
        ({"max_output": 999}, "Its longest answer of 999 tokens is less than 1,000."),
        ({"embeds": True}, "It makes vectors and no text."),
    ],
)
def test_each_demand_is_met_or_named(lacking, words):
    """What is missing or not known is the one reason; a request that asks for nothing takes all that write text."""
    poor = model(facts=msgspec.structs.replace(ABLE, **lacking))
    assert misfits(model(), ALL) == ()
    assert misfits(poor, ALL) == (words,)
    assert misfits(poor, Needs()) == ((words,) if "embeds" in lacking else ())


def test_a_server_that_takes_no_pictures_has_no_model_that_sees():
    """The provider's dialect has the last word."""
    row = ProviderRow(wire="openai", models={"m": ABLE}, dialect=Dialect(images=False))
    assert misfits(model(row=row), Needs(vision=True)) == ("It sees no pictures.",)


@pytest.mark.parametrize(
    ("provider", "name", "enforced"),
    [
        ("openai", "gpt-6-luna", True),
        ("anthropic", "claude", True),
        ("google", "gemini", True),
        ("groq", "groq", True),
        ("groq", "llama-3.1-8b-instant", False),
        ("zhipu", "glm", False),
        ("deepseek", "deepseek", False),
        ("ollama", "anything", True),
        ("simulated", "", True),
    ],
)
def test_a_schema_is_enforced_where_the_wire_enforces_it(provider, name, enforced):
    """By the dialect and the model; one that takes words or a plain JSON object does not."""
    assert enforces_schema(resolve_model(provider, name, now=NOW)) is enforced


def test_local_comes_first_where_it_fits_and_the_cloud_with_a_warning_where_not():
    """Whatever it costs; with `auto` a local model that is free is the cheapest anyhow."""
    local, cloud = model("here", base_url=HERE, cost=priced(9)), model("there", cost=priced(1))
    assert match([local, cloud], ALL, "local").chosen.model == "here"
    assert match([local, cloud], ALL, "auto").chosen.model == "there"
    assert [each.model for each in match([local, cloud], ALL, "cloud").considered] == ["there"]
    blind = model("here", base_url=HERE, facts=msgspec.structs.replace(ABLE, vision=None), cost=FREE)
    decision = match([blind, cloud], ALL, "local")
    assert (decision.chosen.model, len(decision.considered)) == ("there", 2)
    assert decision.warnings == ("No local model fits, so acme/there in the cloud is used.",)
    assert match([blind, cloud], Needs(), "auto").chosen.model == "here"


def test_an_unknown_price_is_never_the_cheapest_and_is_told():
    """It comes after every known one, and is taken with a warning where there is nothing else."""
    unknown, dear = model("a"), model("b", cost=priced(1_000))
    assert match([unknown, dear], ALL).chosen.model == "b"
    decision = match([unknown], ALL)
    assert (decision.chosen.model, decision.chosen.cost_of_a_call) == ("a", None)
    assert "price of acme/a is unknown" in decision.warnings[0]


def test_the_cost_of_a_call_is_of_three_thousand_tokens_in_and_one_thousand_out():
    """The blend by which prices are compared, in nano-dollars."""
    row = PriceRow(((0, 2_000_000_000),), ((0, 10_000_000_000),))
    assert match([model(cost=row)], ALL).chosen.cost_of_a_call == 3_000 * 2_000 + 1_000 * 10_000 == price(row, BLEND)


def test_equal_prices_are_told_apart_by_the_place_in_the_row_then_by_name():
    """So that nobody is surprised by another model tomorrow."""
    row = ProviderRow(wire="openai", models={"z": ABLE, "a": ABLE})
    assert match([model("a", row=row, cost=FREE), model("z", row=row, cost=FREE)], ALL).chosen.model == "z"
    assert match([model("m", provider="two", cost=FREE), model("m", cost=FREE)], ALL).chosen.provider == "acme"


def test_where_nothing_fits_the_nearest_is_named():
    """With all that it lacks; and where there is nothing at all, that is said."""
    far = model("far", facts=ModelRow())
    near = model("near", facts=msgspec.structs.replace(ABLE, vision=False))
    decision = match([far, near], ALL)
    assert decision.chosen is None
    assert decision.reason == "None of 2 models fits. The nearest is acme/near: It sees no pictures."
    assert match([], ALL, "cloud").reason == "There is no model to choose from (preference: cloud)."


def test_a_retired_model_does_not_fit_and_one_that_leaves_is_told():
    """By the day that is given; behind somebody's own server no model is ever retired."""
    facts = msgspec.structs.replace(ABLE, retires="2026-11-21", successor="next")
    gone = model(facts=facts)
    assert misfits(gone, ALL, now=NOW) == ("It is retired since 2026-11-21.",)
    assert misfits(gone, ALL) == misfits(msgspec.structs.replace(gone, own_base_url=True), ALL, now=NOW) == ()
    assert match([gone], ALL, now=NOW).chosen is None
    leaving = match([gone], ALL, now=NOW - 86_400)
    assert "retires on 2026-11-21" in leaving.warnings[-1]


def factory():
    return LLMFactory(clock=ManualClock(NOW), random=Random(0))


def test_the_usable_models_of_the_cloud_are_those_with_a_key():
    """Of the providers that have one, what is neither retired nor makes vectors, each as it resolves."""
    found = usable(factory(), lambda name: name in ("openai", "google", "ollama"), now=NOW)
    assert {info.provider for info in found} == {"openai", "google"}
    names = [info.name for info in found]
    assert names.index("gemini-3.8-flash") < names.index("gpt-6.1-terra") < names.index("gpt-6-luna")
    assert not {"gpt-4", "text-embedding-3-small", "gemini-embedding-2"} & set(names)
    assert next(info for info in found if info.name == "gpt-6-luna") == factory().resolve(
        LLMConfig("openai", "gpt-6-luna")
    )
    assert usable(factory(), lambda name: False, now=NOW) == []


def test_every_provider_with_models_can_be_usable():
    """With all keys there is each of them but those on this machine, and one without an address of its own."""
    found = {info.provider for info in usable(factory(), lambda name: True, now=NOW)}
    assert found == {name for name, row in load_catalog().items() if row.models}


def test_a_users_own_rows_are_candidates_once_they_can_be_reached():
    """A keyless server of theirs needs no key; Azure needs its address; a local one is asked, not listed."""
    azure = load_catalog()["azure"]
    rows = {
        "lan": ProviderRow(wire="openai", base_url="https://gpu.example/v1", keyless=True, models={"m": ABLE}),
        "azure": msgspec.structs.replace(azure, models={"m": ABLE}),
        "mine": msgspec.structs.replace(azure, base_url="https://r.example/v1", models={"m": ABLE}),
        "ollama": msgspec.structs.replace(load_catalog()["ollama"], models={"qwen3": ABLE}),
    }
    made = LLMFactory(clock=ManualClock(NOW), random=Random(0), catalog=rows)
    assert [info.provider for info in usable(made, lambda name: name in ("azure", "mine"), now=NOW)] == ["lan", "mine"]


def test_what_the_catalog_says_is_enough_to_choose_by():
    """With the keys of the three large vendors there is a model for everything at once, and it has a known price."""
    needs = Needs(vision=True, tools=True, json_schema=True, min_context_window=500_000, max_output=60_000)
    found = usable(factory(), lambda name: name in ("anthropic", "openai", "google"), now=NOW)
    decision = match(found, needs, now=NOW)
    assert decision.chosen is not None and decision.chosen.cost_of_a_call is not None
