"""Builds model clients: finds the provider, resolves the model, and stacks the wrappers in their one order.

What each part does is in its own file; which provider a run uses is settled by `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from random import Random

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import CredentialMissingError, UnknownNameError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import resolve_credential
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.catalog import ModelInfo, ProviderRow, load_catalog, resolve_model
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.ledger import CallLedger, RecordedAnswers
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.prices import find_price, parse_price_row
from orchestrator_v2.llm.provider import Availability, Connection, Provider, Timeouts
from orchestrator_v2.llm.providers import WIRES, create_provider
from orchestrator_v2.llm.providers.replay import ReplayClient
from orchestrator_v2.llm.providers.scripted import Answer, ScriptedCall, ScriptedLLM
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.llm.wrappers.fallback import FallbackClient
from orchestrator_v2.llm.wrappers.logged import CallLog, LoggedClient
from orchestrator_v2.llm.wrappers.metered import MeteredClient
from orchestrator_v2.llm.wrappers.recorded import RecordedClient
from orchestrator_v2.llm.wrappers.retrying import RetryingClient
from orchestrator_v2.llm.wrappers.second_key import SecondKeyClient
from orchestrator_v2.llm.wrappers.whole import WholeClient

__all__ = ["Answer", "LLMFactory", "ScriptedCall", "ScriptedLLM"]

# Another package brings a provider by an entry point of this group: its name, and a callable that makes it.
ENTRY_POINTS = "orchestrator_v2.providers"
WHERE = "A further OpenAI-compatible vendor is one row in `orchestrator_v2/llm/vendors/openai_compatible.json`."


class LLMFactory:
    """One for a process or a run; it owns the vendors' clients, so close it.

    `environ` is looked at only to say which providers have a key.
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
    ) -> None:
        self._clock = clock
        self._random = random
        self._environ = dict(environ or {})
        self._probe = probe
        self._pool = pool or ClientPool()
        self._timeouts = timeouts or Timeouts()
        self._providers: dict[str, Provider] = {}
        self._wires: dict[str, Provider] = {}
        self._lanes: dict[tuple[str, str, Secret | None], Lane] = {}

    def register_provider(self, name: str, provider: Provider) -> None:
        """Adds a provider, or puts another in the place of one."""
        self._providers[name] = provider

    def resolve(self, config: LLMConfig, *, prices: Mapping[str, str] | None = None) -> ModelInfo:
        """The model of `config` with its price, without a client.

        `prices` are rows pinned into a run (model name to `price_row` text); they hold in place of today's.

        Raises `UnknownNameError` for a provider or model that is not there, `ConfigError` for a retired model or a
        base_url that no key may be sent to.
        """
        self._provider(config.provider)
        base_url = check_base_url(config.base_url) if config.base_url else ""
        now = self._clock.now()
        info = resolve_model(config.provider, config.model, now=now, base_url=base_url)
        if prices and info.name in prices:
            return msgspec.structs.replace(info, price=parse_price_row(prices[info.name]))
        if info.price is None:
            price = find_price(info.provider, info.name, base_url=base_url, now=now)
            return msgspec.structs.replace(info, price=price)
        return info

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
    ) -> LLMClient:
        """whole(retrying(recorded(metered(logged(fallback(provider)))))); what is not asked for is left out.

        Raises what `resolve` raises, `CredentialMissingError` without a key, `MissingExtraError` without a package
        that its wire needs.
        """
        configs = (config, *fallbacks)
        infos = [self.resolve(each, prices=prices) for each in configs]
        secrets = [secret for each in configs for secret in (each.credential, each.spare_credential) if secret]
        meter = Meter(infos)
        providers = [self._connect(each, info) for each, info in zip(configs, infos, strict=True)]
        client = FallbackClient(providers[0], providers[1:]) if fallbacks else providers[0]
        if log is not None:
            client = LoggedClient(client, log, meter, clock=self._clock, secrets=secrets, excerpts=excerpts)
        client = MeteredClient(client, meter)
        if ledger is not None:
            client = RecordedClient(client, ledger, meter, secrets=secrets)
        client = RetryingClient(
            client,
            config=retry or RetryConfig(),
            clock=self._clock,
            random=self._random,
            probe=self._probe,
            lane=self._lane(config, infos[0]),
        )
        chain = WholeClient(client, max_output=infos[0].facts.max_output)
        return LLMClient(chain, providers[0], infos[0])

    def create_replay(self, config: LLMConfig, ledger: RecordedAnswers) -> Invoker:
        """A client that answers as `config` once did, from `ledger` alone; needs no key and no network."""
        base_url = check_base_url(config.base_url) if config.base_url else ""
        # Priced and placed in time by nobody: a recorded run may use a model that is long retired.
        info = resolve_model(config.provider, config.model, now=0.0, base_url=base_url)
        return WholeClient(ReplayClient(info.provider, info.name, ledger), max_output=info.facts.max_output)

    def list_providers(self) -> list[Availability]:
        """Each provider, by name, with what is missing for a call."""
        return [self._availability(name, self._provider(name)) for name in self._names()]

    async def aclose(self) -> None:
        """Closes the vendors' clients of the running event loop."""
        await self._pool.aclose()

    def _provider(self, name: str) -> Provider:
        """Registered here, else by its wire in the catalog, else by another package's entry point."""
        if name in self._providers:
            return self._providers[name]
        wire = load_catalog().get(name, ProviderRow()).wire
        if wire in WIRES:
            if wire not in self._wires:
                self._wires[wire] = create_provider(wire)
            return self._wires[wire]
        for point in entry_points(group=ENTRY_POINTS):
            if point.name == name:
                self.register_provider(name, point.load()())
                return self._providers[name]
        raise UnknownNameError("provider", name, self._names(), WHERE)

    def _names(self) -> list[str]:
        listed = (name for name, row in load_catalog().items() if row.wire in WIRES)
        others = (point.name for point in entry_points(group=ENTRY_POINTS))
        return sorted({*self._providers, *listed, *others})

    def _connect(self, config: LLMConfig, info: ModelInfo) -> Invoker:
        provider = self._provider(config.provider)
        if provider.needs_credential and config.credential is None:
            raise CredentialMissingError(
                f"There is no key for {config.provider}.", "Real mode needs one.", "Give a key, or run simulated."
            )
        first = provider.connect(self._connection(config, info))
        if config.spare_credential is None:
            return first
        spare = msgspec.structs.replace(
            config, credential=config.spare_credential, credential_kind="api_key", spare_credential=None
        )
        return SecondKeyClient(first, provider.connect(self._connection(spare, info)))

    def _connection(self, config: LLMConfig, info: ModelInfo) -> Connection:
        lane = self._lane(config, info)
        return Connection(config, info, self._pool, self._clock, self._probe, self._timeouts, lane)

    def _lane(self, config: LLMConfig, info: ModelInfo) -> Lane:
        return self._lanes.setdefault((config.provider, info.base_url, config.credential), Lane())

    def _availability(self, name: str, provider: Provider) -> Availability:
        extra = provider.missing_extra()
        credential = resolve_credential(name, self._environ)
        source = credential.source if credential else ""
        no_key = provider.needs_credential and credential is None
        missing = f"run: {extra}" if extra else "no key in the environment" if no_key else ""
        return Availability(name, not missing, missing, source)
