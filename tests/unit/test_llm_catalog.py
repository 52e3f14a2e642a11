"""Models, prices, token estimates, credentials and base URLs: the data of the model layer."""

from __future__ import annotations

import datetime

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NANO, Usage
from orchestrator_v2.llm.auth import resolve_credential, resolve_credentials
from orchestrator_v2.llm.catalog import lifecycle_note, list_models, load_catalog, resolve_model
from orchestrator_v2.llm.origin import check_base_url, origin_of
from orchestrator_v2.llm.prices import (
    PriceRow,
    find_price,
    lasting_price,
    parse_price_row,
    price,
    price_row,
    worst_case,
)
from orchestrator_v2.llm.tokens import estimate_tokens

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC).timestamp()
DECEMBER = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC).timestamp()


def test_aliases_and_the_default_name_a_model_of_the_catalog():
    """Every alias and default stands for a model that is there and not retired; its window is known where all are."""
    for provider, row in load_catalog().items():
        for name in ("", *row.aliases) if row.default else row.aliases:
            info = resolve_model(provider, name, now=NOW)
            if row.models:
                assert info.name in list_models(provider, NOW)
                assert info.facts.window or row.open
                assert info.facts.max_output or name or row.open
    assert resolve_model("anthropic", "claude", now=NOW).name == "claude-sonnet-5-5"


def test_a_retired_model_names_its_successor():
    """The error says when it went and what to use; the successor is usable; a later date retires more."""
    with pytest.raises(ConfigError, match=r"claude-3-5-sonnet-latest.*2025.*claude-sonnet-5-5"):
        resolve_model("anthropic", "claude-3-5-sonnet-latest", now=NOW)
    alive = resolve_model("anthropic", "claude-sonnet-4-5", now=NOW)
    assert "2026-11-30" in lifecycle_note(alive, NOW)
    with pytest.raises(ConfigError):
        resolve_model("anthropic", "claude-sonnet-4-5", now=DECEMBER)
    for name, facts in load_catalog()["anthropic"].models.items():
        assert bool(facts.retires) == bool(facts.successor), name
        if facts.successor:
            assert facts.successor in list_models("anthropic", DECEMBER)


def test_an_unknown_model_has_near_matches_and_passes_behind_a_base_url():
    """A slip of the pen is answered with the name that was meant; somebody's own server may have any model."""
    with pytest.raises(UnknownNameError, match="claude-sonnet-5-5"):
        resolve_model("anthropic", "claude-sonet-5-5", now=NOW)
    info = resolve_model("anthropic", "glm-5.3", now=NOW, base_url="https://api.z.ai/api/anthropic")
    assert (info.name, info.own_base_url, info.price) == ("glm-5.3", True, None)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-6", "claude-sonnet-4-5"]),
    st.integers(0, 900_000),
    st.integers(0, 128_000),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_a_price_row_gives_what_the_price_table_gives(model, input_tokens, output_tokens, read_share, write_share):
    """Our integer arithmetic agrees with the table's own, tiers and caches included, to one nano-dollar."""
    from genai_prices import Usage as TableUsage
    from genai_prices import calc_price

    read = input_tokens * read_share // 200
    written = input_tokens * write_share // 200
    row = find_price("anthropic", model, now=NOW)
    ours = price(row, Usage(input_tokens, output_tokens, read, written))
    theirs = calc_price(
        TableUsage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
        ),
        model,
        provider_id="anthropic",
        genai_request_timestamp=datetime.datetime.fromtimestamp(NOW, datetime.UTC),
    )
    assert 0 <= ours - theirs.total_price * NANO < 1


def test_a_pinned_row_survives_its_text():
    """What is pinned into a run gives the same cost when it is read back; an unknown price stays unknown."""
    row = find_price("anthropic", "claude-haiku-5-5", now=NOW)
    assert parse_price_row(price_row(row)) == row
    assert parse_price_row(price_row(None)) is None
    assert parse_price_row(price_row(PriceRow())) == PriceRow()
    with pytest.raises(ConfigError):
        parse_price_row("{not a row")


def test_a_pinned_price_is_the_tables():
    """The file that stands in for the table at start-up says what the table says; `scripts/pin_prices.py` writes it."""
    pinned = [(provider, model) for provider, row in load_catalog().items() for model in row.models]
    lasting = {key: row for key in pinned if (row := lasting_price(*key)) is not None}
    assert len(lasting) >= 20
    assert {key: find_price(*key, now=NOW) for key in lasting} == lasting


def test_an_unknown_price_is_none_never_zero():
    """A model that nobody has priced has no price and no worst case."""
    assert find_price("anthropic", "claude-nonesuch-9", now=NOW) is None
    assert price(None, Usage(10, 10)) is None
    assert worst_case(None, 10, 10) is None


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 100), st.integers(0, 100))
def test_no_usage_within_the_reservation_costs_more_than_it(input_tokens, output_tokens, read_share, write_share):
    """However a prompt is split into cached parts, its cost is at most the worst case of its size."""
    row = PriceRow(((0, 100), (200_000, 200)), ((0, 500),), ((0, 10), (200_000, 20)), ((0, 125), (200_000, 250)))
    read = input_tokens * read_share // 200
    written = input_tokens * write_share // 200
    assert price(row, Usage(input_tokens, output_tokens, read, written)) <= worst_case(row, input_tokens, output_tokens)


def test_token_estimates_grow_with_json_tokenizer_and_script():
    """The factors of the estimate: 1.15 as margin, 1.6 for JSON, 1.3 for newer tokenizers, 2 for other scripts."""
    assert estimate_tokens("a" * 400, tokenizer=1.0) == 115
    assert estimate_tokens("a" * 400) == 150
    assert estimate_tokens("[" * 400, tokenizer=1.0) == 184
    assert estimate_tokens("漢" * 100, tokenizer=1.0) >= 150
    assert estimate_tokens("") == 0


def test_credentials_are_found_in_their_order():
    """Explicit over environment; the OAuth token over the API key unless that is turned round; blanks are none."""
    environ = {"ANTHROPIC_API_KEY": "key-aaaaaaaaaaaa", "CLAUDE_CODE_OAUTH_TOKEN": "tok-bbbbbbbbbbbb"}
    first = resolve_credential("anthropic", environ)
    assert (first.kind, first.source) == ("oauth_token", "environment CLAUDE_CODE_OAUTH_TOKEN")
    assert [c.kind for c in resolve_credentials("anthropic", environ)] == ["oauth_token", "api_key"]
    assert resolve_credential("anthropic", environ, prefer_oauth=False).source == "environment ANTHROPIC_API_KEY"
    mine = resolve_credentials("anthropic", environ, explicit=Secret("sk-ant-oat01-cccccccccccc"))
    assert [(c.kind, c.source) for c in mine] == [("oauth_token", "given explicitly")]
    assert resolve_credential("anthropic", {"ANTHROPIC_API_KEY": "  "}) is None
    assert resolve_credential("nobody", environ) is None
    assert "key-aaaa" not in repr(resolve_credentials("anthropic", environ))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "https://user:secret-pass@api.example.com",
        "https://api.example.com/?key=1",
        "https://api.example.com/#x",
        "ftp://127.0.0.1",
        "https://",
        "api.example.com",
        "https://host:99999",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://user:secret-pass@evil.example.com",
    ],
)
def test_a_key_is_not_sent_to_an_unsafe_base_url(url):
    """Plain http elsewhere, user info, query and nonsense are refused, and a password in it is not repeated."""
    with pytest.raises(ConfigError) as caught:
        check_base_url(url)
    assert "secret-pass" not in str(caught.value)


def test_an_international_host_is_looked_up_and_compared_in_one_form():
    """The key is bound to the name that the request goes to; what has no such form is refused in words."""
    url = check_base_url("https://EXämple.invalid:8443/v1/")
    assert url == "https://xn--exmple-cua.invalid:8443/v1"
    assert origin_of(url) == origin_of(str(httpx2.URL(url)))
    for bad in ("https://\u24db.example", "https://a b.example", "https://\u00e4..example", "https://a%2fb.example"):
        with pytest.raises(ConfigError, match="cannot be looked up"):
            check_base_url(bad)


@pytest.mark.parametrize("url", ["http://::1:1", "http://::1", "https://fe80::1/v1"])
def test_an_address_without_its_brackets_is_told_how_it_is_written(url):
    """The usual slip with IPv6 has words of its own."""
    with pytest.raises(ConfigError, match="stands in brackets") as caught:
        check_base_url(url)
    assert "http://[::1]" in caught.value.do


def test_safe_base_urls_pass_and_name_their_origin():
    """https anywhere, http on this machine; the origin writes the port."""
    assert check_base_url("https://api.z.ai/api/anthropic/") == "https://api.z.ai/api/anthropic"
    for url in ("http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:5"):
        assert check_base_url(url) == url
    assert origin_of("https://API.example.com/v1") == "https://api.example.com:443"
