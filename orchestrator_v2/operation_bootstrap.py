"""Builds an `LLMOrchestrator` from settings: typed operations over the same journal, keys and models as projects.

What the parts are is in their own floors; projects are `bootstrap.py`, a server's parts `server_bootstrap.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from orchestrator_v2.bootstrap import Foundation, build, lay_foundation, settling_of
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.sync import LoopThread
from orchestrator_v2.core.tracing import Tracer
from orchestrator_v2.engine.session import Subscriber
from orchestrator_v2.key_sources import SettingsKeys
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.operation_routing import OperationRouter
from orchestrator_v2.operation_wiring import OperationWiring
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.once import Once
from orchestrator_v2.operations.orchestrator import LLMOrchestrator, OperationParts
from orchestrator_v2.orchestrator import Orchestrator


async def open_operations(
    loaded: LoadedSettings | None = None,
    *,
    handlers: Sequence[type[AnyHandler]] = (),
    key: Secret | None = None,
    clock: Clock | None = None,
    ids: IdSource | None = None,
    random: Random | None = None,
    probe: Probe | None = None,
    factory: LLMFactory | None = None,
    tracer: Tracer | None = None,
    listener: Subscriber | None = None,
) -> LLMOrchestrator:
    """Typed operations on the journal that the settings name; close them, or use them as an async context manager.

    Without `loaded`, settings are read from the environment and the current directory. `handlers` are further
    operations; `listener` is told the events of their runs. `key` is a user's own key: with it no key of the
    environment is used. Raises `ConfigError` and `StoreError` classes.
    """
    foundation = await lay_foundation(
        loaded or load_settings({}, os.environ, Path.cwd(), Path.home()),
        clock=clock,
        ids=ids,
        random=random,
        probe=probe,
        factory=factory,
        tracer=tracer,
    )
    wiring = OperationWiring(handlers)
    try:
        return operations_over(
            foundation, build(foundation, key=key, listener=listener, operations=wiring), wiring, key=key
        )
    except BaseException:
        await foundation.journal.close()
        raise


@contextmanager
def open_operations_sync(
    loaded: LoadedSettings | None = None,
    *,
    handlers: Sequence[type[AnyHandler]] = (),
    key: Secret | None = None,
    factory: LLMFactory | None = None,
) -> Iterator[LLMOrchestrator]:
    """`open_operations` for code that is not async: its loop lives in a thread until the `with` block ends; use
    `execute_sync`, from as many threads as there are."""
    thread = LoopThread("orchestrator-operations")
    try:
        operations = thread.call(lambda: open_operations(loaded, handlers=handlers, key=key, factory=factory))
        try:
            yield operations
        finally:
            thread.call(operations.aclose)
    finally:
        thread.close()


def operations_over(
    base: Foundation, orchestrator: Orchestrator, wiring: OperationWiring, *, key: Secret | None = None
) -> LLMOrchestrator:
    """The operations of an orchestrator that was built with `wiring`; closing either closes both."""
    keys = SettingsKeys(base.loaded, key, base.models.needs_key)
    replies = base.journal.projects()
    return LLMOrchestrator(
        OperationParts(
            runs=orchestrator,
            replies=replies,
            router=OperationRouter(base.loaded, settling_of(base, key), base.models, keys, base.clock),
            registry=wiring.registry(),
            prompts=wiring.prompts,
            once=Once(replies, base.ids),
            clock=base.clock,
            close=orchestrator.aclose,
        )
    )
