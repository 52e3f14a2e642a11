"""What the operations on pillars have in common: specialists that find, a fold that makes an answer of findings.

Simulated answers of both modes go through the same two steps, so one cannot say what the other could not.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator_v2.operations.features.pillars.reading import ReadRequest, read_request
from orchestrator_v2.operations.features.pillars.schemas import PillarRequest
from orchestrator_v2.operations.features.pillars.specialists import Findings, first_word, second_word, told_by
from orchestrator_v2.operations.handler import AgentAnswer, Finding, OperationAgent, OperationHandler

RequestT = TypeVar("RequestT", bound=PillarRequest)
ResponseT = TypeVar("ResponseT", bound=BaseModel)


class PillarHandler(OperationHandler[RequestT, ResponseT]):
    """An operation on pillars; its answer has a `summary`."""

    request_schema = PillarRequest

    @abstractmethod
    def find(self, agent: str, request: RequestT, read: ReadRequest) -> Sequence[Finding]:
        """What the agent of that name finds in the data."""
        ...

    @abstractmethod
    def fold(self, request: RequestT, read: ReadRequest, findings: Findings) -> ResponseT:
        """The answer that follows from the findings, by agent."""
        ...

    @abstractmethod
    def faults(self, request: RequestT, response: ResponseT) -> Iterable[str]:
        """What is wrong with an answer that fits its schema."""
        ...

    def context(self, request: RequestT) -> dict[str, Any]:
        return {"count": len(request.pillars)}

    def check(self, request: RequestT, response: ResponseT) -> Sequence[str]:
        return list(dict.fromkeys(self.faults(request, response)))

    def simulate(self, request: RequestT) -> ResponseT:
        read = read_request(request)
        return self.fold(request, read, {agent.name: self.find(agent.name, request, read) for agent in self.agents})

    def simulate_agent(
        self, agent: OperationAgent, request: RequestT, others: Mapping[str, AgentAnswer]
    ) -> AgentAnswer:
        findings = self.find(agent.name, request, read_request(request))
        order = [one.name for one in self.agents]
        return second_word(agent, findings, others, order) if others else first_word(agent, findings)

    def combine(self, request: RequestT, answers: Mapping[str, AgentAnswer]) -> ResponseT:
        """What agents that gave no answer would have found is read from the data, and the summary says so."""
        read = read_request(request)
        names = [agent.name for agent in self.agents]
        findings = {
            name: answers[name].findings if name in answers else self.find(name, request, read) for name in names
        }
        made = self.fold(request, read, findings)
        summary = getattr(made, "summary", "")
        return made.model_copy(update={"summary": f"{summary} {told_by(self.agents, answers)}"})
