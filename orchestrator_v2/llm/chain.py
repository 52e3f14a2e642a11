"""The one order in which the wrappers stand around a provider's client, from the inside out.

What each adds is in its own file of `wrappers/`; how the provider is found and connected is `factory.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.tracing import Tracer
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.guards import Models
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.thrift import Thresholds
from orchestrator_v2.llm.wrappers.batched import BatchedClient
from orchestrator_v2.llm.wrappers.budgeted import DowngradingClient, WatchedBudgetClient
from orchestrator_v2.llm.wrappers.fallback import FallbackClient
from orchestrator_v2.llm.wrappers.keyless import KeylessClient
from orchestrator_v2.llm.wrappers.logged import CallLog, LoggedClient
from orchestrator_v2.llm.wrappers.metered import MeteredClient
from orchestrator_v2.llm.wrappers.reasoned import ReasonedClient
from orchestrator_v2.llm.wrappers.recorded import RecordedClient
from orchestrator_v2.llm.wrappers.retrying import RetryingClient
from orchestrator_v2.llm.wrappers.traced import SendingClient, TracedClient
from orchestrator_v2.llm.wrappers.whole import WholeClient


class Layers(msgspec.Struct, frozen=True):
    """What the wrappers of one client are made with; one that has nothing to do is left out."""

    meter: Meter
    clock: Clock
    random: Random
    probe: Probe
    secrets: Sequence[Secret]
    ledger: CallLedger | None
    retry: RetryConfig
    log: CallLog | None
    excerpts: bool
    batch: bool
    tracer: Tracer
    reasoning: str = ""
    thresholds: Thresholds | None = None


def build_chain(clients: Sequence[Invoker], models: Models, layers: Layers) -> Invoker:
    """whole(traced(retrying(keyless(reasoned(watched_budget(recorded(metered(logged(downgrading(fallback(clients)))))))))))."""
    tried = clients[: len(models.first)]
    client = FallbackClient(tried[0], tried[1:]) if len(tried) > 1 else tried[0]
    if models.saving is not None:
        client = DowngradingClient(client, clients[-1])
    client = _recorded(MeteredClient(_logged(client, layers), layers.meter), layers)
    if layers.ledger is not None and layers.thresholds is not None:
        client = WatchedBudgetClient(client, layers.ledger, layers.thresholds)
    if layers.reasoning:
        client = ReasonedClient(client, layers.reasoning)
    client = KeylessClient(client, layers.secrets) if layers.secrets else client
    client = RetryingClient(client, config=layers.retry, clock=layers.clock, random=layers.random, probe=layers.probe)
    return _whole(client, models.first[0], layers.tracer)


def build_replay(own: Invoker, info: ModelInfo, tracer: Tracer, *, reasoning: str = "") -> Invoker:
    """whole(traced(reasoned(own))): the outer half of the chain around a client that sends nothing."""
    own = ReasonedClient(own, reasoning) if reasoning else own
    return _whole(own, info, tracer)


def _logged(inner: Invoker, layers: Layers) -> Invoker:
    """What stands around each sending."""
    if layers.log is not None:
        inner = LoggedClient(
            inner, layers.log, layers.meter, clock=layers.clock, secrets=layers.secrets, excerpts=layers.excerpts
        )
    return SendingClient(inner) if layers.tracer.on else inner


def _recorded(client: Invoker, layers: Layers) -> Invoker:
    ledger, meter, secrets = layers.ledger, layers.meter, layers.secrets
    if ledger is None:
        return client
    if not layers.batch:
        return RecordedClient(client, ledger, meter, secrets=secrets)

    def logged(inner: Invoker) -> Invoker:
        return _logged(inner, layers)

    return BatchedClient(client, ledger, meter, clock=layers.clock, logged=logged, secrets=secrets, probe=layers.probe)


def _whole(client: Invoker, info: ModelInfo, tracer: Tracer) -> Invoker:
    if tracer.on:
        client = TracedClient(client, tracer, info)
    return WholeClient(client, max_output=info.facts.max_output)
