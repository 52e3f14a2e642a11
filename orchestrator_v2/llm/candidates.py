"""Which models can be used now: those of the catalog whose key is there, and those that local servers say they have.

Which of them fits a request is `matching.py`; how a server is asked is its provider's `list_models`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from orchestrator_v2.core.errors import ConfigError, OrchestratorError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import Reachable, innermost
from orchestrator_v2.llm.catalog import ModelInfo, ProviderRow, is_retired
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.matching import is_local
from orchestrator_v2.llm.types import LLMConfig

# The longest that a local server may take to say which models it has.
ASK_SECONDS = 1.0
# A server on this machine has a handful; what names more is no model server.
_MOST = 500


class Found(msgspec.Struct, frozen=True):
    """What a local server has; `why_none` says in words why nothing could be learned or chosen."""

    provider: str
    models: tuple[ModelInfo, ...] = ()
    why_none: str = ""


def usable(factory: LLMFactory, has_key: Callable[[str], bool], *, now: float) -> list[ModelInfo]:
    """The cloud's models of the catalog that could be asked, by provider and then in the order of its row.

    `has_key` says whether there is a key for a provider of that name. Left out are models that are retired at `now`
    (epoch seconds) or make vectors, providers whose address the user did not give, and those whose models are not
    known by name. Prices are looked up, so the first time takes as long as loading the price table.
    """
    return [
        info
        for name in factory.names()
        if _is_open_to(factory, name, has_key)
        for model, facts in factory.catalog[name].models.items()
        if not (facts.embeds or is_retired(facts, now))
        if not is_local((info := factory.resolve(LLMConfig(name, model), as_of=now)).base_url)
    ]


async def local_models(
    factory: LLMFactory, key_of: Callable[[str], Secret | None] = lambda name: None, *, now: float
) -> list[Found]:
    """What each keyless provider on this machine has, all asked at once and for a second at most.

    `key_of` gives the key for one that has been set up with one. Nothing is raised for a server that cannot be asked.
    """
    rows = {name: factory.catalog.get(name, ProviderRow()) for name in factory.names()}
    names = [name for name, row in rows.items() if row.keyless and is_local(row.base_url)]
    return list(await asyncio.gather(*(_asked(factory, name, key_of(name), now) for name in names)))


def _is_open_to(factory: LLMFactory, name: str, has_key: Callable[[str], bool]) -> bool:
    """Bedrock works without a key of ours, by AWS's own; whether those are there is not known, so it is not chosen."""
    row = factory.catalog.get(name)
    if row is None or not row.models or (row.address and not row.base_url):
        return False
    return has_key(name) or not (factory.needs_key(name) or row.keys or row.oauth_keys)


async def _asked(factory: LLMFactory, name: str, key: Secret | None, now: float) -> Found:
    row = factory.catalog[name]
    try:
        client = innermost(factory.create_client(LLMConfig(name, row.default or "any", key)).chain)
        if not isinstance(client, Reachable):
            return Found(name, why_none=f"{name} cannot be asked which models it has.")
        async with asyncio.timeout(ASK_SECONDS):
            listed = await client.list_models()
    except TimeoutError:
        return Found(name, why_none=f"There was no answer from {row.base_url} within {ASK_SECONDS:g} s.")
    except OrchestratorError as error:
        return Found(name, why_none=f"There was no good answer from {row.base_url}: {error.code}.")
    infos = tuple(info for model in listed[:_MOST] if (info := _resolved(factory, name, model, now)))
    return Found(name, infos, "" if infos else f"{row.base_url} has no model that writes text.")


def _resolved(factory: LLMFactory, provider: str, model: str, now: float) -> ModelInfo | None:
    """None for one that makes vectors, by its row or, as with the price table, by its name; and for one that its
    user has retired."""
    if not model.strip() or not model.isprintable() or "embed" in model.lower():
        return None
    try:
        info = factory.resolve(LLMConfig(provider, model), as_of=now)
    except (ConfigError, UnknownNameError):
        return None
    return None if info.facts.embeds else info
