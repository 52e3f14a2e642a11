"""Builds a Temporal worker on the foundation that `bootstrap.py` lays.

It is a file of its own so that a command that works for nobody imports nothing of it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import msgspec

from orchestrator_v2.bootstrap import build, driver_of, lay_foundation
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.ending import LastResort
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.durable.temporal_driver import TemporalDriver
from orchestrator_v2.durable.temporal_worker import TemporalWorker
from orchestrator_v2.parts import Parts

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class OpenWorker(msgspec.Struct, frozen=True):
    """A worker and what it stands on."""

    worker: TemporalWorker
    driver: TemporalDriver
    parts: Parts

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Works until a signal ends it; a second one is the process's end at once, and nothing is lost by it."""
        stop = asyncio.Event()

        def end() -> None:
            # From here on no model call is begun: it might be cut, and paid twice.
            self.driver.stop()
            last_resort.begin()
            stop.set()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

        loop = asyncio.get_running_loop()
        with LastResort() as last_resort:
            for number in _SIGNALS:
                loop.add_signal_handler(number, end)
            try:
                await self.worker.run(stop, ready)
            finally:
                await self.parts.close()


async def open_worker(loaded: LoadedSettings) -> OpenWorker:
    """A worker on the settings' database and Temporal; `run` it.

    Raises `ConfigError`, `StoreError` classes, and `MissingExtraError` without the extra.
    """
    base = await lay_foundation(loaded, clock=None, ids=None, random=None, probe=None, factory=None)
    driver = driver_of(base)
    if not isinstance(driver, TemporalDriver):
        raise ConfigError("A worker is for the Temporal driver.", do="Set ORCHESTRATOR_DURABLE=temporal.")
    parts = build(base, driver=driver).parts
    at_once = loaded.settings.runs_at_once
    worker = TemporalWorker(driver.temporal, parts.engine, base.clock, parts.abandon, at_once=at_once)
    return OpenWorker(worker, driver, parts)
