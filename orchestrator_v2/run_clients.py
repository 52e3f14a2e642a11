"""Gives each task of a run that is not simulated its model client: whose key, over which ledger, under which ceilings.

How a client is built is `llm/factory.py`; which model a run has was settled by `settling.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.accounts import Accounts, Ceilings, Keyring, User
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, CredentialSealError
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.tracing import NO_TRACER, Tracer
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice
from orchestrator_v2.engine.ports import Claim, RunContext
from orchestrator_v2.engine.state_models import TaskDefinition
from orchestrator_v2.key_sources import OwnKeyWatch, check_entitled, no_key
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.call_log import CallLogFile
from orchestrator_v2.llm.circuit import CircuitConfig
from orchestrator_v2.llm.draining import DrainingLedger
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.ledger import CallLedger, CallRow
from orchestrator_v2.llm.recorded_rows import RecordedRows
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.search.types import SearchConfig
from orchestrator_v2.llm.thrift import Thresholds
from orchestrator_v2.llm.types import LLMConfig
from orchestrator_v2.llm.wrappers.watched_key import KeyWatch

_log = logging.getLogger(__name__)


class Activity(msgspec.Struct, frozen=True):
    """Something that happened between two events, for whoever looks on: a model call that came back."""

    run_id: str
    phase: str
    what: str


class Ledgers(Protocol):
    """What this needs of the journal."""

    def ledger(self, claim: Claim, budget: int | None, ceilings: Ceilings | None = None) -> CallLedger: ...

    async def recorded_calls(self, run_id: str) -> list[CallRow]: ...


class OperatorsConfig(Protocol):
    """The operator's own configuration of a model; `choice` is the model as a run was settled with it."""

    def __call__(self, provider: str, model: str, choice: ModelChoice | None = None) -> LLMConfig: ...


class Owners(msgspec.Struct, frozen=True):
    """Where the users of a server, and their keys, are found."""

    accounts: Accounts
    keyring: Keyring


def call_log_path(settings: Settings) -> Path:
    return (settings.log_dir or settings.data_dir / "logs") / "llm-requests.log"


class RunClients:
    """`config` gives the operator's own configuration of a model; `owners` is asked when a run needs it."""

    def __init__(
        self,
        settings: Settings,
        config: OperatorsConfig,
        models: LLMFactory,
        ledgers: Ledgers,
        *,
        owners: Callable[[], Owners],
        stopping: Callable[[], bool],
        activity: Callable[[Activity], None] | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._settings = settings
        self._config = config
        self._models = models
        self._ledgers = ledgers
        self._owners = owners
        self._stopping = stopping
        self._activity = activity
        self._tracer = tracer
        self._file = CallLogFile(call_log_path(settings))
        self._thresholds: dict[str, Thresholds] = {}

    async def client_for(self, task: TaskDefinition, context: RunContext) -> Invoker:
        """The client of a task. Raises `CredentialMissingError` when the key is gone since the run was started."""
        begun = context.state.begun
        # An operation's agents are its own, not roles.
        agent = task.phase.agent if begun.operation else resolve_role(task.phase.agent).name
        choice = begun.model_for(agent)
        if begun.mode == "replay":
            rows = await self._ledgers.recorded_calls(begun.forked_from)
            asked = LLMConfig(choice.provider, choice.model)
            return self._models.create_replay(
                asked, RecordedRows(rows), tracer=self._tracer, reasoning=choice.reasoning
            )
        config, watch, ceilings = await self._paid_by(begun, choice)
        spares = [await self._paid_by(begun, spare) for spare in choice.fallbacks]
        thresholds = self._thresholds_of(task.run_id, begun)
        return self._models.create_client(
            config,
            ledger=DrainingLedger(self._ledgers.ledger(context.claim, context.state.budget, ceilings), self._stopping),
            retry=self._retry(),
            log=self._log(task),
            excerpts=self._settings.log_prompts,
            prices=begun.prices,
            limits=RateLimits(self._settings.requests_per_minute, self._settings.tokens_per_minute),
            circuit=CircuitConfig(),
            batch=begun.batch or task.phase.batch,
            as_of=context.state.started_at,
            watch=watch,
            tracer=self._tracer,
            fallbacks=[spare for spare, _, _ in spares],
            fallback_watches=[watched for _, watched, _ in spares],
            efforts=_efforts(choice, begun),
            search=SearchConfig(engine=choice.search) if choice.search else None,
            thresholds=thresholds,
        )

    def _operators(self, choice: ModelChoice) -> LLMConfig:
        """That model with the operator's key. Raises `ConfigError` where the key is for another server now."""
        config = self._config(choice.provider, choice.model, choice)
        _check_place(choice, config)
        return config

    def _thresholds_of(self, run_id: str, begun: RunStarted) -> Thresholds | None:
        """One for all tasks of a run that this process works on: its alert is told once."""
        rules = begun.rules
        if rules == BudgetRules():
            return None
        if run_id not in self._thresholds:
            cheaper = None if rules.cheaper is None else self._operators(rules.cheaper)
            self._thresholds[run_id] = Thresholds(rules, cheaper=cheaper, name=run_id)
        return self._thresholds[run_id]

    async def _paid_by(
        self, begun: RunStarted, choice: ModelChoice
    ) -> tuple[LLMConfig, KeyWatch | None, Ceilings | None]:
        """The model with the key that pays for it: the operator's, or the one that the run's owner has stored.

        Raises `ConfigError` where the key that is there now is for another server than the run began with.
        """
        if not begun.keyring:
            return self._operators(choice), None, None
        owners = self._owners()
        user = await owners.accounts.user(begun.owner_id)
        if user is None or user.disabled:
            raise CredentialMissingError(
                "The run's owner is not let in here.",
                "The account is disabled.",
                "Enable the account, then resume the run.",
            )
        check_entitled(user.models, choice.provider, choice.model)
        keyring = owners.keyring
        stored = await keyring.usable(user.user_id, choice.provider)
        if stored is None:
            raise no_key(choice.provider, "Store one in the settings, then resume the run.")
        try:
            secret = await keyring.open(user.user_id, stored.credential_id)
        except CredentialSealError as error:
            # Its words name files of the server; the run's are its owner's.
            _log.warning("a key of %s does not open: %s", user.user_id, error)
            raise CredentialSealError(
                "Your stored key cannot be opened.",
                "The server has lost what it was sealed with.",
                "Tell its operator.",
            ) from error
        config = LLMConfig(
            choice.provider, choice.model, secret, stored.base_url, credential_kind=kind_of(secret), guarded=True
        )
        _check_place(choice, config)
        return config, OwnKeyWatch(keyring, stored), _ceilings(user)

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


def _ceilings(user: User) -> Ceilings | None:
    if user.daily_budget is None and user.monthly_budget is None:
        return None
    return Ceilings(user.user_id, user.daily_budget, user.monthly_budget)


def _efforts(choice: ModelChoice, begun: RunStarted) -> list[str]:
    """The reasoning of the model, of its fallbacks and of the cheaper one; none where nobody asks for any."""
    cheaper = begun.rules.cheaper
    efforts = [it.reasoning for it in (choice, *choice.fallbacks, *([cheaper] if cheaper is not None else ()))]
    return efforts if any(efforts) else []


def _check_place(choice: ModelChoice, config: LLMConfig) -> None:
    """Raises `ConfigError` where the key that is there now was given for another server than the run began with."""
    if config.base_url != choice.base_url:
        raise _elsewhere(choice, config)


def _elsewhere(choice: ModelChoice, config: LLMConfig) -> ConfigError:
    now, then = config.base_url or "the provider's own server", choice.base_url or "the provider's own server"
    return ConfigError(
        f"The run was started with {choice.provider} at {then}.",
        f"The settings name {now} now, and a key is for one server.",
        "Set base_url as it was, then resume.",
    )
