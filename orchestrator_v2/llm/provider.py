"""The seam of a provider: what `LLMFactory.register_provider` takes.

The ones that come with the package are in `providers/`, one wire format a file.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.egress import Egress
from orchestrator_v2.llm.key_watch import KeyWatch
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.origin import check_base_url
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.types import LLMConfig


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `idle` is the longest silence while an answer comes, `total` the whole call's deadline."""

    connect: float = 5.0
    idle: float = 30.0
    total: float = 600.0


class Connection(msgspec.Struct, frozen=True):
    """What a provider needs to make a client: the model, whose key, and the factory's shared parts.

    `egress` is None unless the config is guarded, `watch` unless the key is a stored one. `Wire` heeds both; a provider
    that opens connections of its own has to connect to what `egress` gives it.
    """

    config: LLMConfig
    info: ModelInfo
    pool: ClientPool
    clock: Clock
    probe: Probe
    timeouts: Timeouts
    lane: Lane
    egress: Egress | None = None
    watch: KeyWatch | None = None

    def accepted(self, url: str) -> str:
        """`url` as it is connected to. Raises `ConfigError` for one that the key must not be sent to."""
        return check_base_url(url) if self.egress is None else self.egress.accept(url)


class Availability(msgspec.Struct, frozen=True):
    """`ready` says whether a call could be sent now; `missing` says what to do where not."""

    provider: str
    ready: bool
    missing: str = ""
    credential_source: str = ""


class Provider(Protocol):
    """One vendor. It does no retry, reads no environment, knows no price."""

    @property
    def needs_credential(self) -> bool: ...

    def missing_extra(self) -> str:
        """The line that installs what its wire needs; empty when it is there. Nothing is imported to find out."""
        ...

    def connect(self, connection: Connection) -> Invoker: ...
