"""How a run stands in a few facts, and what may be done with it now.

The look of each status is `words.py`; the page's other parts are `run_view.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from orchestrator_v2.api.web.evidence_view import isolation
from orchestrator_v2.api.web.words import ADVICE, MODES, Look, look_of_run
from orchestrator_v2.core.text import duration, one_line, with_id
from orchestrator_v2.core.usage import usd
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.replay import REPLAY
from orchestrator_v2.engine.state_models import PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.engine.telling import measured, mode_of
from orchestrator_v2.parts import Standing


class Action(msgspec.Struct, frozen=True):
    """A button. `style` is main, plain or danger; `confirm` is asked before it is done."""

    verb: str
    label: str
    style: str = "plain"
    confirm: str = ""
    asks_budget: bool = False


class Status(msgspec.Struct, frozen=True):
    """`said` is the line that is read out when it changes; `again` are phases that can be done anew."""

    run_id: str
    name: str
    project: str
    look: Look
    why: str
    advice: str
    goes_on_at: float | None
    mode: str
    mode_badge: str
    mode_words: str
    mode_means: str
    workflow: str
    reviewer: str
    started_at: float
    changed_at: float
    took: str
    is_running: bool
    settled: int
    phases: int
    evidence: str
    isolation: str
    budget: str
    forked_from: str
    actions: tuple[Action, ...]
    again: tuple[tuple[str, str], ...]
    said: str


_PAUSE = Action("pause", "Pause")
_CANCEL = Action("cancel", "Cancel", "danger", "Cancel the run? What is made so far is kept.")
_RESUME = Action("resume", "Resume", "main")
_RAISE = Action("resume", "Resume", "main", asks_budget=True)
_GOES_ON = (_RESUME, _CANCEL)
_ACTIONS: Mapping[str, tuple[Action, ...]] = MappingProxyType(
    {
        "running": (_PAUSE, _CANCEL),
        "waiting_review": (_CANCEL,),
        "waiting_budget": (_RAISE, _CANCEL),
        "queued": (_CANCEL,),
        "completed": (),
        "cancelled": (),
        "failed": (_RESUME,),
    }
)


def status_view(standing: Standing, graph: PhaseGraph, now: float, *, may_write: bool = True) -> Status:
    """The head of a run's page."""
    state, row = standing.state, standing.row
    begun, status = state.begun, standing.status
    look = look_of_run(status)
    running = status == RunStatus.RUNNING
    mode = row.mode
    badge, means = MODES.get(mode, (mode, ""))
    writes = may_write and mode != REPLAY
    receipts = [receipt for name in graph.order for receipt in state.phase(name).receipts]
    return Status(
        run_id=state.run_id,
        name=one_line(begun.name, 160),
        project=begun.project_id,
        look=look,
        why=one_line(state.stopped, 1_200),
        advice=_advice(state, status, mode),
        goes_on_at=state.resume_at,
        mode=mode,
        mode_badge=badge,
        mode_words=one_line(mode_of(begun), 160),
        mode_means=means,
        workflow=one_line(begun.workflow.name, 80),
        reviewer="a person" if begun.review == "human" else "the consensus agent",
        started_at=row.created_at,
        changed_at=row.updated_at,
        took=duration((now if running else row.updated_at) - row.created_at),
        is_running=running,
        settled=state.settled,
        phases=len(graph.order),
        evidence=measured(receipts),
        isolation=isolation(receipts),
        budget=usd(state.budget) if state.budget is not None else "",
        forked_from=begun.forked_from,
        actions=_ACTIONS.get(status, _GOES_ON) if writes else (),
        again=_again(graph, state, standing.interrupted) if writes else (),
        said=f"{look.words}: {state.settled} of {len(graph.order)} phases done",
    )


def _advice(state: ProjectState, status: str, mode: str) -> str:
    """What the engine advises, or what the page offers where that is a command to be typed."""
    if mode == REPLAY:
        return "A replay ends where its recording ends."
    engine = "" if "`orchestrator" in state.advice else with_id(state.advice, state.run_id)
    return one_line(engine or ADVICE.get(status, ""), 600)


def _again(graph: PhaseGraph, state: ProjectState, interrupted: bool) -> tuple[tuple[str, str], ...]:
    """The phases that something has happened to, where nobody drives the run."""
    if state.status is RunStatus.RUNNING and not interrupted:
        return ()
    begun = [name for name in graph.order if state.phase(name).status is not PhaseStatus.PENDING]
    return tuple((name, one_line(graph.phases[name].title or name, 60)) for name in begun)
