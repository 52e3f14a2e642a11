"""The steps of an operation as a phase graph: one question, or agents, agents that read each other, one that sums up.

What a step does is `runner.py`; that steps are durable, bounded and paid for once is the engine's work.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.errors import (
    BadGatewayError,
    ProviderUnavailableError,
    RateLimitedError,
    RefusalError,
    StreamTruncatedError,
)
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.types import Mode

ANSWER, SUM = "answer", "aggregate"
RESULT = "result.json"
_ROUNDS = ("first", "second")
# Where one agent of several meets these the others' answers are enough; what concerns the key or the money stops all.
SKIP_ON = tuple(
    error.code
    for error in (RateLimitedError, ProviderUnavailableError, BadGatewayError, StreamTruncatedError, RefusalError)
)


class Step(msgspec.Struct, frozen=True):
    """What a phase is about: `kind` is answer, first, second or aggregate; `agent` is empty where it is none's."""

    kind: str
    agent: str = ""

    @property
    def path(self) -> str:
        """Where the step's answer lies."""
        return RESULT if self.kind in (ANSWER, SUM) else f"answers/{self.kind}/{self.agent}.json"


def step_of(phase_id: str) -> Step:
    kind, dash, agent = phase_id.partition("-")
    return Step(kind, agent) if dash and kind in _ROUNDS else Step(phase_id)


def agent_at(path: str) -> tuple[str, str] | None:
    """(round, agent) of an agent's answer; None for another file."""
    parts = path.removesuffix(".json").split("/")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "answers" else None


def build_graph(handler: AnyHandler, mode: Mode) -> PhaseGraph:
    """The graph of one operation in one mode; a phase's agent is the operation's own, no role."""
    phases = _agentic(handler) if mode == "agentic" else [Phase(id=ANSWER, agent=ANSWER, outputs=(RESULT,))]
    return PhaseGraph(Workflow(name=handler.operation_id, phases=tuple(phases), description=handler.summary))


def _agentic(handler: AnyHandler) -> list[Phase]:
    phases: list[Phase] = []
    needs: tuple[str, ...] = ()
    for kind in _ROUNDS[: handler.rounds]:
        ids = tuple(f"{kind}-{agent.name}" for agent in handler.agents)
        phases += [
            Phase(
                id=phase_id,
                agent=agent.name,
                needs=needs,
                title=agent.title,
                outputs=(Step(kind, agent.name).path,),
                optional=True,
                skip_on=SKIP_ON,
            )
            for phase_id, agent in zip(ids, handler.agents, strict=True)
        ]
        needs = ids
    return [*phases, Phase(id=SUM, agent=SUM, needs=needs, outputs=(RESULT,))]
