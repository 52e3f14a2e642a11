"""Builds an `Orchestrator` from settings: the only file that knows which concrete part stands behind each seam.

What the parts do is in their own floors; what can be asked of the whole is `orchestrator.py`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, TextIO

import msgspec

from orchestrator_v2.config.display import live_secrets
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.ids import IdSource, RandomIds
from orchestrator_v2.core.probe import Probe, probe_from
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.durable.workers import is_gone, worker_name
from orchestrator_v2.engine.engine import WorkflowEngine
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.session import RunSession, Subscriber
from orchestrator_v2.engine.state_models import SETTLED, ProjectState, TaskDefinition, TaskOutcome
from orchestrator_v2.engine.task_runner import AgentCall, AgentInput, PhaseRunner
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.call_log import CallLogFile
from orchestrator_v2.llm.circuit import CircuitConfig
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.manager import LLMManager
from orchestrator_v2.llm.prices import price_row
from orchestrator_v2.llm.recorded_rows import RecordedRows
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.parts import Parts
from orchestrator_v2.persistence.journal import StoredJournal, open_journal
from orchestrator_v2.settling import Settling, reveal, workflow_names
from orchestrator_v2.settling import load_workflow_named as _load_workflow_named
from orchestrator_v2.workspace.evidence import CHECKS, MeasuredEvidence
from orchestrator_v2.workspace.git import Commit, lay_out
from orchestrator_v2.workspace.out_path import check_out_path, is_laid_out
from orchestrator_v2.workspace.sandbox import Sandbox


class Activity(msgspec.Struct, frozen=True):
    """Something that happened between two events, for whoever looks on: a model call that came back."""

    run_id: str
    phase: str
    what: str


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
) -> Orchestrator:
    """An orchestrator on the journal that the settings name; close it, or use it as an async context manager.

    Without `loaded`, settings are read from the environment and the current directory. `key` is a user's own key:
    with it no key of the environment is used. Raises `ConfigError` and `StoreError` classes.
    """
    loaded = loaded or load_settings({}, os.environ, Path.cwd(), Path.home())
    settings, clock = loaded.settings, clock or SystemClock()
    probe = probe or probe_from(os.environ)
    journal = await open_journal(settings.database, clock=clock, probe=probe, durability=settings.durability)
    keys, random = reveal(loaded.keys), random or SystemRandom()
    models = factory or LLMFactory(clock=clock, random=random, environ=keys, probe=probe, catalog=loaded.catalog)
    settling = _settling(loaded, key, models)
    clients = _Clients(loaded, settling, models, journal, activity)
    engine = WorkflowEngine(
        journal,
        _runner(clients, _evidence(settings, clock, sandbox), journal),
        clock,
        ids or RandomIds(),
        worker=worker_name(),
        is_gone=is_gone,
        subscriber=listener,
        probe=probe,
    )

    return Orchestrator(
        _parts(
            engine=engine,
            journal=journal,
            driver=EmbeddedDriver(journal, clock),
            settling=settling,
            models=models,
            clock=clock,
            probe=probe,
        )
    )


def _parts(
    *,
    engine: WorkflowEngine,
    journal: StoredJournal,
    driver: EmbeddedDriver,
    settling: Settling,
    models: LLMFactory,
    clock: Clock,
    probe: Probe,
) -> Parts:
    async def close() -> None:
        await models.aclose()
        await journal.close()

    return Parts(
        engine=engine,
        journal=journal,
        driver=driver,
        clock=clock,
        settle=settling,
        estimate=settling.estimate,
        lay_out=_lay_out_with(probe),
        check_out=check_out_path,
        calls=journal.recorded_calls,
        abandon=_abandon_with(journal),
        close=close,
        probe=probe,
        is_laid_out=is_laid_out,
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


def _agents(clients: _Clients) -> AgentCall:
    """The agents, imported when the first of them works: their answers' schemas take longest of all to load."""
    run: AgentCall | None = None

    async def work(task: TaskDefinition, given: AgentInput) -> TaskOutcome:
        nonlocal run
        if run is None:
            from orchestrator_v2.agents.factory import agent_runner

            run = agent_runner(clients.client_for)
        return await run(task, given)

    return work


def _runner(clients: _Clients, evidence: MeasuredEvidence, journal: StoredJournal) -> PhaseRunner:
    return PhaseRunner(
        _agents(clients),
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
        log=CallLogFile(_call_log(settings)),
    )


def _call_log(settings: Settings) -> Path:
    return (settings.log_dir or settings.data_dir / "logs") / "llm-requests.log"


def set_up_logging(loaded: LoadedSettings, stream: TextIO, *, json: bool = False) -> None:
    """Sends the package's log to `stream`, without any key that the settings hold."""
    from orchestrator_v2.telemetry.logging import configure_logging

    configure_logging(loaded.settings.log_level, stream, json=json, secrets=live_secrets(loaded))


def _isolated(state: ProjectState) -> bool:
    """Code that a model wrote runs behind walls or not at all; our own templates may run as a limited process."""
    return state.begun.mode != "simulated"


def _settling(loaded: LoadedSettings, key: Secret | None, models: LLMFactory) -> Settling:
    def resolve(config: LLMConfig) -> tuple[str, str]:
        info = models.resolve(config)
        return info.name, price_row(info.price)

    def batches(config: LLMConfig) -> bool:
        return models.resolve(config).row.batch_percent is not None

    return Settling(loaded, key=key, resolve=resolve, checks=CHECKS, needs_key=models.needs_key, batches=batches)


def _elsewhere(begun: RunStarted, config: LLMConfig) -> ConfigError:
    now, then = config.base_url or "the provider's own server", begun.base_url or "the provider's own server"
    return ConfigError(
        f"The run was started with {begun.provider} at {then}.",
        f"The settings name {now} now, and a key is for one server.",
        "Set base_url as it was, then resume.",
    )


class _Clients:
    """Gives each task of a run that is not simulated its model client, over the run's own ledger."""

    def __init__(
        self,
        loaded: LoadedSettings,
        settling: Settling,
        models: LLMFactory,
        journal: StoredJournal,
        activity: Callable[[Activity], None] | None,
    ) -> None:
        self._settings = loaded.settings
        self._settling = settling
        self._models = models
        self._journal = journal
        self._activity = activity
        self._file = CallLogFile(_call_log(self._settings))

    async def client_for(self, task: TaskDefinition, context: RunContext) -> Invoker:
        """The client of a task. Raises `CredentialMissingError` when the key is gone since the run was started."""
        begun = context.state.begun
        config = self._settling.config(begun.provider, begun.model)
        if begun.mode == "replay":
            rows = await self._journal.recorded_calls(begun.forked_from)
            return self._models.create_replay(config, RecordedRows(rows))
        if config.base_url != begun.base_url:
            # The key that is there now was given for another server than the one that the run began with.
            raise _elsewhere(begun, config)
        return self._models.create_client(
            config,
            ledger=self._journal.ledger(context.claim, context.state.budget),
            retry=self._retry(),
            log=self._log(task),
            excerpts=self._settings.log_prompts,
            prices=begun.prices,
            limits=RateLimits(self._settings.requests_per_minute, self._settings.tokens_per_minute),
            circuit=CircuitConfig(),
            batch=begun.batch or task.phase.batch,
            as_of=context.state.started_at,
        )

    def _retry(self) -> RetryConfig:
        s = self._settings
        return RetryConfig(
            max_attempts=s.retry_max_attempts,
            initial=s.retry_initial,
            factor=s.retry_factor,
            max_delay=s.retry_max_delay,
        )

    def _log(self, task: TaskDefinition) -> Callable[[dict[str, Any]], None]:
        def log(record: dict[str, Any]) -> None:
            self._file({"run": task.run_id, **record})
            if self._activity is not None:
                answered = "failed" if record.get("error") else "answered"
                self._activity(Activity(task.run_id, task.phase.id, f"{record.get('model', 'the model')} {answered}"))

        return log


__all__ = ["Activity", "load_workflow_named", "open_models", "open_orchestrator", "set_up_logging", "workflow_names"]
