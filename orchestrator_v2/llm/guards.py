"""The models of one client, and what stands before each sending: limits, a watched key, a circuit, the longest wait.

The wrappers that hold to it are in `wrappers/`; where they are put around a provider's client is `factory.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.circuit import CircuitConfig
from orchestrator_v2.llm.key_watch import KeyWatch
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.types import LLMConfig


class Models(msgspec.Struct, frozen=True):
    """The models of one client: the first with its fallbacks, and the cheaper one that may take their place."""

    configs: tuple[LLMConfig, ...]
    first: tuple[ModelInfo, ...]
    saving: ModelInfo | None = None

    @property
    def all(self) -> tuple[ModelInfo, ...]:
        return self.first if self.saving is None else (*self.first, self.saving)

    @property
    def secrets(self) -> list[Secret]:
        return [secret for each in self.configs for secret in (each.credential, each.spare_credential) if secret]


class Guard(msgspec.Struct, frozen=True):
    """What stands before each sending: the key's limits and its watch, the origin's circuit, the longest wait in
    seconds."""

    limits: RateLimits | None
    circuit: CircuitConfig | None
    cap: float
    watch: KeyWatch | None = None


def guards_of(configs: Sequence[LLMConfig], first: Guard, others: Sequence[KeyWatch | None] = ()) -> list[Guard]:
    """`first` for the first configuration; without its limits, and each with its own watch, for those after it.

    Raises `ConfigError` for a key beside a watched one that nobody watches.
    """
    watches = [*others, *[None] * (len(configs) - 1 - len(others))]
    for config, watch in zip(configs[1:], watches, strict=True):
        if first.watch is not None and watch is None and config.credential != configs[0].credential:
            raise ConfigError(
                "A watched key has an unwatched one beside it.", "Nobody would see it refused.", "Leave it out."
            )
    return [
        first,
        *(
            msgspec.structs.replace(first, limits=None, watch=watch or _shared(first, configs, n))
            for n, watch in enumerate(watches, 1)
        ),
    ]


def _shared(first: Guard, configs: Sequence[LLMConfig], number: int) -> KeyWatch | None:
    """The first one's watch, where it is the same key."""
    return first.watch if configs[number].credential == configs[0].credential else None
