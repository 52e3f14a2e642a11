"""A user's own providers, models and prices: a TOML file laid over the rows that come with the package.

What a row means is `catalog.py`; where the file lies is settled by `config/loader.py`; what has to fit in a row is
`own_checks.py`. A new provider speaks the OpenAI-compatible wire; a further wire is code, see
docs/how-to/add-a-provider.md.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.llm.catalog import COMMON, Catalog, Dialect, ModelRow, ProviderRow, load_catalog
from orchestrator_v2.llm.origin import check_base_url, origin_of
from orchestrator_v2.llm.own_checks import (
    day_fault,
    day_of,
    dialect_faults,
    model_faults,
    names_faults,
    nearest,
    provider_faults,
    resolved,
)
from orchestrator_v2.llm.prices import PriceRow

Table = Mapping[str, Any]
Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]
LARGEST_FILE = 1 << 20


class OwnPrice(msgspec.Struct, frozen=True):
    """US dollars for a million tokens; `search` for a thousand searches of the model's own tool."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    search: Dollars | None = None


# What a provider's table may hold; its wire and the names of its OAuth tokens are not a matter of data.
PROVIDER_FIELDS = (
    *("base_url", "keys", "keyless", "default", "open", "free", "priced_as", "embedding"),
    *("aliases", "models", "dialect", "reasoning"),
)
# Of these, what a table does not say stays as it is.
_MERGED = ("models", "aliases", "dialect", "reasoning")
_Words = dict[str, dict[str, Any]]
# A new vendor: what nearly every compatible server understands, until its table says more.
_NEW = ProviderRow(wire="openai", open=True, dialect=COMMON)
# A model of a provider that takes any name can what it could without a row.
_OPEN_MODEL = ModelRow(sampling=True)
_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


def with_own_rows(path: Path, *, now: float) -> tuple[Catalog, list[str]]:
    """The package's rows with those of the file over them, and a sentence for each thing in it that is wrong.

    What is wrong in a provider's table leaves that provider as it was, a file that cannot be read all of them. `now`
    (epoch seconds) is the moment by which a model is retired.
    """
    packaged = load_catalog()
    try:
        tables = tomllib.loads(_text_of(path))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return packaged, [f"{path} cannot be read: {why}"]
    rows, problems = dict(packaged), []
    for name, table in tables.items():
        wrong = list(_unknown(name, table, packaged)) if isinstance(table, dict) else [f"{name}: this is no table"]
        if not wrong:
            try:
                rows[name] = _laid_over(name, table, packaged, now)
            except (ValueError, ConfigError) as error:
                wrong = [str(error)]
        problems += wrong
    return rows, [f"{path}: {problem}" for problem in problems]


def _text_of(path: Path) -> str:
    """Raises `OSError` and `ValueError`; a pipe or device in the file's place is not waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(LARGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE:,} bytes")
    return content.decode("utf-8-sig")


def _unknown(name: str, table: Table, packaged: Catalog) -> Iterator[str]:
    """Names that mean nothing, each with the nearest that does."""
    if name not in packaged and "base_url" not in table:
        known = f"{name}: there is no provider of that name{nearest(name, packaged)}"
        yield f"{known}; a new one needs a base_url"
    if not _PROVIDER_NAME.fullmatch(name):
        yield f"{name}: a provider's name is of small letters, digits, '_', '.' and '-'"
    yield from _not_among(name, table, PROVIDER_FIELDS)
    yield from _not_among(f"{name}.dialect", table.get("dialect"), Dialect.__struct_fields__)
    models = table.get("models", {})
    if not isinstance(models, dict):
        yield f"{name}.models: this is no table"
        return
    for model, row in models.items():
        yield from _not_among(f"{name}.models.{model}", row, ModelRow.__struct_fields__)
        price = row.get("price") if isinstance(row, dict) else None
        yield from _not_among(f"{name}.models.{model}.price", price, OwnPrice.__struct_fields__)


def _not_among(place: str, table: object, fields: Iterable[str]) -> Iterator[str]:
    if table is not None and not isinstance(table, dict):
        yield f"{place}: this is no table"
        return
    for name in table or ():
        if name not in fields:
            yield f"{place}.{name}: there is no such field{nearest(name, fields)}"


def _laid_over(name: str, table: Table, packaged: Catalog, now: float) -> ProviderRow:
    """Raises `ValueError` for what does not fit, with its place, and `ConfigError` for an unsafe base_url."""
    before = packaged.get(name)
    base = before or _NEW
    given = {field: value for field, value in table.items() if field not in _MERGED}
    whole: dict[str, Any] = {**msgspec.structs.asdict(base), **given, **{field: {} for field in _MERGED}}
    plain_row: ProviderRow = _converted(name, whole, ProviderRow)
    if "base_url" in table:
        plain_row = msgspec.structs.replace(plain_row, base_url=check_base_url(plain_row.base_url))
    moved = before is not None and _is_moved(before, plain_row)
    kept = {"keys": plain_row.keys if "keys" in table else (), "oauth_keys": ()} if moved else {}
    row = msgspec.structs.replace(
        plain_row,
        **kept,
        models={**base.models, **_models(name, table.get("models", {}), base)},
        aliases={**base.aliases, **_converted(f"{name}.aliases", table.get("aliases", {}), dict[str, str])},
        dialect=_dialect(f"{name}.dialect", table.get("dialect", {}), base.dialect),
        reasoning={**base.reasoning, **_converted(f"{name}.reasoning", table.get("reasoning", {}), _Words)},
    )
    _raise_first(_faults(name, table, row, packaged, moved=moved, now=now))
    return msgspec.structs.replace(
        row,
        aliases={alias: resolved(alias, row.aliases) for alias in row.aliases},
        default=resolved(row.default, row.aliases),
        embedding=resolved(row.embedding, row.aliases),
    )


def _is_moved(before: ProviderRow, row: ProviderRow) -> bool:
    """Whether the vendor's own keys would go to another server; an `address` is the user's to give."""
    return (
        row.base_url != before.base_url and not before.address and origin_of(row.base_url) != origin_of(before.base_url)
    )


def _faults(name: str, table: Table, row: ProviderRow, packaged: Catalog, *, moved: bool, now: float) -> Iterator[str]:
    yield from names_faults(f"{name}.models", table.get("models", {}))
    yield from names_faults(f"{name}.aliases", table.get("aliases", {}))
    yield from provider_faults(name, table, row, packaged, moved=moved, now=now)
    for model, own in table.get("models", {}).items():
        yield from model_faults(f"{name}.models.{model}", own, row.models[model], row)


def _models(name: str, tables: Table, base: ProviderRow) -> dict[str, ModelRow]:
    plain = _OPEN_MODEL if base.open else ModelRow()
    return {
        model: _model(f"{name}.models.{model}", table, base.models.get(model, plain)) for model, table in tables.items()
    }


def _model(place: str, written: Table, base: ModelRow) -> ModelRow:
    table = {field: day_of(value) for field, value in written.items()}
    _raise_first(day_fault(place, table))
    own = table.get("price")
    price = None if own is None else _price(_converted(f"{place}.price", own, OwnPrice))
    given = {field: value for field, value in table.items() if field != "price"}
    row: ModelRow = _converted(place, {**msgspec.structs.asdict(base), **given, "price": None}, ModelRow)
    return msgspec.structs.replace(row, price=price or base.price)


def _dialect(place: str, table: Table, base: Dialect) -> Dialect:
    dialect: Dialect = _converted(place, msgspec.to_builtins(base) | table, Dialect)
    _raise_first(dialect_faults(place, dialect))
    return dialect


def _raise_first(faults: Iterable[str]) -> None:
    for fault in faults:
        raise ValueError(fault)


def _price(own: OwnPrice) -> PriceRow:
    rates = {field: getattr(own, field) for field in ("input", "output", "cache_read", "cache_write")}
    tiers = {field: ((0, nano_usd(rate)),) for field, rate in rates.items() if rate is not None}
    return PriceRow(**tiers, search=None if own.search is None else nano_usd(own.search) // 1_000)


def _converted(place: str, value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.search(str(error))
        where = f"{place}.{found[1]}" if found and found[1] else place
        what = _PLACE.sub("", str(error))
        raise ValueError(f"{where}: {what[0].lower()}{what[1:]}") from None
