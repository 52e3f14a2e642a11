"""What tokens cost, in whole nano-dollars: price rows, where they come from, and the arithmetic.

Which models there are is `catalog.py`; when a call is reserved and settled is `meter.py`.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.usage import NANO, Usage
from orchestrator_v2.llm.origin import is_loopback

_MILLION = 1_000_000

# (input tokens of the request from which it holds, nano-dollars for a million tokens), ascending.
Tiers = tuple[tuple[int, int], ...]


class PriceRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model's price. A tier prices the whole request whose input is over its threshold; empty tiers cost 0.

    Cache rates left out (None) are the input's. `search` is what one search of the model's own tool costs in
    nano-dollars, None while unknown.
    """

    input: Tiers = ()
    output: Tiers = ()
    cache_read: Tiers | None = None
    cache_write: Tiers | None = None
    search: int | None = None


FREE = PriceRow()


def price(row: PriceRow | None, usage: Usage) -> int | None:
    """The cost of `usage` in nano-dollars, rounded up; None when the price is unknown."""
    if row is None:
        return None
    total = usage.input_tokens
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    parts = (
        (row.input, max(0, total - cached)),
        (row.output, usage.output_tokens),
        (row.input if row.cache_read is None else row.cache_read, usage.cache_read_tokens),
        (row.input if row.cache_write is None else row.cache_write, usage.cache_write_tokens),
    )
    return -(-sum(_rate(tiers, total) * tokens for tiers, tokens in parts) // _MILLION)


def worst_case(row: PriceRow | None, input_tokens: int, max_tokens: int) -> int | None:
    """The most that a call may cost in nano-dollars: no cache hit, all written to the cache, output to the cap."""
    if row is None:
        return None
    uncached = Usage(input_tokens=input_tokens, output_tokens=max_tokens)
    written = msgspec.structs.replace(uncached, cache_write_tokens=input_tokens)
    return max(price(row, uncached) or 0, price(row, written) or 0)


def search_price(row: PriceRow | None, searches: int) -> int | None:
    """The cost of a model's own searches in nano-dollars; None when their price is unknown."""
    if searches == 0:
        return 0
    return None if row is None or row.search is None else row.search * searches


def price_row(row: PriceRow | None) -> str:
    """The row as text, to be pinned into a run; empty for an unknown price."""
    return "" if row is None else msgspec.json.encode(row).decode()


def parse_price_row(text: str) -> PriceRow | None:
    """A pinned row back from its text. Raises `ConfigError` on text that is none."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=PriceRow)
    except msgspec.DecodeError as exc:
        raise ConfigError("A pinned price cannot be read.", str(exc), "Start a new run.") from exc


def find_price(provider: str, model: str, *, base_url: str = "", now: float, priced_as: str = "") -> PriceRow | None:
    """The price of a model at `now` (epoch seconds): the pinned one, else the table's; None if it is unknown.

    Behind somebody's `base_url` that server's own price comes first, where the table knows the server. `priced_as` is
    the provider's name in the table, where that is another than in the vendors' rows.
    """
    pinned = _pinned().get(provider, {}).get(model)
    if pinned is not None and (not base_url or is_loopback(urlsplit(base_url).hostname or "")):
        return pinned
    return table_price(priced_as or provider, model, base_url=base_url, now=now) or pinned


def table_price(provider: str, model: str, *, base_url: str = "", now: float) -> PriceRow | None:
    """The price by the offline table of `genai-prices`, which takes longer to load than a request to send.

    A `base_url` that the table knows counts before the provider's name. None when unknown.
    """
    found = _in_table(provider, model, base_url)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return None if found is None else _row_of(found.get_prices(moment), embeds=_embeds(found))


def lasting_price(provider: str, model: str) -> PriceRow | None:
    """The table's price where it is the same at all times: what may be pinned. None for the others."""
    found = _in_table(provider, model, "")
    return None if found is None or isinstance(found.prices, list) else _row_of(found.prices, embeds=_embeds(found))


@functools.cache
def _pinned() -> Mapping[str, Mapping[str, PriceRow]]:
    content = resources.files("orchestrator_v2.llm").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, dict[str, PriceRow]])


def _in_table(provider: str, model: str, base_url: str) -> Any:
    try:
        from genai_prices import data_snapshot
    except ImportError:
        return None
    snapshot = data_snapshot.get_snapshot()
    for provider_id, url in ((None, base_url or None), (_name_in_table(provider), None)):
        if provider_id is None and url is None:
            continue
        try:
            return snapshot.find_provider_model(model, None, provider_id, url)[1]
        except LookupError:
            continue
    return None


class _NamedRow(msgspec.Struct):
    priced_as: str = ""


@functools.cache
def _names_in_table() -> Mapping[str, str]:
    """From the vendors' rows alone: the catalog stands above this file."""
    files = (file for file in resources.files("orchestrator_v2.llm.vendors").iterdir() if file.name.endswith(".json"))
    rows = (msgspec.json.decode(file.read_bytes(), type=dict[str, _NamedRow]) for file in files)
    return {name: row.priced_as for each in rows for name, row in each.items() if row.priced_as}


def _name_in_table(provider: str) -> str:
    return _names_in_table().get(provider, provider)


def _embeds(found: Any) -> bool:
    """The table says it by the name only."""
    return "embed" in found.id


def _row_of(prices: Any, *, embeds: bool) -> PriceRow | None:
    """None without a price for both ways; only vectors have no output to be priced."""
    if getattr(prices, "input_mtok", None) is None or (prices.output_mtok is None and not embeds):
        return None
    cache_read, cache_write = getattr(prices, "cache_read_mtok", None), getattr(prices, "cache_write_mtok", None)
    searches = getattr(prices, "web_searches_kcount", None)
    return PriceRow(
        input=_tiers(prices.input_mtok),
        output=() if prices.output_mtok is None else _tiers(prices.output_mtok),
        cache_read=None if cache_read is None else _tiers(cache_read),
        cache_write=None if cache_write is None else _tiers(cache_write),
        search=_nano(searches) // 1_000 if isinstance(searches, Decimal | int) else None,
    )


def _tiers(value: Any) -> Tiers:
    if isinstance(value, Decimal | int):
        return ((0, _nano(value)),)
    return ((0, _nano(value.base)), *((tier.start, _nano(tier.price)) for tier in value.tiers))


def _nano(dollars: Decimal | int) -> int:
    return round(dollars * NANO)


def _rate(tiers: Tiers, total_input: int) -> int:
    rate = tiers[0][1] if tiers else 0
    for start, tier_rate in tiers[1:]:
        if total_input > start:
            rate = tier_rate
    return rate
