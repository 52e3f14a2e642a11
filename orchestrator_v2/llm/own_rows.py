"""A user's own providers, models and prices: a TOML file laid over the rows that come with the package.

What a row means is `catalog.py`; where the file lies is settled by `config/loader.py`. A new provider speaks the
OpenAI-compatible wire; a further wire is code, see docs/how-to/add-a-provider.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.llm.catalog import COMMON, Catalog, Dialect, ModelRow, ProviderRow, load_catalog
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.prices import PriceRow

Table = Mapping[str, Any]
Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]


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
    *("aliases", "models", "dialect"),
)
# A new vendor: what nearly every compatible server understands, until its table says more.
_NEW = ProviderRow(wire="openai", open=True, dialect=COMMON)
# A model of a provider that takes any name can what it could without a row.
_OPEN_MODEL = ModelRow(sampling=True)
_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_VARIABLE = re.compile(r"(?!ORCHESTRATOR_)[A-Z][A-Z0-9_]*")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


def with_own_rows(path: Path) -> tuple[Catalog, list[str]]:
    """The package's rows with those of the file over them, and a sentence for each thing in it that is wrong.

    What is wrong in a provider's table leaves that provider as it was. Raises `ConfigError` for a file that cannot be
    read or is no TOML.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read.", f"{error}.", "Correct the file, or move it away.") from error
    packaged = load_catalog()
    rows, problems = dict(packaged), []
    for name, table in tables.items():
        wrong = list(_unknown(name, table, packaged)) if isinstance(table, dict) else [f"{name}: this is no table"]
        if not wrong:
            try:
                rows[name] = _laid_over(name, table, packaged.get(name))
            except (ValueError, ConfigError) as error:
                wrong = [str(error)]
        problems += wrong
    return rows, [f"{path}: {problem}" for problem in problems]


def _unknown(name: str, table: Table, packaged: Catalog) -> Iterator[str]:
    """Names that mean nothing, each with the nearest that does."""
    if name not in packaged and "base_url" not in table:
        known = f"{name}: there is no provider of that name{_nearest(name, packaged)}"
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
            yield f"{place}.{name}: there is no such field{_nearest(name, fields)}"


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f", the nearest is {near[0]}" if near else ""


def _laid_over(name: str, table: Table, packaged: ProviderRow | None) -> ProviderRow:
    """Raises `ValueError` for what does not fit, with its place, and `ConfigError` for an unsafe base_url."""
    base = packaged or _NEW
    plain = _OPEN_MODEL if base.open else ModelRow()
    models = {
        model: _model(f"{name}.models.{model}", row, base.models.get(model, plain))
        for model, row in table.get("models", {}).items()
    }
    given = {field: value for field, value in table.items() if field not in ("models", "aliases", "dialect")}
    dialect = msgspec.to_builtins(base.dialect) | table.get("dialect", {})
    whole: dict[str, Any] = {**msgspec.structs.asdict(base), **given, "models": {}, "aliases": {}, "dialect": {}}
    plain_row: ProviderRow = _converted(name, whole, ProviderRow)
    row = msgspec.structs.replace(
        plain_row,
        models={**base.models, **models},
        aliases={**base.aliases, **_converted(f"{name}.aliases", table.get("aliases", {}), dict[str, str])},
        dialect=_converted(f"{name}.dialect", dialect, Dialect),
    )
    _check(name, row, is_new=packaged is None)
    return msgspec.structs.replace(row, base_url=check_base_url(row.base_url)) if "base_url" in table else row


def _model(place: str, table: Table, base: ModelRow) -> ModelRow:
    own = table.get("price")
    price = None if own is None else _price(_converted(f"{place}.price", own, OwnPrice))
    given = {field: value for field, value in table.items() if field != "price"}
    row: ModelRow = _converted(place, {**msgspec.structs.asdict(base), **given, "price": None}, ModelRow)
    return msgspec.structs.replace(row, price=price or base.price)


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


def _check(name: str, row: ProviderRow, *, is_new: bool) -> None:
    """What has to fit together in a row."""
    if is_new and not (row.keys or row.keyless):
        raise ValueError(f"{name}.keys: name the environment variable of its key, or say keyless = true")
    for variable in row.keys:
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"{name}.keys: '{variable[:40]}' is no name of a variable that can hold a key")
    pointed = {"default": row.default, "embedding": row.embedding}
    pointed |= {f"aliases.{alias}": target for alias, target in row.aliases.items()}
    for field, target in pointed.items():
        if target and not row.open and target not in row.models:
            raise ValueError(f"{name}.{field}: there is no model '{target}'{_nearest(target, row.models)}")
