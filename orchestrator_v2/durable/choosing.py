"""Which driver the settings name, and what it needs of them.

The drivers are `embedded.py`, in this process, and `temporal_driver.py`, by workers anywhere.
"""

from __future__ import annotations

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.durable.temporal_client import Temporal
from orchestrator_v2.durable.temporal_driver import TemporalDriver
from orchestrator_v2.durable.temporal_security import TemporalSecurity
from orchestrator_v2.engine.ports import Journal
from orchestrator_v2.engine.session import Subscriber

ChosenDriver = EmbeddedDriver | TemporalDriver


def check_shared(durable: str, database: str) -> None:
    """Raises `ConfigError` where workers on other machines could not reach the journal."""
    if durable == "temporal" and not database.startswith(("postgresql://", "postgres://")):
        raise ConfigError(
            "The Temporal driver needs a postgresql:// database.",
            f"Its workers share the journal, and {database.partition(':')[0]} is of one machine.",
            "Set ORCHESTRATOR_DATABASE_URL=postgresql://…, or ORCHESTRATOR_DURABLE=embedded.",
        )


def choose_driver(
    durable: str,
    where: tuple[str, str, str, TemporalSecurity],
    journal: Journal,
    clock: Clock,
    *,
    subscriber: Subscriber | None,
) -> ChosenDriver:
    """`durable` is embedded or temporal; `where` are Temporal's address, namespace, queue, security; unused yet."""
    if durable == "temporal":
        return TemporalDriver(Temporal(*where), journal, subscriber=subscriber)
    return EmbeddedDriver(journal, clock)
