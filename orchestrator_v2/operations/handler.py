"""`OperationHandler`: what one operation is, as a class that other packages write too.

How its prompts are put together is `prompts.py`, how it is run `runner.py`, which there are `registry.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orchestrator_v2.llm.types import Image


def _capped(limit: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"has {len(value):,} characters, {limit:,} are allowed")
        return value

    return AfterValidator(check)


# A cap as a validator, not as a schema's keyword: several providers refuse a schema with length limits.
Prose = Annotated[str, _capped(20_000)]


class Data(BaseModel):
    """Base of request schemas: takes no field that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Base of response schemas: what a model adds of its own is left out."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"additionalProperties": False},
    )


class Finding(Answer):
    """One thing that an agent has seen; `about` names what it concerns."""

    about: Prose
    severity: Literal["info", "minor", "major", "critical"]
    statement: Prose
    suggestion: Prose = ""


class AgentAnswer(Answer):
    """What a specialised agent answers; `disagreements` are with the other agents, in the second round."""

    summary: Prose
    findings: list[Finding] = Field(default=[], max_length=100)
    disagreements: list[Prose] = Field(default=[], max_length=50)


class OperationAgent(msgspec.Struct, frozen=True):
    """A specialist of an agentic operation: `name` is its step's, `charge` says in a sentence what it looks for."""

    name: str
    title: str
    charge: str


RequestT = TypeVar("RequestT", bound=BaseModel)
ResponseT = TypeVar("ResponseT", bound=BaseModel)


class OperationHandler(ABC, Generic[RequestT, ResponseT]):
    """One operation. Without `agents` it has no agentic mode; `rounds` is 1 or 2: in the second the agents read each
    other's answers. `max_tokens` is the cap of one answer, `concurrency` how many agents are asked at once.

    `version` is changed with the code: answers of an earlier one are not given again from the cache.
    `template` is the task in words, a Jinja template below `subagent_prompts/operations/`, or below `templates` for a
    handler of another package. It sees what `context` gives.
    """

    operation_id: ClassVar[str]
    summary: ClassVar[str]
    request_schema: ClassVar[type[BaseModel]]
    response_schema: ClassVar[type[BaseModel]]
    template: ClassVar[str] = ""
    templates: ClassVar[Traversable | None] = None
    agents: ClassVar[tuple[OperationAgent, ...]] = ()
    rounds: ClassVar[int] = 2
    concurrency: ClassVar[int] = 4
    max_tokens: ClassVar[int] = 4_000
    version: ClassVar[str] = "1"

    @abstractmethod
    def simulate(self, request: RequestT) -> ResponseT:
        """The answer of simulated mode: deterministic, offline, worked out of the data alone."""
        ...

    def simulate_agent(
        self, agent: OperationAgent, request: RequestT, others: Mapping[str, AgentAnswer]
    ) -> AgentAnswer:
        """What the agent would say in simulated mode; `others` are the first round's answers in the second round."""
        return AgentAnswer(summary=f"{agent.title} looked at the data for: {agent.charge}")

    def combine(self, request: RequestT, answers: Mapping[str, AgentAnswer]) -> ResponseT:
        """The aggregating step of simulated mode; a real one is a model's, with the same answers before it."""
        return self.simulate(request)

    def context(self, request: RequestT) -> dict[str, Any]:
        """Further plain values for the template; `data` (the request, quoted) is always there."""
        return {}

    def images(self, request: RequestT) -> Sequence[Image]:
        """Pictures that go with the question; with any, a model that sees is needed."""
        return ()

    def check(self, request: RequestT, response: ResponseT) -> Sequence[str]:
        """What is wrong with an answer that fits its schema, a sentence each; the model is told once."""
        return ()

    @classmethod
    def feature(cls) -> str:
        return cls.operation_id.partition(".")[0]

    @classmethod
    def operation(cls) -> str:
        return cls.operation_id.partition(".")[2]

    @classmethod
    def template_name(cls) -> str:
        return cls.template or f"{cls.feature()}/{cls.operation()}.md.j2"

    @classmethod
    def modes(cls) -> tuple[str, ...]:
        return ("monolithic", "agentic") if cls.agents else ("monolithic",)


AnyHandler = OperationHandler[Any, Any]
