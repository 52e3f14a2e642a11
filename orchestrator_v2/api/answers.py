"""What the API answers: Pydantic models for its description, each built from the engine's and the service's values.

What callers send is `bodies.py`. Times are ISO 8601 in UTC, money is US dollars, null where it is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from pydantic import BaseModel

from orchestrator_v2.agents.estimating import PhaseEstimate, total
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.core.usage import NANO
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState
from orchestrator_v2.parts import Standing
from orchestrator_v2.service.costs import CostLine, RunCost
from orchestrator_v2.service.runs import Checkpoint
from orchestrator_v2.service.wishes import ProjectView


def when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def dollars(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


class RunAnswer(BaseModel):
    """A run as a list shows it. `spent_usd` is what its calls were charged or hold reserved."""

    id: str
    project_id: str
    name: str
    workflow: str
    mode: str
    status: str
    stopped: str
    resume_at: str | None
    forked_from: str
    spent_usd: float | None
    created_at: str | None
    updated_at: str | None

    @classmethod
    def of(cls, row: RunRow) -> RunAnswer:
        return cls(
            id=row.run_id,
            project_id=row.project_id,
            name=row.name,
            workflow=row.workflow,
            mode=row.mode,
            status=row.status,
            stopped=row.stopped,
            resume_at=when(row.resume_at),
            forked_from=row.forked_from,
            spent_usd=dollars(row.spent),
            created_at=when(row.created_at),
            updated_at=when(row.updated_at),
        )


class PhaseAnswer(BaseModel):
    id: str
    agent: str
    needs: list[str]
    status: str
    round: int
    attempt: int
    provenance: str
    result: str
    reasons: list[str]
    files: list[str]
    evidence: list[dict[str, Any]]
    started_at: str | None
    ended_at: str | None


class ReviewAnswer(BaseModel):
    """What waits for a person; a decision names this `content`."""

    phase: str
    content: str


class StandingAnswer(BaseModel):
    """A run with its phases. `queued`: marked as running, and waiting for its turn."""

    run: RunAnswer
    provider: str
    model: str
    budget_usd: float | None
    input_tokens: int
    output_tokens: int
    last_event: int
    queued: bool
    advice: str
    tree: str
    assignments: dict[str, str]
    phases: list[PhaseAnswer]
    reviews: list[ReviewAnswer]

    @classmethod
    def of(cls, standing: Standing) -> StandingAnswer:
        state, begun = standing.state, standing.state.begun
        waiting = [name for name, it in state.phases.items() if it.status is PhaseStatus.WAITING_REVIEW]
        if state.status in TERMINAL:
            waiting = []
        return cls(
            run=RunAnswer.of(standing.row),
            provider=begun.provider,
            model=begun.model,
            budget_usd=dollars(state.budget),
            input_tokens=state.usage.input_tokens,
            output_tokens=state.usage.output_tokens,
            last_event=state.seq,
            queued=standing.queued,
            advice=state.advice,
            tree=state.tree,
            assignments={role: f"{it.provider}/{it.model}" for role, it in begun.assignments.items()},
            phases=_phases(state),
            reviews=[ReviewAnswer(phase=name, content=state.phase(name).reviewed) for name in sorted(waiting)],
        )


def _phases(state: ProjectState) -> list[PhaseAnswer]:
    graph = PhaseGraph(state.begun.workflow)
    return [
        PhaseAnswer(
            id=name,
            agent=graph.phases[name].agent,
            needs=list(graph.phases[name].needs),
            status=entry.status,
            round=entry.round,
            attempt=entry.attempt,
            provenance=str(entry.provenance) if entry.attempt else "",
            result=entry.result,
            reasons=list(entry.reasons),
            files=[artifact.path for artifact in entry.artifacts],
            evidence=[msgspec.to_builtins(receipt) for receipt in entry.receipts],
            started_at=when(entry.started_at),
            ended_at=when(entry.ended_at),
        )
        for name in graph.order
        for entry in (state.phase(name),)
    ]


class ProjectAnswer(BaseModel):
    """A project with its latest run, null before there is one."""

    id: str
    project_name: str
    brief: str
    workflow: str
    mode: str
    review: str
    budget: float | None
    agent_assignments: dict[str, str]
    created_at: str | None
    run: RunAnswer | None

    @classmethod
    def of(cls, view: ProjectView) -> ProjectAnswer:
        wish = view.wish
        return cls(
            id=view.row.project_id,
            project_name=view.row.name,
            brief=wish.brief or wish.name,
            workflow=wish.workflow,
            mode=wish.mode,
            review=wish.review,
            budget=dollars(wish.budget),
            agent_assignments=wish.assignments,
            created_at=when(view.row.created_at),
            run=RunAnswer.of(view.run) if view.run else None,
        )


class ProjectPage(BaseModel):
    """`next` goes into `before` for the page after this one; null on the last."""

    items: list[ProjectAnswer]
    next: int | None

    @classmethod
    def of(cls, views: Sequence[ProjectView], limit: int) -> ProjectPage:
        """`views` holds one more than the page, where there is one more."""
        more, views = len(views) > limit, views[:limit]
        return cls(items=[ProjectAnswer.of(it) for it in views], next=views[-1].row.project_no if more else None)


class RunPage(BaseModel):
    """`next` goes into `before` for the page after this one; null on the last."""

    items: list[RunAnswer]
    next: int | None

    @classmethod
    def of(cls, rows: Sequence[RunRow], limit: int) -> RunPage:
        """`rows` holds one more than the page, where there is one more."""
        more, rows = len(rows) > limit, rows[:limit]
        return cls(items=[RunAnswer.of(row) for row in rows], next=rows[-1].run_no if more else None)


class EventAnswer(BaseModel):
    """An event of a run; which fields `event` has depends on its `type`."""

    seq: int
    at: str | None
    type: str
    event: dict[str, Any]

    @classmethod
    def of(cls, recorded: Recorded) -> EventAnswer:
        return cls(**event_values(recorded))


def event_values(recorded: Recorded) -> dict[str, Any]:
    """The event as plain values, in the API's form."""
    event = msgspec.to_builtins(recorded.event)
    kind = event.pop("type")
    return {"seq": recorded.seq, "at": when(recorded.at), "type": kind, "event": event}


class EventPage(BaseModel):
    """`next` goes into `after` for what comes later."""

    items: list[EventAnswer]
    next: int


class ArtifactAnswer(BaseModel):
    path: str
    hash: str
    size: int
    provenance: str

    @classmethod
    def of_tree(cls, tree: Mapping[str, Artifact]) -> list[ArtifactAnswer]:
        return [cls(path=it.path, hash=it.hash, size=it.size, provenance=str(it.provenance)) for it in tree.values()]


class CostLineAnswer(BaseModel):
    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None

    @classmethod
    def of(cls, line: CostLine) -> CostLineAnswer:
        given = msgspec.structs.asdict(line)
        return cls(cost_usd=dollars(given.pop("cost")), **given)


class CostAnswer(BaseModel):
    """What a run's calls were charged or hold reserved; `unknown` counts those whose price nobody knows."""

    budget_usd: float | None
    total: CostLineAnswer
    phases: list[CostLineAnswer]
    models: list[CostLineAnswer]
    unknown: int

    @classmethod
    def of(cls, cost: RunCost) -> CostAnswer:
        return cls(
            budget_usd=dollars(cost.budget),
            total=CostLineAnswer.of(cost.total),
            phases=[CostLineAnswer.of(line) for line in cost.phases],
            models=[CostLineAnswer.of(line) for line in cost.models],
            unknown=cost.unknown,
        )


class CheckpointAnswer(BaseModel):
    phase: str
    event: int
    at: str | None
    round: int
    files: int

    @classmethod
    def of(cls, it: Checkpoint) -> CheckpointAnswer:
        return cls(phase=it.phase, event=it.seq, at=when(it.at), round=it.round, files=it.files)


class EstimateLine(BaseModel):
    """The least and the most that a phase may use; `basis` says what that stands on."""

    phase: str
    agent: str
    basis: str
    calls: tuple[int, int]
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    cost_usd: tuple[float | None, float | None]


class EstimateAnswer(BaseModel):
    """What a run may cost with the model: not a ceiling, that is its budget."""

    model: str
    cost_usd: tuple[float | None, float | None]
    phases: list[EstimateLine]

    @classmethod
    def of(cls, model: str, lines: Sequence[PhaseEstimate]) -> EstimateAnswer:
        low, high = total(lines)
        return cls(
            model=model,
            cost_usd=(dollars(low.cost), dollars(high.cost)),
            phases=[
                EstimateLine(
                    phase=it.phase,
                    agent=it.agent,
                    basis=it.basis,
                    calls=(it.low.calls, it.high.calls),
                    input_tokens=(it.low.input_tokens, it.high.input_tokens),
                    output_tokens=(it.low.output_tokens, it.high.output_tokens),
                    cost_usd=(dollars(it.low.cost), dollars(it.high.cost)),
                )
                for it in lines
            ],
        )


class Health(BaseModel):
    status: str
    version: str
