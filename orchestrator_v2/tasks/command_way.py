"""The way by a program: one start of the agent's command, no second try, its answer recorded where a ledger is kept.

How it is called and read is `command_client.py`; the way by API is `api_way.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, OrchestratorError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.catalog import ModelInfo, ModelRow
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.strict_schema import schema_in_words
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.recorded import RecordedClient
from orchestrator_v2.tasks.agent_registry import command_model
from orchestrator_v2.tasks.command_client import CommandClient
from orchestrator_v2.tasks.credential import resolved_credential
from orchestrator_v2.tasks.unforeseen import unforeseen
from orchestrator_v2.tasks.way import Attempt, Job, without_keys


class CommandWay:
    def __init__(self, *, environ: Mapping[str, str], clock: Clock, ledger: CallLedger | None = None) -> None:
        self._environ = environ
        self._clock = clock
        self._ledger = ledger

    async def attempt(self, job: Job) -> Attempt:
        try:
            client = self._client(job)
        except OrchestratorError as error:
            return Attempt(error=error, facts={"model": command_model(job.agent), "attempts": 0})
        completion: Completion | None = None
        text, data = "", None
        failure: OrchestratorError | None = None
        try:
            completion = await self._ask(client, job)
            text = completion.text
            data = None if job.schema is None else job.schema.read(text)
        except OrchestratorError as problem:
            failure = problem
        except Exception as problem:  # noqa: BLE001 - told as this task's error
            failure = unforeseen(problem, client.secrets)
        started = client.facts.pop("started", 0)
        facts: dict[str, Any] = {"provider": client.provider, "model": client.model, "attempts": started}
        facts |= {name: value for name, value in client.facts.items() if value != ""}
        if completion is not None:
            facts |= {"provenance": completion.provenance.kind, "recorded": completion.recorded}
        used = completion.usage if completion else Usage(calls=1, cost=None) if started else NO_USAGE
        return Attempt(text, data, failure, used, facts, client.secrets)

    def _client(self, job: Job) -> CommandClient:
        agent = job.agent
        if agent.command is None:
            raise ConfigError(f"The agent '{agent.name}' has no command.", "", "Register it with one.")
        credential: Secret | None = None
        if agent.command.credential_variable:
            credential = resolved_credential(agent.name, agent.credential, self._environ)
        return CommandClient(
            agent.command,
            command_model(agent),
            environ=self._environ,
            credential=credential,
            seconds=job.seconds,
            clock=self._clock,
        )

    async def _ask(self, client: CommandClient, job: Job) -> Completion:
        prompt = job.prompt if job.schema is None else f"{job.prompt}\n\n{schema_in_words(job.schema.schema)}"
        options = InvokeOptions(
            max_tokens=job.task.max_tokens,
            system_prompt=without_keys(job.task.system_prompt, client.secrets),
            temperature=job.task.temperature,
        )
        messages = [Message("user", without_keys(prompt, client.secrets))]
        # A key of its own: the same task may have been asked by API before, in other words.
        return await self._recorded(client).invoke(messages, options, key=f"{job.key}/cli")

    def _recorded(self, client: CommandClient) -> Invoker:
        if self._ledger is None:
            return client
        # Without a price: under a budget nothing is begun whose cost nobody knows.
        info = ModelInfo(client.provider, client.model, ModelRow(), "")
        return RecordedClient(client, self._ledger, Meter([info]), secrets=client.secrets)
