"""Which models there are: names, aliases, lifecycle, window, what each honours; the data is `vendors/*.json`.

What they cost is `prices.py`. This is a registry, not an allow-list: behind a base_url any name passes.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.llm.prices import FREE, PriceRow
from orchestrator_v2.llm.tokens import NEWER_CLAUDE

Tokens = Annotated[int, Meta(gt=0)]

# How hard a model may be told to think, from not at all upwards. Which of them one has is in its row.
LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def _plain_effort() -> dict[str, dict[str, Any]]:
    """How nearly all of the OpenAI-compatible vendors have it said: for each level, the fields of the request."""
    return {level: {"reasoning_effort": level} for level in LEVELS}


class ModelRow(msgspec.Struct, frozen=True):
    """A model as the data file has it; `retires` is a date (YYYY-MM-DD), `tokenizer` a factor on token estimates.

    `sampling` and `stop` say whether it takes a temperature and stop sequences; `embeds`: it makes vectors, no text.
    `native_search` is what its wire calls the vendor's own search tool (none: empty). A `price` is the user's own.
    `vision` and `tools` say whether it sees pictures and takes tools on the wire that is spoken here; None: unknown.
    `reasoning` are the levels that it honours; `tools_reasoning` is the one level at which it takes tools (empty: any).
    """

    window: Tokens | None = None
    max_output: Tokens | None = None
    sampling: bool = False
    stop: bool = True
    json_schema: bool = True
    embeds: bool = False
    tokenizer: Annotated[float, Meta(gt=0, le=10)] = NEWER_CLAUDE
    retires: Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = ""
    successor: str = ""
    native_search: str = ""
    price: PriceRow | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: tuple[str, ...] = ()
    tools_reasoning: str = ""


class Dialect(msgspec.Struct, frozen=True):
    """How a server's OpenAI-compatible wire differs from the common one.

    `max_tokens` and `seed` are the names of those fields (no seed: empty), `key_header` the header of the key.
    `structured` says how an answer is held to a schema: by `json_schema`, by `json_object` with the schema in words,
    or in `words` alone. `needs_finish_reason` and `needs_done`: what a whole stream ends with. `extra` goes into
    every body as it stands.
    """

    max_tokens: str = "max_tokens"
    structured: str = "json_schema"
    strict_tools: bool = True
    usage_in_stream: bool = True
    needs_finish_reason: bool = True
    needs_done: bool = True
    seed: str = "seed"
    images: bool = True
    key_header: str = "Authorization"
    extra: dict[str, Any] = {}


# What nearly every compatible server understands: for an unknown model behind somebody's base_url.
COMMON = Dialect(structured="words", strict_tools=False)


class ProviderRow(msgspec.Struct, frozen=True):
    """A provider as the data file has it. `wire` names the file in `providers/` that speaks to it.

    `keys` are the environment variables of its API key, `oauth_keys` those of its OAuth token; `keyless`: it works
    without. `open`: any model name passes. `free`: its calls cost 0. `priced_as` is its name in the price table.
    `embedding` is its default model for vectors. `batch_percent` is what a call in its batch lane costs of the usual
    price (None: no such lane is spoken here). `address` is the form of the base_url that the user must give.
    `uncapped_searches`: its wire takes no limit on the searches of the model's own tool, so many are reserved for.
    `reasoning` says each level in the vendor's words: what is laid into the request for it.
    """

    wire: str = ""
    default: str = ""
    base_url: str = ""
    keys: tuple[str, ...] = ()
    oauth_keys: tuple[str, ...] = ()
    keyless: bool = False
    aliases: dict[str, str] = {}
    models: dict[str, ModelRow] = {}
    open: bool = False
    free: bool = False
    priced_as: str = ""
    embedding: str = ""
    batch_percent: int | None = None
    address: str = ""
    uncapped_searches: int = 0
    dialect: Dialect = Dialect()
    reasoning: dict[str, dict[str, Any]] = msgspec.field(default_factory=_plain_effort)


# Every provider's row by its name. Who looks something up is given one: a user's own rows are in no global table.
Catalog = Mapping[str, ProviderRow]


# An unknown model behind somebody's base_url: the older wire, which all compatible servers speak.
_PASSED_THROUGH = ModelRow(sampling=True, json_schema=False)


class ModelInfo(msgspec.Struct, frozen=True):
    """A resolved model: `base_url` is where it is reached, `own_base_url` whether that is not the vendor's own server.

    `price` is None while it is unknown. `row` is its provider's.
    """

    provider: str
    name: str
    facts: ModelRow
    base_url: str
    own_base_url: bool = False
    price: PriceRow | None = None
    row: ProviderRow = ProviderRow()


@functools.cache
def load_catalog() -> Catalog:
    """The rows that come with the package, in the order of the files' names."""
    files = sorted(resources.files("orchestrator_v2.llm.vendors").iterdir(), key=lambda file: file.name)
    decoder = msgspec.json.Decoder(dict[str, ProviderRow])
    rows: dict[str, ProviderRow] = {}
    for file in files:
        if file.name.endswith(".json"):
            rows |= decoder.decode(file.read_bytes())
    return rows


def resolve_model(
    provider: str, name: str, *, now: float, base_url: str = "", catalog: Catalog | None = None
) -> ModelInfo:
    """The model of that name or alias; an empty name is the provider's default. `now` is in epoch seconds.

    Raises `UnknownNameError` with near matches for a name the provider does not have, and `ConfigError` where none is
    given and none is the default, or naming the successor for a model that is retired. With an own `base_url` no name
    is unknown or retired: what is served there is not ours to know.
    """
    row = (load_catalog() if catalog is None else catalog).get(provider, ProviderRow(open=True))
    wanted = row.aliases.get(name, name) or row.default
    if not wanted:
        raise ConfigError(
            f"No model of {provider} is named.", "It has no default model.", "Name one, as by --model NAME."
        )
    facts = row.models.get(wanted)
    if facts is None and not (base_url or row.open):
        valid = [*row.aliases, *(model for model, f in row.models.items() if not is_retired(f, now))]
        raise UnknownNameError(f"{provider} model", name, valid, f"Use '{row.default}'." if row.default else "")
    if facts is not None and is_retired(facts, now) and not base_url:
        raise ConfigError(
            f"The model '{wanted}' is retired since {facts.retires}.",
            "The provider does not serve it any more.",
            f"Use '{facts.successor}'.",
        )
    facts = facts or _PASSED_THROUGH
    reached = base_url or row.base_url
    return ModelInfo(
        provider=provider,
        name=wanted,
        facts=facts,
        base_url=reached,
        own_base_url=reached != load_catalog().get(provider, row).base_url,
        price=given_price(row, facts),
        row=row,
    )


def dialect_of(info: ModelInfo, row: ProviderRow) -> Dialect:
    """The row's dialect; for a model that the row does not know, behind somebody's base_url, the common one."""
    stranger = info.own_base_url and info.name not in row.models and not row.open
    dialect = COMMON if stranger else row.dialect
    facts = row.models.get(info.name)
    if facts is None or dialect.structured == "words":
        return dialect
    fallen = "json_object" if dialect.structured == "json_schema" else dialect.structured
    return msgspec.structs.replace(dialect, structured="json_schema" if facts.json_schema else fallen)


def levels_of(info: ModelInfo) -> tuple[str, ...]:
    """How hard that model may be told to think: the levels that it has and its provider has words for."""
    return tuple(level for level in LEVELS if level in info.facts.reasoning and level in info.row.reasoning)


def given_price(row: ProviderRow, facts: ModelRow) -> PriceRow | None:
    """The price that the rows themselves say; None where the price table is to be asked."""
    return facts.price or (FREE if row.free else None)


def is_retired(facts: ModelRow, now: float) -> bool:
    return bool(facts.retires) and facts.retires <= _date(now)


def lifecycle_note(info: ModelInfo, now: float) -> str:
    """A warning for a model that will be gone, empty for the others."""
    if not info.facts.retires or info.own_base_url or is_retired(info.facts, now):
        return ""
    return f"The model '{info.name}' retires on {info.facts.retires}; its successor is '{info.facts.successor}'."


def list_models(provider: str, now: float, catalog: Catalog | None = None) -> list[str]:
    """Names that may be used at `now`, the default first."""
    row = (load_catalog() if catalog is None else catalog).get(provider, ProviderRow())
    names = [name for name, facts in row.models.items() if not is_retired(facts, now)]
    return sorted(names, key=lambda name: name != row.default)


def _date(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
