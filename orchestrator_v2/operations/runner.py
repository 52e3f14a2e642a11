"""One step of an operation from start to outcome: the `TaskRunner` of runs that answer an operation.

Which steps there are is `steps.py`, their prompts `prompts.py`; other runs go to `engine/task_runner.py`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from orchestrator_v2.agents.corrective import Asked, Question, ask_for
from orchestrator_v2.agents.response_parser import misfit, read_answer
from orchestrator_v2.agents.window import room_of
from orchestrator_v2.core.operation_errors import AgentFailureError
from orchestrator_v2.core.records import SIMULATED
from orchestrator_v2.core.usage import NO_USAGE
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.scheduler import upstream_artifacts
from orchestrator_v2.engine.state_models import OutputFile, TaskDefinition, TaskOutcome
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.types import InvokeOptions
from orchestrator_v2.operations.asking import own_code
from orchestrator_v2.operations.handler import AgentAnswer, AnyHandler
from orchestrator_v2.operations.prompts import OperationPrompts
from orchestrator_v2.operations.record import OperationRecord, decode_record
from orchestrator_v2.operations.registry import OperationRegistry
from orchestrator_v2.operations.steps import SUM, Step, agent_at, step_of

ClientForTask = Callable[[TaskDefinition, RunContext], Awaitable[Invoker]]


class _Work(msgspec.Struct, frozen=True):
    """A step with all that it stands on; `answers` are the last words of the agents before it, by name."""

    handler: AnyHandler
    step: Step
    record: OperationRecord
    request: BaseModel
    answers: Mapping[str, AgentAnswer]

    @property
    def schema(self) -> type[BaseModel]:
        return AgentAnswer if self.step.agent else self.handler.response_schema


class OperationRunner:
    """`registry` is asked for the run's operation; `prompts` and `client_for` only in runs that are not simulated."""

    def __init__(
        self,
        registry: Callable[[], OperationRegistry],
        prompts: Callable[[AnyHandler], OperationPrompts],
        client_for: ClientForTask,
    ) -> None:
        self._registry = registry
        self._prompts = prompts
        self._client_for = client_for

    async def __call__(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        work = await self._work(task, context)
        _check_answers(work)
        if context.state.begun.mode == "simulated":
            answer = own_code(work.handler, "simulates an answer", lambda: _simulated(work))
            asked: Asked[Any] = Asked(answer, NO_USAGE, SIMULATED, ())
        else:
            asked = await self._ask(work, task, await self._client_for(task, context))
        content = own_code(work.handler, "gave its answer", lambda: _written(asked.answer))
        return TaskOutcome(
            result=asked.answer.summary[:2_000] if work.step.agent else "answered",
            files=(OutputFile(work.step.path, content.encode("utf-8", "replace"), asked.provenance),),
            usage=asked.usage,
            provenance=asked.provenance,
            notes=asked.notes,
        )

    async def _work(self, task: TaskDefinition, context: RunContext) -> _Work:
        begun = context.state.begun
        handler, step = self._registry().named(begun.operation), step_of(task.phase.id)
        made = [artifact for artifact in upstream_artifacts(context.graph, context.state, task.phase.id)]
        contents = await context.read([begun.brief, *(artifact.hash for artifact in made)])
        record = decode_record(contents[begun.brief])
        rounds: dict[str, dict[str, AgentAnswer]] = {}
        for artifact in made:
            place = agent_at(artifact.path)
            if place is not None:
                answer = AgentAnswer.model_validate_json(contents[artifact.hash])
                rounds.setdefault(place[0], {})[place[1]] = answer
        answers = {**rounds.get("first", {}), **rounds.get("second", {})}  # each agent's last word
        return _Work(handler, step, record, handler.request_schema.model_validate(record.asked.data), answers)

    async def _ask(self, work: _Work, task: TaskDefinition, client: Invoker) -> Asked[Any]:
        prompts = self._prompts(work.handler)
        prompt = own_code(
            work.handler,
            "fills its template",
            lambda: prompts.build(work.step, work.request, work.answers, work.schema),
        )
        sampling = work.record.asked.sampling
        options = InvokeOptions(
            max_tokens=room_of(client, sampling.max_tokens or work.handler.max_tokens).answer,
            system_prompt=prompt.system,
            response_schema=prompt.schema,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            images=tuple(own_code(work.handler, "gives its pictures", lambda: work.handler.images(work.request))),
        )
        question = Question(client, task.key, prompt.messages, options)
        who = task.phase.title or work.handler.operation_id
        return await ask_for(question, lambda text: _read(work, text), correction=prompts.correction, who=who)


def _read(work: _Work, text: str) -> BaseModel:
    """The step's answer. Raises `InvalidOutputError` with every fault, also what the operation itself finds."""
    answer = read_answer(work.schema, text)
    own = work.handler
    problems = () if work.step.agent else own_code(own, "checks an answer", lambda: own.check(work.request, answer))
    if problems:
        raise misfit(list(problems))
    return answer


def _written(answer: BaseModel) -> str:
    """As canonical JSON. Raises `ValueError` for what is none, such as NaN."""
    return json.dumps(answer.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False)


def _simulated(work: _Work) -> BaseModel:
    """Raises `TypeError` and pydantic's `ValidationError` for an answer of another shape than the operation's."""
    found = _worked_out(work)
    if not isinstance(found, work.schema):
        raise TypeError(f"the answer is a {type(found).__name__}, no {work.schema.__name__}")
    return work.schema.model_validate(found.model_dump(warnings=False))


def _worked_out(work: _Work) -> object:
    handler, step = work.handler, work.step
    if step.agent:
        agent = next(agent for agent in handler.agents if agent.name == step.agent)
        others = {name: answer for name, answer in work.answers.items() if name != step.agent}
        return handler.simulate_agent(agent, work.request, others)
    if step.kind == SUM:
        return handler.combine(work.request, work.answers)
    return handler.simulate(work.request)


def _check_answers(work: _Work) -> None:
    """Nothing is asked for a second word of who gave no first one, nor to sum up what nobody said."""
    if work.step.kind == "second" and work.step.agent not in work.answers:
        raise AgentFailureError("It gave no answer in the first round.", do="Run the operation again.")
    if work.step.kind == SUM and not work.answers:
        raise AgentFailureError(
            "No agent gave an answer that can be used.",
            "There is nothing to put together.",
            "Run the operation again, in mode monolithic, or with another model.",
        )
