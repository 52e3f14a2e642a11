"""`TaskExecutor`: has tasks done, one or many at once, each by its agent along the agent's ways.

What a way does is `api_way.py` and `command_way.py`; who the agents are is `agent_registry.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from random import SystemRandom
from types import TracebackType
from typing import Any, Self

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import (
    BadGatewayError,
    CredentialMissingError,
    InputError,
    MissingExtraError,
    OrchestratorError,
    ProviderUnavailableError,
    RateLimitedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.ids import IdSource, RandomIds
from orchestrator_v2.core.sync import run_sync
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.wrappers.logged import CallLog
from orchestrator_v2.tasks.agent_registry import AgentRegistry, RegisteredAgent
from orchestrator_v2.tasks.agent_task import AgentTask, ExecutionResult, is_whole, told
from orchestrator_v2.tasks.answer_schema import answer_schema
from orchestrator_v2.tasks.api_way import ApiWay
from orchestrator_v2.tasks.command_way import CommandWay
from orchestrator_v2.tasks.interface import Way
from orchestrator_v2.tasks.unforeseen import unforeseen
from orchestrator_v2.tasks.way import Attempt, Job, WayOfWorking, prompt_of

# What a second way can mend. Not a request that is bad, a refusal, a refused key, or money that is spent.
MENDABLE: tuple[type[OrchestratorError], ...] = (
    ProviderUnavailableError,
    RateLimitedError,
    BadGatewayError,
    StreamTruncatedError,
    CredentialMissingError,
    MissingExtraError,
)
PARALLEL = 8


class TaskExecutor:
    """Use it in `async with`, or close it. `models` builds the clients; whoever gives a factory closes it.

    A `_sync` call has an event loop of its own, whose connections end with it, those of a given factory too: for that
    its `aclose` is called in that loop, which leaves the connections of all other loops open.

    `environ` is where references to keys are looked up and from what commands are given their variables (None: this
    process's). With a `ledger` the key of a task's call is its task_id, and what was answered once is not asked again.
    """

    def __init__(
        self,
        registry: AgentRegistry,
        *,
        models: LLMFactory | None = None,
        ledger: CallLedger | None = None,
        retry: RetryConfig | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        log: CallLog | None = None,
    ) -> None:
        self.registry = registry
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        environ = os.environ if environ is None else environ
        self._owned = None if models else LLMFactory(clock=self._clock, random=SystemRandom(), environ=environ)
        self._models: LLMFactory = models or self._owned  # type: ignore[assignment]
        self._ways: Mapping[Way, WayOfWorking] = {
            Way.API: ApiWay(self._models, environ=environ, ledger=ledger, retry=retry, log=log),
            Way.CLI: CommandWay(environ=environ, clock=self._clock, ledger=ledger),
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._owned is not None:
            await self._owned.aclose()

    async def execute(self, task: AgentTask, agent: str | None = None) -> ExecutionResult:
        """The task done by the agent of that name, or by the recommended one (None).

        What goes wrong is in the result, not raised. Cancelling ends the call or the program before it returns.
        """
        begun = self._clock.monotonic()
        key = task.task_id or self._ids.new("task")
        facts: dict[str, Any] = {}
        try:
            chosen = self._chosen(task, agent, facts)
            job = Job(task, chosen, key, prompt_of(task), answer_schema(task.response_schema), task.timeout)
            ways = _ways(task, chosen)
        except OrchestratorError as error:
            attempt = Attempt(error=error)
        except Exception as problem:  # noqa: BLE001 - told as this task's error; nothing was sent
            attempt = Attempt(error=unforeseen(problem))
        else:
            attempt = await self._along(job, ways, begun + task.timeout)
        return ExecutionResult(
            task_id=key,
            success=attempt.error is None,
            output=attempt.text if attempt.error is None else "",
            data=attempt.data,
            error=None if attempt.error is None else told(attempt.error, attempt.secrets),
            usage=attempt.usage,
            duration=self._clock.monotonic() - begun,
            metadata={**facts, **attempt.facts},
        )

    async def execute_parallel(
        self, tasks: Sequence[AgentTask], agent: str | None = None, *, limit: int = PARALLEL
    ) -> list[ExecutionResult]:
        """All of them, at most `limit` at once; the results stand in the order of the tasks, failed ones too.

        Cancelling cancels all. Raises `InputError` for a limit that is no whole number over 0, and for a task_id that
        is there twice.
        """
        tasks = list(tasks)
        twice = [name for name, count in Counter(task.task_id for task in tasks).items() if name and count > 1]
        if twice:
            raise InputError(f"The task_id '{twice[0]}' is there twice.", "It names one call.", "Give each its own.")
        if not is_whole(limit) or limit < 1:
            raise InputError(
                f"At most {limit!r} tasks at once cannot be.",
                "It is no whole number over 0.",
                "Give a limit of 1 or more.",
            )
        results: dict[int, ExecutionResult] = {}
        waiting = iter(enumerate(tasks))

        async def work() -> None:
            for number, task in waiting:
                results[number] = await self.execute(task, agent)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(tasks))):
                group.create_task(work())
        return [results[number] for number in range(len(tasks))]

    def execute_sync(self, task: AgentTask, agent: str | None = None) -> ExecutionResult:
        """Raises `SyncInLoopError` inside a running loop."""
        return run_sync(lambda: self._closing(self.execute_parallel([task], agent, limit=1)))[0]

    def execute_parallel_sync(
        self, tasks: Sequence[AgentTask], agent: str | None = None, *, limit: int = PARALLEL
    ) -> list[ExecutionResult]:
        """Raises `SyncInLoopError` inside a running loop."""
        return run_sync(lambda: self._closing(self.execute_parallel(tasks, agent, limit=limit)))

    async def _closing(self, work: Any) -> list[ExecutionResult]:
        """The connections belong to the loop of this call, and end with it; `aclose` leaves those of other loops."""
        try:
            results: list[ExecutionResult] = await work
            return results
        finally:
            await self._models.aclose()

    def _chosen(self, task: AgentTask, name: str | None, facts: dict[str, Any]) -> RegisteredAgent:
        if name is not None:
            agent = self.registry.get(name)
        else:
            found = self.registry.get_recommended_agent(task)
            agent = found.agent
            facts["chosen_because"] = found.reason
        facts["agent"] = agent.name
        return agent

    async def _along(self, job: Job, ways: Sequence[Way], deadline: float) -> Attempt:
        """The first way, and the next one after an error that it can mend."""
        facts: dict[str, Any] = {}
        used, attempts = NO_USAGE, 0
        attempt = Attempt()
        for number, way in enumerate(ways):
            left = max(deadline - self._clock.monotonic(), 0.001)
            # A provider that hangs must not use up the time of the way that could mend it.
            seconds = left if number == len(ways) - 1 else left / 2
            attempt = await self._tried(way, _with_time(job, seconds))
            used, attempts = used + attempt.usage, attempts + attempt.facts.get("attempts", 0)
            if not isinstance(attempt.error, MENDABLE) or number == len(ways) - 1:
                break
            reason = told(attempt.error, attempt.secrets)
            facts = {"fallback_from": str(way), "fallback_reason": f"{reason.code}: {reason.what} {reason.why}".strip()}
        facts = {"execution_method": str(way), **facts, **attempt.facts, "attempts": attempts}
        return Attempt(attempt.text, attempt.data, attempt.error, used, facts, attempt.secrets)

    async def _tried(self, way: Way, job: Job) -> Attempt:
        try:
            return await self._ways[way].attempt(job)
        except Exception as problem:  # noqa: BLE001 - told as this task's error; it may have cost something
            error = problem if isinstance(problem, OrchestratorError) else unforeseen(problem)
            return Attempt(error=error, usage=Usage(cost=None))


def _ways(task: AgentTask, agent: RegisteredAgent) -> tuple[Way, ...]:
    """Those that the task allows; a second one only where it allows falling back. Raises `InputError` for none."""
    ways = task.ways_of(agent.interface)
    if not ways:
        raise InputError(
            f"The agent '{agent.name}' is reached by {agent.interface}.",
            f"The task allows {', '.join(task.interfaces)}.",
            "Name another agent, or allow more.",
        )
    return ways if task.allow_cli_fallback else ways[:1]


def _with_time(job: Job, seconds: float) -> Job:
    return Job(job.task, job.agent, job.key, job.prompt, job.schema, seconds)
