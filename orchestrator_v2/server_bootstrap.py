"""Builds a `Service`: the parts of a server, on the foundation that `bootstrap.py` lays.

It is a file of its own so that a command that serves nobody imports nothing of it.
"""

from __future__ import annotations

from random import Random

from orchestrator_v2.bootstrap import (
    Foundation,
    build,
    driver_of,
    lay_foundation,
    load_shared_workflow,
    load_workflow_named,
    workflow_names,
)
from orchestrator_v2.config.display import live_secrets
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.accounts import Keyring
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.durable.choosing import ChosenDriver
from orchestrator_v2.durable.temporal_driver import TemporalDriver
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.manager import LLMManager
from orchestrator_v2.operation_bootstrap import operations_over
from orchestrator_v2.operation_wiring import OperationWiring
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.service.accounts import AccountService
from orchestrator_v2.service.changes import Changes
from orchestrator_v2.service.credentials import CredentialService
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.service.operations import OperationService
from orchestrator_v2.service.projects import ProjectService
from orchestrator_v2.service.room import Room
from orchestrator_v2.service.runs import RunService
from orchestrator_v2.service.sender import Sender
from orchestrator_v2.service.service import Service
from orchestrator_v2.workspace.sandbox import Sandbox


async def open_service(
    loaded: LoadedSettings,
    *,
    clock: Clock | None = None,
    ids: IdSource | None = None,
    random: Random | None = None,
    probe: Probe | None = None,
    factory: LLMFactory | None = None,
    sandbox: Sandbox | None = None,
) -> Service:
    """What a server's faces ask, on the journal that the settings name; `start` it, and `close` it.

    Raises `ConfigError`, `StoreError` classes, and `CredentialSealError` where keys are stored and the master key
    that they need is not there.
    """
    base = await lay_foundation(loaded, clock=clock, ids=ids, random=random, probe=probe, factory=factory)
    changes = Changes(base.journal)
    wiring, driver = OperationWiring(), driver_of(base)
    orchestrator = build(base, listener=changes.heard, sandbox=sandbox, operations=wiring, driver=driver)
    keeper = _keeper(orchestrator, driver, loaded.settings.runs_at_once)
    owners, projects, ids = base.owners(), base.journal.projects(), base.ids
    room = Room(orchestrator, loaded.settings.runs_per_user)
    return Service(
        settings=loaded.settings,
        orchestrator=orchestrator,
        projects=ProjectService(
            orchestrator,
            keeper,
            projects,
            owners.keyring,
            load_graph=load_shared_workflow,
            clock=base.clock,
            ids=ids,
            room=room,
        ),
        runs=RunService(orchestrator, keeper, changes, room),
        operations=OperationService(operations_over(base, orchestrator, wiring), owners.keyring, keeper, room),
        accounts=AccountService(owners.accounts, base.journal.usage(), clock=base.clock, ids=ids),
        credentials=_credentials(base, owners.keyring),
        keeper=keeper,
        changes=changes,
        workflows={name: load_workflow_named(name) for name in workflow_names()},
        keyring=owners.keyring,
        clock=base.clock,
        ids=ids,
        occupy=base.journal.occupy,
        secrets=live_secrets(loaded),
    )


def _credentials(base: Foundation, keyring: Keyring) -> CredentialService:
    manager = LLMManager(base.models, clock=base.clock, keys={})
    return CredentialService(keyring, base.models, manager, check_address=base.egress.check, clock=base.clock)


def _keeper(orchestrator: Orchestrator, driver: ChosenDriver, at_once: int) -> Keeper:
    """Who keeps runs going: this process, or by way of Temporal the workers."""
    if isinstance(driver, TemporalDriver):
        return Sender(orchestrator, driver.temporal)
    return Keeper(orchestrator, at_once=at_once)
