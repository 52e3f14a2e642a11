"""The way by API: the model layer in this process, with one corrective turn where an answer does not fit its schema.

Retries, limits, recording and prices are the model layer's wrappers; the way by a program is `command_way.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.agents.corrective import Question, ask_for
from orchestrator_v2.core.errors import ConfigError, OrchestratorError, ProviderUnavailableError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.auth import kind_of, resolve_credentials
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.errors import from_exception, unsettled_charge
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.naming import named_model
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.structured import clean_text
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.llm.wrappers.base import Wrapper
from orchestrator_v2.llm.wrappers.logged import CallLog
from orchestrator_v2.tasks.agent_registry import RegisteredAgent
from orchestrator_v2.tasks.credential import resolved_credential
from orchestrator_v2.tasks.unforeseen import unforeseen
from orchestrator_v2.tasks.way import Attempt, Job, without_keys

_CORRECTION = (
    "Your answer could not be used. What is wrong with it:\n\n{problem}\n\n"
    "Give the whole answer again, corrected: one JSON value that fits the schema and nothing else. "
    "Keep everything that was right. Mend every problem named, not only the first."
)
# The sendings of the present attempt: the log of calls is told of each one, whatever becomes of it.
_sendings: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("sendings", default=None)


class ApiWay:
    """Holds one client for each agent, made anew when the agent, its key or its model has changed."""

    def __init__(
        self,
        models: LLMFactory,
        *,
        environ: Mapping[str, str],
        ledger: CallLedger | None = None,
        retry: RetryConfig | None = None,
        log: CallLog | None = None,
    ) -> None:
        self._models = models
        self._environ = environ
        self._ledger = ledger
        self._retry = retry
        self._log = log
        self._clients: dict[str, tuple[LLMConfig, LLMClient]] = {}

    async def attempt(self, job: Job) -> Attempt:
        sent: list[str] = []
        facts: dict[str, Any] = {"provider": "", "model": job.agent.model}
        calls: list[Completion] = []
        secrets: tuple[Secret, ...] = ()
        token = _sendings.set(sent)
        text, data = "", None
        error: OrchestratorError | None = None
        try:
            config = self._config(job.agent)
            secrets = tuple(one for one in (config.credential, config.spare_credential) if one)
            facts["provider"] = config.provider
            async with asyncio.timeout(job.seconds):
                client = self._client(job.agent, config)
                facts["model"] = client.model
                text, data = await _answer(client, job, calls, secrets)
        except TimeoutError:
            error = _too_slow(job)
        except OrchestratorError as problem:
            error = problem
        except Exception as problem:  # noqa: BLE001 - told as this task's error
            error = unforeseen(problem, secrets)
        finally:
            _sendings.reset(token)
        facts |= {"attempts": len(sent), **_facts(calls)}
        return Attempt(text, data, error, _usage(calls, error), facts, secrets)

    def _client(self, agent: RegisteredAgent, config: LLMConfig) -> LLMClient:
        known = self._clients.get(agent.name)
        if known is None or known[0] != config:
            client = self._models.create_client(
                config, ledger=self._ledger, retry=self._retry, log=self._heard, excerpts=self._log is not None
            )
            known = self._clients[agent.name] = (config, client)
        return known[1]

    def _heard(self, record: dict[str, Any]) -> None:
        sent = _sendings.get()
        if sent is not None:
            sent.append(record["outcome"])
        if self._log is not None:
            self._log(record)

    def _config(self, agent: RegisteredAgent) -> LLMConfig:
        """Raises `ConfigError` for a model whose provider is not told, `CredentialMissingError`."""
        provider, model = self._named(agent)
        credential = resolved_credential(agent.name, agent.credential, self._environ)
        if credential is None and agent.base_url:
            # A key of the environment was given for its own provider's server, and goes to no other.
            return LLMConfig(provider, model, base_url=agent.base_url)
        if credential is not None:
            return LLMConfig(provider, model, credential, agent.base_url, kind_of(credential))
        found = (*resolve_credentials(provider, self._environ, catalog=self._models.catalog), None, None)
        first, spare = found[0], found[1]
        if first is None:
            return LLMConfig(provider, model)
        return LLMConfig(provider, model, first.secret, "", first.kind, spare.secret if spare else None)

    def _named(self, agent: RegisteredAgent) -> tuple[str, str]:
        """Provider and model (empty: its default) of `provider/model`, a provider, or a model that one provider has."""
        catalog, wanted = self._models.catalog, agent.model
        first = wanted.partition("/")[0]
        others = () if first in catalog else self._models.names()
        if first == wanted and (first in catalog or first in others):
            return first, ""
        provider, model = named_model(catalog, others, wanted, preferred="")
        if not provider:
            raise ConfigError(
                f"Whose model '{wanted}' of the agent '{agent.name}' is, cannot be told.",
                "No provider alone is known to have it.",
                "Write provider/model.",
            )
        return provider, model


class _Answered(Wrapper):
    """Keeps what was answered, which was paid for though a later call fails, and takes every error for the task's."""

    def __init__(self, inner: Invoker, calls: list[Completion], secrets: tuple[Secret, ...]) -> None:
        super().__init__(inner)
        self._calls = calls
        self._secrets = secrets

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        try:
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        except (OrchestratorError, TimeoutError):
            raise
        except Exception as problem:
            # A provider of another package may raise anything; it is that task's error, and nobody else's.
            raise from_exception(problem, secrets=self._secrets) from problem
        text = without_keys(clean_text(completion.text), self._secrets)
        self._calls.append(completion if text == completion.text else msgspec.structs.replace(completion, text=text))
        return self._calls[-1]


async def _answer(client: LLMClient, job: Job, calls: list[Completion], secrets: tuple[Secret, ...]) -> tuple[str, Any]:
    """The answer's text and value; each call that was answered is put into `calls`."""
    task, schema = job.task, job.schema
    options = InvokeOptions(
        max_tokens=task.max_tokens,
        system_prompt=without_keys(task.system_prompt, secrets),
        temperature=task.temperature,
        response_schema=None if schema is None else schema.schema,
        timeout=job.seconds,
    )
    messages = [Message("user", without_keys(job.prompt, secrets))]
    heard = _Answered(client, calls, secrets)
    if schema is None:
        return (await heard.invoke(messages, options, key=job.key)).text, None
    asked = await ask_for(
        Question(heard, job.key, messages, options),
        schema.read,
        correction=lambda problem: _CORRECTION.format(problem=problem),
        who=job.agent.agent_type,
    )
    return calls[-1].text, asked.answer


def _facts(calls: list[Completion]) -> dict[str, Any]:
    if not calls:
        return {}
    notes = [note for call in calls for note in call.notes]
    found: dict[str, Any] = {"provenance": calls[-1].provenance.kind, "recorded": all(call.recorded for call in calls)}
    return {**found, "notes": notes} if notes else found


def _usage(calls: list[Completion], error: OrchestratorError | None) -> Usage:
    """What was used; the cost is unknown where a call broke off that may have been billed."""
    used = sum((call.usage for call in calls), NO_USAGE)
    return used if error is None else used + Usage(cost=unsettled_charge(error, None))


def _too_slow(job: Job) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        f"The model did not answer within {job.seconds:g} s.", "The call was cancelled.", "Raise the task's timeout."
    )
