"""Builds model clients: finds the provider, resolves the model, connects, and guards what is sent.

The wrappers around it are stacked by `chain.py`; which provider a run uses is settled by `bootstrap`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, ProviderError, UnknownNameError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.tracing import NO_TRACER, Tracer
from orchestrator_v2.llm.auth import credential_variables, resolve_credential
from orchestrator_v2.llm.base import Invoker, Reachable, innermost
from orchestrator_v2.llm.catalog import Catalog, ModelInfo, ProviderRow, load_catalog, resolve_model
from orchestrator_v2.llm.chain import Layers, build_chain, build_replay
from orchestrator_v2.llm.circuit import Circuit, CircuitConfig, Health
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.egress import Egress
from orchestrator_v2.llm.entry_points import foreign_names, load_foreign
from orchestrator_v2.llm.guards import Guard, Models, guards_of
from orchestrator_v2.llm.key_watch import KeyWatch
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.lane_board import LaneBoard
from orchestrator_v2.llm.lanes import Lanes
from orchestrator_v2.llm.ledger import CallLedger, RecordedAnswers
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.origin import check_base_url, origin_of
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.prices import find_price, parse_price_row, worst_case
from orchestrator_v2.llm.provider import Availability, Connection, Provider, Timeouts
from orchestrator_v2.llm.providers import WIRES, create_provider
from orchestrator_v2.llm.providers.replay import ReplayClient
from orchestrator_v2.llm.providers.scripted import Answer, ScriptedCall, ScriptedLLM
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.role_models import model_of_role, role_parts
from orchestrator_v2.llm.search.choosing import create_engine
from orchestrator_v2.llm.search.finding import LiveSearch, NativeSearch, RecordedSearch
from orchestrator_v2.llm.search.own_tool import own_tool
from orchestrator_v2.llm.search.types import NATIVE, SearchConfig
from orchestrator_v2.llm.thrift import Thresholds
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.llm.wrappers.batched import batch_percent
from orchestrator_v2.llm.wrappers.circuit import CircuitClient
from orchestrator_v2.llm.wrappers.logged import CallLog
from orchestrator_v2.llm.wrappers.rate_limited import RateLimitedClient, always_open
from orchestrator_v2.llm.wrappers.reasoned import ReasonedClient
from orchestrator_v2.llm.wrappers.search_augmented import SearchAugmentedLlm
from orchestrator_v2.llm.wrappers.second_key import SecondKeyClient
from orchestrator_v2.llm.wrappers.watched_key import WatchedKeyClient

__all__ = ["Answer", "LLMFactory", "ScriptedCall", "ScriptedLLM"]

WHERE = "A further OpenAI-compatible vendor is one table in your models.toml; see docs/how-to/add-a-provider.md."
DEFAULT_PROVIDER = LLMConfig("anthropic", "")
_ASK_SECONDS = 1.0
# A call of a usual size in tokens (prompt, answer), to tell the cheaper of two models.
_A_CALL = (20_000, 4_000)


class LLMFactory:
    """One for a process or a run; it owns the vendors' clients, so close it.

    `environ` is looked at to say which providers have a key, and for the keys of search engines. `roles` says which
    model an agent's role uses (`{"qa": {"provider": "openai", "model": "gpt-6-luna"}}`), `default` what the others do.
    `catalog` are the rows of providers and models, those of the package unless a user has some of their own.
    `egress` says what guarded configurations may connect to; without one they are refused. A key's limits are shared
    with all who have the same `board`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        environ: Mapping[str, str] | None = None,
        probe: Probe = no_probe,
        pool: ClientPool | None = None,
        timeouts: Timeouts | None = None,
        roles: Mapping[str, Mapping[str, str]] | None = None,
        default: LLMConfig = DEFAULT_PROVIDER,
        catalog: Catalog | None = None,
        egress: Egress | None = None,
        board: LaneBoard | None = None,
    ) -> None:
        self.catalog = load_catalog() if catalog is None else catalog
        self._clock = clock
        self._random = random
        self._environ = dict(environ or {})
        self._probe = probe
        self._pool = pool or ClientPool()
        self._timeouts = timeouts or Timeouts()
        self._providers: dict[str, Provider] = {}
        self._wires: dict[str, Provider] = {}
        self._lanes = Lanes(clock, random, board)
        self._circuits: dict[str, Circuit] = {}
        self._silent: dict[str, str] = {}
        self._roles = {role: role_parts(role, parts) for role, parts in (roles or {}).items()}
        self._default = default
        self._egress = egress

    def register_provider(self, name: str, provider: Provider) -> None:
        """Adds a provider, or puts another in the place of one."""
        self._providers[name] = provider

    def resolve(
        self, config: LLMConfig, *, prices: Mapping[str, str] | None = None, as_of: float | None = None
    ) -> ModelInfo:
        """The model of `config` with its price, without a client.

        `prices` are rows pinned into a run (model name to `price_row` text); they hold in place of today's. `as_of` is
        the moment (epoch seconds) by which models are retired or not: for a run, its beginning.

        Raises `UnknownNameError` for a provider or model that is not there, `ConfigError` for a retired model or a
        base_url that no key may be sent to.
        """
        self._provider(config.provider)
        base_url = self._accepted(config)
        now = self._clock.now() if as_of is None else as_of
        info = resolve_model(config.provider, config.model, now=now, base_url=base_url, catalog=self.catalog)
        if prices and info.name in prices:
            return msgspec.structs.replace(info, price=parse_price_row(prices[info.name]))
        if info.price is None:
            price = find_price(info.provider, info.name, base_url=base_url, now=now, priced_as=info.row.priced_as)
            return msgspec.structs.replace(info, price=price)
        return info

    def validate_model(self, provider: str, model: str, *, base_url: str = "") -> ModelInfo:
        """The model of that name or alias. Raises what `resolve` raises, with the valid names and the nearest one."""
        return self.resolve(LLMConfig(provider, model, base_url=base_url))

    def get_provider(self, *, agent_type: str = "") -> LLMConfig:
        """Which model a role uses; see `role_models.py`."""
        return model_of_role(self._roles.get(agent_type, {}), self._default)

    def create_client(
        self,
        config: LLMConfig,
        *,
        ledger: CallLedger | None = None,
        retry: RetryConfig | None = None,
        log: CallLog | None = None,
        excerpts: bool = True,
        fallbacks: Sequence[LLMConfig] = (),
        prices: Mapping[str, str] | None = None,
        limits: RateLimits | None = None,
        circuit: CircuitConfig | None = None,
        search: SearchConfig | None = None,
        batch: bool = False,
        as_of: float | None = None,
        watch: KeyWatch | None = None,
        fallback_watches: Sequence[KeyWatch | None] = (),
        tracer: Tracer = NO_TRACER,
        efforts: Sequence[str] = (),
        thresholds: Thresholds | None = None,
    ) -> LLMClient:
        """The stack of docs/decisions/0004, 0006 and 0012; what is not asked for is left out. Raises as `resolve` does.

        `limits` hold for all clients on the key, `circuit` for all on the origin (its first configuration stays).
        `batch` needs a `ledger`. `watch` speaks for the key of `config`: it is asked before each sending, and told when
        the key is refused; `fallback_watches` for those of `fallbacks`. `efforts` are the reasoning of `config`, of
        each of `fallbacks`, of the cheaper model.
        Raises also `CredentialMissingError`, `MissingExtraError`, and `RequestRejectedError` for a search it has not.
        """
        models = self._models((config, *fallbacks), thresholds, prices=prices, as_of=as_of)
        retry = retry or RetryConfig()
        guards = guards_of(models.configs, Guard(limits, circuit, retry.retry_after_cap, watch), fallback_watches)
        clients, percent = self._senders(models, guards, efforts), batch_percent(models.all, ledger) if batch else 100
        layers = Layers(
            meter=Meter(models.first, percent=percent, cheaper=models.saving),
            clock=self._clock,
            random=self._random,
            probe=self._probe,
            secrets=models.secrets,
            ledger=ledger,
            retry=retry,
            log=log,
            excerpts=excerpts,
            batch=batch,
            tracer=tracer,
            reasoning=efforts[0] if efforts else "",
            thresholds=thresholds,
        )
        chain = self._searching(build_chain(clients, models, layers), search, models, ledger)
        return LLMClient(chain, clients[0], models.first[0])

    def _searching(
        self, client: Invoker, search: SearchConfig | None, models: Models, ledger: CallLedger | None
    ) -> Invoker:
        if search is None:
            return client
        return SearchAugmentedLlm(client, self._search(search, models.all, ledger, models.secrets))

    def create_replay(
        self, config: LLMConfig, ledger: RecordedAnswers, *, tracer: Tracer = NO_TRACER, reasoning: str = ""
    ) -> LLMClient:
        """A client that answers as `config` once did, from `ledger` alone; needs no key and no network."""
        # What a server's user gave was checked for each call; nothing is sent now.
        base_url = check_base_url(config.base_url) if config.base_url and not config.guarded else config.base_url
        # Priced and placed in time by nobody: a recorded run may use a model that is long retired.
        info = resolve_model(config.provider, config.model, now=0.0, base_url=base_url, catalog=self.catalog)
        own = ReplayClient(info.provider, info.name, ledger)
        client = SearchAugmentedLlm(build_replay(own, info, tracer, reasoning=reasoning), RecordedSearch(ledger))
        return LLMClient(client, own, info)

    def list_providers(self) -> list[Availability]:
        """Each provider, by name, with what is missing for a call; another package's may be broken."""
        return [self._listed(name) for name in self.names()]

    def names(self) -> list[str]:
        """Every provider that may be named, in order; nothing of other packages is imported."""
        listed = (name for name, row in self.catalog.items() if row.wire in WIRES)
        return sorted({*self._providers, *listed, *foreign_names()})

    async def check_reachable(self, name: str) -> Availability:
        """That provider with whether its server answers within a second; `list_providers` remembers it.

        Asked is which models it has, which costs nothing. A provider that cannot be asked is left as it is.
        Raises `UnknownNameError` for a provider that is not there.
        """
        provider = self._provider(name)
        known = self._availability(name, provider, silent="")
        if not known.ready:
            return known
        row = self.catalog.get(name, ProviderRow())
        credential = resolve_credential(name, self._environ, catalog=self.catalog)
        config = LLMConfig(name, row.default or "any", credential.secret if credential else None)
        self._silent[name] = await self._silence(provider, config)
        return self._availability(name, provider)

    def health(self) -> list[Health]:
        """Every origin that a client with a circuit has been made for, as it stands now, by name."""
        return [self._circuits[origin].health() for origin in sorted(self._circuits)]

    async def aclose(self) -> None:
        """Closes the vendors' clients of the running event loop."""
        await self._pool.aclose()

    def needs_key(self, name: str) -> bool:
        """Whether nothing can be asked of that provider without a key: by its row, else by what it says itself."""
        row = self.catalog.get(name)
        if row is None or not row.wire or name in self._providers:
            return self._provider(name).needs_credential
        return not row.keyless

    def _provider(self, name: str) -> Provider:
        """Registered here, else by its wire in the catalog, else by another package's entry point."""
        if name in self._providers:
            return self._providers[name]
        wire = self.catalog.get(name, ProviderRow()).wire
        if wire in WIRES:
            if wire not in self._wires:
                self._wires[wire] = create_provider(wire)
            return self._wires[wire]
        foreign = load_foreign(name)
        if foreign is None:
            raise UnknownNameError("provider", name, self.names(), WHERE)
        self.register_provider(name, foreign)
        return foreign

    def _listed(self, name: str) -> Availability:
        try:
            provider = self._provider(name)
        except ConfigError as error:
            return Availability(name, False, f"cannot be loaded: {error.why}")
        return self._availability(name, provider)

    def _models(
        self,
        configs: Sequence[LLMConfig],
        thresholds: Thresholds | None,
        *,
        prices: Mapping[str, str] | None,
        as_of: float | None,
    ) -> Models:
        """The models of a client; the cheaper one is left out where it costs no less than the first."""
        cheaper = thresholds.cheaper if thresholds is not None else None
        infos = [self.resolve(each, prices=prices, as_of=as_of) for each in configs]
        if cheaper is None:
            return Models(tuple(configs), tuple(infos))
        saving = self.resolve(cheaper, prices=prices, as_of=as_of)
        usual, less = worst_case(infos[0].price, *_A_CALL), worst_case(saving.price, *_A_CALL)
        if usual is not None and (less is None or less >= usual):
            return Models(tuple(configs), tuple(infos))
        return Models((*configs, cheaper), tuple(infos), saving)

    def _senders(self, models: Models, guards: Sequence[Guard], efforts: Sequence[str]) -> list[Invoker]:
        """A connected client for each; those that may take the first one's place have their own effort."""
        clients = [self._connect(*each) for each in zip(models.configs, models.all, guards, strict=True)]
        if not efforts:
            return clients
        return [clients[0], *(ReasonedClient(one, efforts[n], instead=True) for n, one in enumerate(clients[1:], 1))]

    def _connect(self, config: LLMConfig, info: ModelInfo, guard: Guard) -> Invoker:
        provider = self._provider(config.provider)
        if self.needs_key(config.provider) and config.credential is None:
            variables = " or ".join(credential_variables(config.provider, self.catalog)) or "its key"
            raise CredentialMissingError(
                f"There is no key for {config.provider}.", "Nothing can be asked without one.", f"Set {variables}."
            )
        first = self._guarded(provider, config, info, guard)
        if config.spare_credential is None:
            return first
        spare = msgspec.structs.replace(
            config, credential=config.spare_credential, credential_kind="api_key", spare_credential=None
        )
        return SecondKeyClient(first, self._guarded(provider, spare, info, guard))

    def _guarded(self, provider: Provider, config: LLMConfig, info: ModelInfo, guard: Guard) -> Invoker:
        """rate_limited(circuit(watched(provider))): what may change during the wait is asked after it."""
        is_own_wire = provider in self._wires.values()
        connection = self._connection(config, info, guard.watch if is_own_wire else None)
        client, door = provider.connect(connection), always_open
        if guard.watch is not None and not is_own_wire:
            secrets = [config.credential] if config.credential else []
            client = WatchedKeyClient(client, guard.watch, secrets=secrets)
        if guard.circuit is not None:
            circuit = self._circuit(info, guard.circuit)
            client, door = CircuitClient(client, circuit), circuit.check
        if guard.limits is not None:
            connection.lane.limits = guard.limits
        return RateLimitedClient(client, connection.lane, info, cap=guard.cap, door=door)

    def _circuit(self, info: ModelInfo, config: CircuitConfig) -> Circuit:
        origin = origin_of(info.base_url) if info.base_url else info.provider
        if origin not in self._circuits:
            self._circuits[origin] = Circuit(origin, config, self._clock, self._random)
        return self._circuits[origin]

    def _search(
        self, search: SearchConfig, infos: Sequence[ModelInfo], ledger: CallLedger | None, secrets: Sequence[Secret]
    ) -> LiveSearch:
        if search.engine == NATIVE:
            for info in infos:
                own_tool(info)
            return NativeSearch(search.max_searches, mode=search.mode, clock=self._clock, ledger=ledger)
        engine = create_engine(search.engine, self._environ) if isinstance(search.engine, str) else search.engine
        return LiveSearch(
            engine,
            mode=search.mode,
            max_results=search.max_results,
            clock=self._clock,
            ledger=ledger,
            secrets=secrets,
        )

    async def _silence(self, provider: Provider, config: LLMConfig) -> str:
        """Why its server cannot be used; empty where it answers, or cannot be asked."""
        info = self.resolve(config)
        client = innermost(provider.connect(self._connection(config, info)))
        if not isinstance(client, Reachable):
            return ""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await client.list_models()
        except TimeoutError:
            return f"no answer from {info.base_url} within {_ASK_SECONDS:g} s"
        except ProviderError as error:
            return f"no good answer from {info.base_url}: {error.code}"
        return ""

    def _accepted(self, config: LLMConfig) -> str:
        """The configuration's own base_url as it is connected to, empty where it has none. Raises `ConfigError`."""
        egress = self._egress_of(config)
        if not config.base_url:
            return ""
        return check_base_url(config.base_url) if egress is None else egress.accept(config.base_url)

    def _egress_of(self, config: LLMConfig) -> Egress | None:
        if config.guarded and self._egress is None:
            raise ConfigError(
                f"The address of {config.provider} is a user's word.",
                "Nothing says here what may be connected to for users.",
                "Give the factory an Egress.",
            )
        return self._egress if config.guarded else None

    def _connection(self, config: LLMConfig, info: ModelInfo, watch: KeyWatch | None = None) -> Connection:
        lane = self._lanes.lane(config.provider, info.base_url, config.credential, config.guarded)
        egress = self._egress_of(config)
        return Connection(config, info, self._pool, self._clock, self._probe, self._timeouts, lane, egress, watch)

    def _availability(self, name: str, provider: Provider, *, silent: str | None = None) -> Availability:
        extra = provider.missing_extra()
        credential = resolve_credential(name, self._environ, catalog=self.catalog)
        source = credential.source if credential else ""
        no_key = credential is None and self.needs_key(name)
        unheard = self._silent.get(name, "") if silent is None else silent
        missing = f"run: {extra}" if extra else "no key in the environment" if no_key else unheard
        return Availability(name, not missing, missing, source)
