"""What a person asks of the model layer: which providers and models there are, whether one answers, one client by name.

How a client is built is `factory.py`; how the answers are shown is the command line's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import OrchestratorError, UnknownNameError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.sync import run_sync
from orchestrator_v2.llm.auth import credential_variables, resolve_credentials
from orchestrator_v2.llm.base import DEFAULT_OPTIONS
from orchestrator_v2.llm.catalog import ModelRow, ProviderRow, given_price, is_retired, load_catalog
from orchestrator_v2.llm.chosen import ChosenModel
from orchestrator_v2.llm.client import LLMClient, Prompt
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.naming import named_model
from orchestrator_v2.llm.origin import without_user_info
from orchestrator_v2.llm.prices import PriceRow, find_price
from orchestrator_v2.llm.search.types import SearchConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig
from orchestrator_v2.llm.wrappers.logged import CallLog

# Enough for the shortest answer of a model that thinks first.
_TEST_TOKENS = 64
_TEST_PROMPT = "Answer with the one word: ready"


class ProviderView(msgspec.Struct, frozen=True):
    """A provider as a table shows it; `missing` says what to do where it is not `ready`.

    `own_address`: it is reached elsewhere than the package says. `price` is the default model's, None while unknown.
    """

    name: str
    ready: bool
    missing: str
    key_source: str
    key_variables: tuple[str, ...]
    default_model: str
    models: int
    base_url: str
    own_address: bool = False
    price: PriceRow | None = None


class ModelView(msgspec.Struct, frozen=True):
    """A model as a table shows it. `state` is current, retiring or retired; `price` is None while unknown."""

    provider: str
    name: str
    aliases: tuple[str, ...]
    state: str
    retires: str
    successor: str
    window: int | None
    max_output: int | None
    price: PriceRow | None
    is_default: bool


class TrialResult(msgspec.Struct, frozen=True):
    """How one tiny call went: `words` are the answer, or what went wrong and what to do. Cost in nano-dollars."""

    provider: str
    model: str
    works: bool
    words: str
    latency: float = 0.0
    cost: int | None = None


async def try_model(factory: LLMFactory, config: LLMConfig, **options: Any) -> TrialResult:
    """One tiny real call; `options` are for `create_client`. What goes wrong with it is in the result, not raised.

    Raises `InputError` classes for what cannot be called: no such provider or model, none named, a bad base_url.
    """
    name = factory.resolve(config).name
    try:
        client = factory.create_client(config, **options)
        answer = await client.invoke(_TEST_PROMPT, InvokeOptions(max_tokens=_TEST_TOKENS, timeout=30.0))
    except OrchestratorError as error:
        return TrialResult(config.provider, config.model or name, works=False, words=str(error))
    words = " ".join(answer.text.split())[:80]
    return TrialResult(config.provider, client.model, works=True, words=words, latency=answer.latency, cost=answer.cost)


class Choose(Protocol):
    """Which model an agent works with (empty: the usual one); a call's own `provider` and `model` win."""

    def __call__(self, agent: str = "", *, provider: str = "", model: str = "") -> ChosenModel: ...


class LLMManager:
    """`keys` are key variables by name; `base_url` is an own server of the default `provider`.

    `choose` says which model an agent works with, by a project's configuration; without it all have the default.
    """

    def __init__(
        self,
        factory: LLMFactory,
        *,
        clock: Clock,
        keys: Mapping[str, Secret],
        provider: str = "anthropic",
        model: str = "",
        base_url: str = "",
        log: CallLog | None = None,
        choose: Choose | None = None,
    ) -> None:
        self._log = log
        self._choose = choose or self._of_settings
        self._factory = factory
        self._catalog = factory.catalog
        self._clock = clock
        self._environ = {name: secret.reveal() for name, secret in keys.items()}
        self._provider = provider
        self._model = model
        self._base_url = base_url

    def providers(self) -> list[ProviderView]:
        """All of them, by name. Nothing is sent."""
        return [
            self._provider_view(each.provider, each.ready, each.missing, each.credential_source)
            for each in self._factory.list_providers()
        ]

    def models(self, provider: str = "") -> list[ModelView]:
        """The models that are known by name, of one provider or of all. Raises `UnknownNameError`."""
        catalog = self._catalog
        if provider and provider not in catalog:
            if provider not in self._factory.names():
                raise UnknownNameError("provider", provider, self._factory.names())
            return []
        wanted = [provider] if provider else [name for name, row in catalog.items() if row.models]
        return [
            self._model_view(name, catalog[name], model, facts)
            for name in wanted
            for model, facts in sorted(
                catalog[name].models.items(), key=lambda each: (each[0] != catalog[name].default, bool(each[1].retires))
            )
        ]

    def config(self, model: str = "", provider: str = "") -> LLMConfig:
        """What `provider/model`, a model's name or alias, or nothing at all (the usual choice) stands for."""
        return self.chosen(model=model, provider=provider).config

    def chosen(self, agent: str = "", *, model: str = "", provider: str = "") -> ChosenModel:
        """The same with what is asked of the model, for that agent (a role or an alias).

        Raises what the resolver raises, such as `UnknownNameError` and `ConfigError`.
        """
        if model and not provider:
            provider, model = named_model(self._catalog, self._factory.names(), model, preferred="")
        return self._choose(agent, provider=provider, model=model)

    def client(self, model: str = "", provider: str = "", *, search: str = "", agent: str = "") -> LLMClient:
        """A client for one question; `search` names an engine, or `auto`, whose results are put before the model.

        Raises what `LLMFactory.create_client` raises, and as `chosen`.
        """
        chosen = self.chosen(agent, model=model, provider=provider)
        # An engine that is named here is wanted here; one of the configuration is for questions that need it.
        wanted = SearchConfig(engine=search, mode="always") if search else None
        usual = SearchConfig(engine=chosen.search) if chosen.search else None
        return self._factory.create_client(
            chosen.config,
            log=self._log,
            excerpts=False,
            search=wanted or usual,
            fallbacks=[spare.config for spare in chosen.fallbacks],
            efforts=[chosen.reasoning, *(spare.reasoning for spare in chosen.fallbacks)],
        )

    async def generate_response(
        self,
        prompt: Prompt,
        agent: str | None = None,
        *,
        provider: str = "",
        model: str = "",
        options: InvokeOptions = DEFAULT_OPTIONS,
    ) -> Completion:
        """The whole answer of the model that the configuration gives to `agent` (None: the usual one).

        Which provider that is, is nowhere in the call: `text` is what it said, `provenance` who it was, `notes` what is
        to be known of it, such as that a fallback answered. Raises as `client`, and `ProviderError` classes.
        """
        return await self.client(model, provider, agent=agent or "").invoke(prompt, options)

    def generate_response_sync(self, prompt: Prompt, agent: str | None = None, **more: Any) -> Completion:
        """The same outside of an event loop. Raises `SyncInLoopError` inside of one."""

        async def asked() -> Completion:
            try:
                return await self.generate_response(prompt, agent, **more)
            finally:
                await self.aclose()

        return run_sync(asked)

    async def test(self, provider: str, model: str = "") -> TrialResult:
        """One tiny real call. What goes wrong with it is in the result, not raised.

        Raises `InputError` classes for what cannot be called: no such provider or model, none named, a bad base_url.
        """
        return await try_model(self._factory, self.config(model, provider), log=self._log, excerpts=False)

    async def aclose(self) -> None:
        await self._factory.aclose()

    def _of_settings(self, agent: str = "", *, provider: str = "", model: str = "") -> ChosenModel:
        """Where nobody says more: the settings' model for every agent."""
        chosen = provider or self._provider
        own = chosen == self._provider
        found = (*resolve_credentials(chosen, self._environ, catalog=self._catalog), None, None)
        first, spare = found[0], found[1]
        config = LLMConfig(
            chosen,
            model or (self._model if own else ""),
            first.secret if first else None,
            self._base_url if own else "",
            first.kind if first else "api_key",
            spare.secret if spare else None,
        )
        return ChosenModel(config, agent)

    def _provider_view(self, name: str, ready: bool, missing: str, source: str) -> ProviderView:
        row = self._catalog.get(name, ProviderRow())
        now = self._clock.now()
        address = (self._base_url if name == self._provider else "") or row.base_url
        return ProviderView(
            name=name,
            ready=ready,
            missing=missing,
            key_source=source,
            key_variables=credential_variables(name, self._catalog),
            default_model=row.default,
            models=sum(not is_retired(facts, now) for facts in row.models.values()),
            base_url=without_user_info(address),
            own_address=address != load_catalog().get(name, ProviderRow()).base_url,
            price=self._price(name, row, row.models.get(row.default, ModelRow()), row.default),
        )

    def _model_view(self, provider: str, row: ProviderRow, name: str, facts: ModelRow) -> ModelView:
        now = self._clock.now()
        gone = is_retired(facts, now)
        return ModelView(
            provider=provider,
            name=name,
            aliases=tuple(alias for alias, target in row.aliases.items() if target == name),
            state="retired" if gone else "retiring" if facts.retires else "current",
            retires=facts.retires,
            successor=facts.successor,
            window=facts.window,
            max_output=facts.max_output,
            price=None if gone else self._price(provider, row, facts, name),
            is_default=name == row.default,
        )

    def _price(self, provider: str, row: ProviderRow, facts: ModelRow, name: str) -> PriceRow | None:
        now = self._clock.now()
        return given_price(row, facts) or find_price(provider, name, now=now, priced_as=row.priced_as)
