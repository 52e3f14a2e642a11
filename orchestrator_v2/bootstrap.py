"""Builds an `Orchestrator` from settings: the only file that knows which concrete part stands behind each seam.

What the parts do is in their own floors; what can be asked of the whole is `orchestrator.py`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random, SystemRandom
from typing import TextIO

import msgspec

from orchestrator_v2.config.display import live_secrets
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.ids import IdSource, RandomIds
from orchestrator_v2.core.probe import Probe, probe_from
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.tracing import NO_TRACER, Tracer
from orchestrator_v2.durable.choosing import ChosenDriver, check_shared, choose_driver
from orchestrator_v2.durable.temporal_security import TemporalSecurity
from orchestrator_v2.durable.workers import is_gone, worker_name
from orchestrator_v2.engine.engine import WorkflowEngine
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import TaskRunner
from orchestrator_v2.engine.session import RunSession, Subscriber
from orchestrator_v2.engine.state_models import SETTLED, ProjectState, TaskDefinition, TaskOutcome
from orchestrator_v2.engine.task_runner import AgentCall, AgentInput, PhaseRunner
from orchestrator_v2.key_sources import reveal
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.call_log import CallLogFile
from orchestrator_v2.llm.egress import Egress
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.manager import LLMManager
from orchestrator_v2.llm.origin import origin_of
from orchestrator_v2.llm.prices import price_row
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.operation_wiring import OperationWiring
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.parts import ArchiveKind, Driver, Parts
from orchestrator_v2.persistence.journal import StoredJournal, is_shared, open_journal
from orchestrator_v2.run_clients import Activity, Owners, RunClients, call_log_path
from orchestrator_v2.settling import Settling, read_workflow, workflow_names
from orchestrator_v2.settling import load_workflow_named as _load_workflow_named
from orchestrator_v2.workspace.evidence import CHECKS, MeasuredEvidence
from orchestrator_v2.workspace.git import Commit, lay_out
from orchestrator_v2.workspace.out_path import check_out_path, is_laid_out
from orchestrator_v2.workspace.sandbox import Sandbox


async def open_orchestrator(
    loaded: LoadedSettings | None = None,
    *,
    key: Secret | None = None,
    listener: Subscriber | None = None,
    activity: Callable[[Activity], None] | None = None,
    clock: Clock | None = None,
    ids: IdSource | None = None,
    random: Random | None = None,
    probe: Probe | None = None,
    factory: LLMFactory | None = None,
    sandbox: Sandbox | None = None,
    tracer: Tracer | None = None,
) -> Orchestrator:
    """An orchestrator on the journal that the settings name; close it, or use it as an async context manager.

    Without `loaded`, settings are read from the environment and the current directory. `key` is a user's own key:
    with it no key of the environment is used. Raises `ConfigError` and `StoreError` classes.
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
    return build(foundation, key=key, listener=listener, activity=activity, sandbox=sandbox)


class Foundation(msgspec.Struct, frozen=True):
    """What everything else stands on: one journal, one factory of model clients, the owners' keys."""

    loaded: LoadedSettings
    clock: Clock
    ids: IdSource
    probe: Probe
    journal: StoredJournal
    models: LLMFactory
    egress: Egress
    owners: Callable[[], Owners]
    tracer: Tracer = NO_TRACER


async def lay_foundation(
    loaded: LoadedSettings,
    *,
    clock: Clock | None,
    ids: IdSource | None,
    random: Random | None,
    probe: Probe | None,
    factory: LLMFactory | None,
    tracer: Tracer | None = None,
) -> Foundation:
    """Opens the journal that the settings name. Raises `ConfigError`, `StoreError` classes, and `MissingExtraError`."""
    tracer = tracer or _tracer(loaded)
    settings, clock, ids = loaded.settings, clock or SystemClock(), ids or RandomIds()
    check_shared(settings.durable, settings.database)
    probe = probe or probe_from(os.environ)
    egress = Egress([origin.strip() for origin in settings.model_origins.split(",") if origin.strip()])
    journal = await open_journal(settings.database, clock=clock, probe=probe, durability=settings.durability)
    models = factory or LLMFactory(
        clock=clock,
        random=random or SystemRandom(),
        environ=reveal(loaded.keys),
        probe=probe,
        catalog=loaded.catalog,
        egress=egress,
        board=journal.lanes() if is_shared(settings.database) else None,
    )
    owners = _owners(loaded, journal, clock, ids, probe)
    return Foundation(loaded, clock, ids, probe, journal, models, egress, owners, tracer)


def _tracer(loaded: LoadedSettings) -> Tracer:
    """Opened only where traces are wanted: nobody else pays for its imports."""
    if loaded.settings.traces == "off":
        return NO_TRACER
    from orchestrator_v2 import __version__
    from orchestrator_v2.telemetry.tracing import open_tracer

    return open_tracer(__version__, secrets=live_secrets(loaded))


def _owners(
    loaded: LoadedSettings, journal: StoredJournal, clock: Clock, ids: IdSource, probe: Probe
) -> Callable[[], Owners]:
    """The users and their keys, opened when they are first asked for: most commands never do."""
    opened: list[Owners] = []

    def owners() -> Owners:
        if not opened:
            from orchestrator_v2.credentials.master_sources import open_master_keys
            from orchestrator_v2.credentials.vault import Vault

            source = open_master_keys(os.environ, data_dir=loaded.settings.data_dir, clock=clock)
            vault = Vault(
                journal.credentials(),
                source,
                clock=clock,
                ids=ids,
                origin_of=origin_of,
                kind_of=kind_of,
                probe=probe,
            )
            opened.append(Owners(journal.accounts(), vault))
        return opened[0]

    return owners


def build(
    foundation: Foundation,
    *,
    key: Secret | None = None,
    listener: Subscriber | None = None,
    activity: Callable[[Activity], None] | None = None,
    sandbox: Sandbox | None = None,
    operations: OperationWiring | None = None,
    driver: ChosenDriver | None = None,
) -> Orchestrator:
    """The orchestrator on a foundation, which it closes; `operations` and `driver` in place of those that are found."""
    settings, clock, journal = foundation.loaded.settings, foundation.clock, foundation.journal
    settling = settling_of(foundation, key)
    chosen = driver or driver_of(foundation, listener)
    clients = RunClients(
        settings,
        settling.config,
        foundation.models,
        journal,
        owners=foundation.owners,
        stopping=lambda: chosen.stopping,
        activity=activity,
        tracer=foundation.tracer,
    )
    phases = _runner(clients, _evidence(settings, clock, sandbox), journal, foundation.tracer)
    tasks = (operations or OperationWiring()).tasks(clients.client_for, phases)
    traced, runner = _traced(chosen, tasks, foundation.tracer)
    engine = WorkflowEngine(
        journal,
        runner,
        clock,
        foundation.ids,
        worker=worker_name(),
        is_gone=is_gone,
        subscriber=listener,
        probe=foundation.probe,
    )
    return Orchestrator(
        _parts(
            engine=engine,
            journal=journal,
            driver=traced,
            settling=settling,
            models=foundation.models,
            clock=clock,
            probe=foundation.probe,
            tracer=foundation.tracer,
            tended=chosen.tended,
        )
    )


def driver_of(foundation: Foundation, listener: Subscriber | None = None) -> ChosenDriver:
    """The driver that the settings name; `listener` is told what other processes commit in the runs it follows."""
    s = foundation.loaded.settings
    security = TemporalSecurity(
        s.temporal_tls, s.temporal_ca_file, s.temporal_cert_file, s.temporal_key_file, s.temporal_api_key_file
    )
    where = (s.temporal_address, s.temporal_namespace, s.temporal_task_queue, security)
    return choose_driver(s.durable, where, foundation.journal, foundation.clock, subscriber=listener)


def _traced(driver: Driver, runner: TaskRunner, tracer: Tracer) -> tuple[Driver, TaskRunner]:
    """The same two, with a span around each drive and each task where there are traces."""
    if not tracer.on:
        return driver, runner
    from orchestrator_v2.telemetry.traced_runs import TracedDriver

    traced = TracedDriver(driver, tracer)
    return traced, traced.tasks(runner)


def _parts(
    *,
    engine: WorkflowEngine,
    journal: StoredJournal,
    driver: Driver,
    settling: Settling,
    models: LLMFactory,
    clock: Clock,
    probe: Probe,
    tracer: Tracer,
    tended: bool,
) -> Parts:
    async def close() -> None:
        try:
            await models.aclose()
            await journal.close()
        finally:
            await tracer.aclose()

    return Parts(
        engine=engine,
        journal=journal,
        driver=driver,
        clock=clock,
        settle=settling,
        estimate=settling.estimate,
        lay_out=_lay_out_with(probe),
        pack=_pack,
        check_out=check_out_path,
        calls=journal.recorded_calls,
        abandon=_abandon_with(journal),
        close=close,
        probe=probe,
        is_laid_out=is_laid_out,
        tended=tended,
    )


def _abandon_with(journal: StoredJournal) -> Callable[[RunSession], Awaitable[None]]:
    async def abandon(session: RunSession) -> None:
        """Charges the batches of rounds that are over: nobody asks for them again, and they may be billed."""
        begun, state = session.state.begun, session.state
        if not (begun.batch or any(phase.batch for phase in begun.workflow.phases)):
            return
        ledger = journal.ledger(session.claim, state.budget)
        for call in await ledger.calls():
            phase, _, rounds = call.key.partition("/")[0].partition(".r")
            entry = state.phase(phase)
            if call.outcome == "submitted" and (entry.status in SETTLED or entry.round != int(rounds or 1)):
                await ledger.fail(call.id, f"abandoned: '{phase}' was begun anew without the batch {call.handle}", None)

    return abandon


def _agents(clients: RunClients, tracer: Tracer) -> AgentCall:
    """The agents, imported when the first of them works: their answers' schemas take longest of all to load."""
    run: AgentCall | None = None

    async def work(task: TaskDefinition, given: AgentInput) -> TaskOutcome:
        nonlocal run
        if run is None:
            from orchestrator_v2.agents.factory import agent_runner, create_agent
            from orchestrator_v2.agents.traced_agent import traced_agents

            run = agent_runner(clients.client_for, traced_agents(create_agent, tracer) if tracer.on else create_agent)
        return await run(task, given)

    return work


def _runner(clients: RunClients, evidence: MeasuredEvidence, journal: StoredJournal, tracer: Tracer) -> PhaseRunner:
    return PhaseRunner(
        _agents(clients, tracer),
        evidence,
        isolate=_isolated,
        spent=lambda claim: journal.ledger(claim, None).spent(),
    )


def _evidence(settings: Settings, clock: Clock, sandbox: Sandbox | None) -> MeasuredEvidence:
    walls = sandbox or Sandbox(clock=clock, hidden=(settings.data_dir,))
    return MeasuredEvidence(walls, clock=clock, test_timeout=settings.sandbox_timeout)


def _lay_out_with(probe: Probe) -> Callable[[Path, Sequence[tuple[str, Mapping[str, bytes]]], str], Awaitable[str]]:
    async def lay(out: Path, commits: Sequence[tuple[str, Mapping[str, bytes]]], mark: str) -> str:
        made = [Commit(message, dict(files)) for message, files in commits]
        return await lay_out(out, made, owner_mark=mark, probe=probe)

    return lay


async def _pack(kind: ArchiveKind, name: str, commits: Sequence[tuple[str, Mapping[str, bytes]]], mark: str) -> bytes:
    from orchestrator_v2.workspace.archive import pack_bundle, pack_zip

    return await (pack_zip(name, commits) if kind == "zip" else pack_bundle(commits, mark))


def load_shared_workflow(text: str) -> PhaseGraph:
    """A built-in workflow by name, or one from YAML text; never a file of the server's. Raises `WorkflowError`."""
    return read_workflow(text, checks=CHECKS)


def load_workflow_named(name: str) -> PhaseGraph:
    """A built-in workflow by name, or a YAML file by its path, checked. Raises `WorkflowError`."""
    return _load_workflow_named(name, checks=CHECKS)


def open_models(loaded: LoadedSettings, *, clock: Clock | None = None) -> LLMManager:
    """Providers, models and single questions on these settings; close it. No database is opened."""
    settings, clock = loaded.settings, clock or SystemClock()
    factory = LLMFactory(clock=clock, random=SystemRandom(), environ=reveal(loaded.keys), catalog=loaded.catalog)
    return LLMManager(
        factory,
        clock=clock,
        keys=loaded.keys,
        provider=settings.provider,
        model=settings.model,
        base_url=settings.base_url,
        log=CallLogFile(call_log_path(settings)),
        choose=ProjectConfig(loaded).get_agent_llm_config,
    )


def set_up_logging(loaded: LoadedSettings, stream: TextIO, *, json: bool = False) -> None:
    """Sends the package's log to `stream`, without any key that the settings hold."""
    from orchestrator_v2.telemetry.logging import configure_logging

    configure_logging(
        loaded.settings.log_level, stream, json=json, secrets=live_secrets(loaded), correlation=CORRELATION
    )


def _isolated(state: ProjectState) -> bool:
    """Code that a model or a person wrote runs behind walls or not at all; our own templates may run as a limited
    process, as long as nobody has put a file of theirs among what they made."""
    made = (artifact for phase in state.phases.values() for artifact in phase.artifacts)
    return state.begun.mode != "simulated" or any(artifact.provenance.kind == "human" for artifact in made)


def settling_of(foundation: Foundation, key: Secret | None) -> Settling:
    """What turns a request into a run to be; with a `key` no key of the environment is used."""
    loaded, models = foundation.loaded, foundation.models

    def resolve(config: LLMConfig) -> tuple[str, str]:
        info = models.resolve(config)
        return info.name, price_row(info.price)

    def batches(config: LLMConfig) -> bool:
        return models.resolve(config).row.batch_percent is not None

    return Settling(loaded, key=key, resolve=resolve, checks=CHECKS, needs_key=models.needs_key, batches=batches)


__all__ = [
    "Activity", "Foundation", "build", "driver_of", "lay_foundation", "load_shared_workflow", "load_workflow_named",
    "open_models", "open_orchestrator", "set_up_logging", "settling_of", "workflow_names",
]  # fmt: skip
