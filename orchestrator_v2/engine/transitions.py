"""`apply(state, event) -> state`: the only place where a run's state changes, pure, one function an event.

What is decided is `engine.py`; this says what a decision means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import immutables
from msgspec.structs import replace

from orchestrator_v2.core import events as e
from orchestrator_v2.engine.state_models import SETTLED, PhaseState, PhaseStatus, ProjectState, RunStatus


def apply(state: ProjectState, recorded: e.Recorded) -> ProjectState:
    """The state after `recorded`, whose seq must be the next one. Raises ValueError on a gap."""
    if recorded.seq != state.seq + 1:
        raise ValueError(f"event {recorded.seq} cannot follow event {state.seq} of run {state.run_id}")
    return _APPLY[type(recorded.event)](state, recorded.event, recorded)


def fold(run_id: str, events: Iterable[e.Recorded]) -> ProjectState:
    """The state that a run's events make."""
    state = ProjectState(run_id)
    for recorded in events:
        state = apply(state, recorded)
    return state


def _with(
    state: ProjectState, recorded: e.Recorded, phase_id: str, before: PhaseState, phase: PhaseState, **more: Any
) -> ProjectState:
    return replace(
        state,
        seq=recorded.seq,
        changed_at=recorded.at,
        phases=state.phases.set(phase_id, phase),
        settled=state.settled + (phase.status in SETTLED) - (before.status in SETTLED),
        **more,
    )


def _run_started(state: ProjectState, event: e.RunStarted, recorded: e.Recorded) -> ProjectState:
    return replace(
        state,
        seq=recorded.seq,
        started=event,
        budget=event.budget,
        tasks_left=event.tasks,
        attended=event.attended,
        started_at=recorded.at,
        changed_at=recorded.at,
    )


def _task_started(state: ProjectState, event: e.TaskStarted, recorded: e.Recorded) -> ProjectState:
    before = state.phase(event.phase)
    phase = replace(
        before,
        status=PhaseStatus.RUNNING,
        attempt=event.attempt,
        round=event.round,
        started_at=recorded.at,
        ended_at=None,
    )
    left = None if state.tasks_left is None else max(state.tasks_left - 1, 0)
    return _with(state, recorded, event.phase, before, phase, tasks_left=left)


_GATES = {
    "passed": PhaseStatus.DONE,
    "waiting": PhaseStatus.WAITING_REVIEW,
    "failed": PhaseStatus.FAILED,
}


def _task_completed(state: ProjectState, event: e.TaskCompleted, recorded: e.Recorded) -> ProjectState:
    before = state.phase(event.phase)
    made = {artifact.path for artifact in event.artifacts}
    kept = tuple(a for a in before.artifacts if a.path not in made and a.path not in event.removed)
    phase = replace(
        before,
        status=_GATES[event.gate],
        round=event.round,
        attempt=event.attempt,
        result=event.result,
        artifacts=tuple(sorted((*kept, *event.artifacts), key=_by_path)) if made or kept else (),
        receipts=event.receipts,
        usage=before.usage + event.usage,
        provenance=event.provenance,
        reviewed=event.reviewed,
        reasons=event.reasons,
        notes=event.notes,
        ended_at=recorded.at,
        lost=0,
    )
    return _with(state, recorded, event.phase, before, phase, usage=state.usage + event.usage)


def _by_path(artifact: Any) -> str:
    return str(artifact.path)


def _task_failed(state: ProjectState, event: e.TaskFailed, recorded: e.Recorded) -> ProjectState:
    before = state.phase(event.phase)
    phase = replace(
        before,
        status=PhaseStatus.PENDING if event.parks_as else PhaseStatus.FAILED,
        reasons=tuple(part for part in (event.what, event.why, event.do) if part),
        usage=before.usage + event.usage,
        ended_at=recorded.at,
    )
    return _with(state, recorded, event.phase, before, phase, usage=state.usage + event.usage)


def _reset(
    phases: immutables.Map[str, PhaseState], names: Iterable[str], **more: Any
) -> immutables.Map[str, PhaseState]:
    """The phases with `names` back to pending in a new round; what they made stays theirs until it is replaced."""
    for name in names:
        if name in phases:
            before = phases[name]
            phases = phases.set(
                name,
                replace(before, status=PhaseStatus.PENDING, round=before.round + 1, attempt=0, reviewed="", **more),
            )
    return phases


def _counted(
    state: ProjectState, phases: immutables.Map[str, PhaseState], recorded: e.Recorded, **more: Any
) -> ProjectState:
    settled = sum(1 for phase in phases.values() if phase.status in SETTLED)
    return replace(state, seq=recorded.seq, changed_at=recorded.at, phases=phases, settled=settled, **more)


def _phase_reopened(state: ProjectState, event: e.PhaseReopened, recorded: e.Recorded) -> ProjectState:
    phases = _reset(state.phases, (event.phase, *event.resets), feedback="")
    target = phases.get(event.phase, state.phase(event.phase))
    phases = phases.set(event.phase, replace(target, feedback=event.feedback, loops=target.loops + 1))
    return _counted(state, phases, recorded)


def _phase_skipped(state: ProjectState, event: e.PhaseSkipped, recorded: e.Recorded) -> ProjectState:
    before = state.phase(event.phase)
    phase = replace(
        before,
        status=PhaseStatus.SKIPPED,
        reasons=(event.reason,),
        artifacts=(),  # what was not good enough is in the history, not in the project
        ended_at=recorded.at,
    )
    return _with(state, recorded, event.phase, before, phase)


def _review_decided(state: ProjectState, event: e.ReviewDecided, recorded: e.Recorded) -> ProjectState:
    verdict = "approved" if event.approved else "rejected"
    words = f"{verdict} by {event.by}" + (f": {event.reason}" if event.reason else "")
    before = state.phase(event.phase)
    phase = replace(
        before,
        status=PhaseStatus.DONE if event.approved else PhaseStatus.FAILED,
        reasons=() if event.approved else (event.reason or "rejected without a reason",),
        notes=(*before.notes, words),
        ended_at=recorded.at,
    )
    return _with(state, recorded, event.phase, before, phase)


def _artifact_replaced(state: ProjectState, event: e.ArtifactReplaced, recorded: e.Recorded) -> ProjectState:
    before = state.phase(event.phase)
    others = tuple(a for a in before.artifacts if a.path != event.artifact.path)
    artifacts = tuple(sorted((*others, event.artifact), key=_by_path))
    # What was measured was another file: evidence is never older than the last edit.
    words = f"{event.artifact.path} was put in place by hand after this phase was measured"
    phase = replace(
        before,
        artifacts=artifacts,
        reviewed=event.reviewed or before.reviewed,
        receipts=(),
        notes=(*before.notes, words) if before.receipts else before.notes,
    )
    return _with(state, recorded, event.phase, before, phase)


def _run_parked(state: ProjectState, event: e.RunParked, recorded: e.Recorded) -> ProjectState:
    return replace(
        state,
        seq=recorded.seq,
        changed_at=recorded.at,
        status=RunStatus(event.status),
        stopped=" ".join(part for part in (event.what, event.why) if part),
        advice=event.do,
        resume_at=event.resume_at,
    )


def _abandoned(phases: immutables.Map[str, PhaseState]) -> immutables.Map[str, PhaseState]:
    for name, phase in phases.items():
        if phase.status is PhaseStatus.RUNNING:
            phases = phases.set(name, replace(phase, status=PhaseStatus.PENDING, lost=phase.lost + 1))
    return phases


def _run_resumed(state: ProjectState, event: e.RunResumed, recorded: e.Recorded) -> ProjectState:
    """Tasks that were under way when their worker died are pending again, and counted as lost."""
    phases = _reset(_abandoned(state.phases), event.reset, lost=0, loops=0)
    left = event.tasks
    if event.recovered and state.tasks_left is not None:
        # A task that its worker took down with it may be started once more.
        left = state.tasks_left + sum(entry.status is PhaseStatus.RUNNING for entry in state.phases.values())
    return _counted(
        state,
        phases,
        recorded,
        status=RunStatus.RUNNING,
        stopped="",
        advice="",
        resume_at=None,
        tasks_left=left,
        attended=state.attended if event.attended is None else event.attended,
        budget=state.budget if event.budget is None else event.budget,
    )


def _run_rolled_back(state: ProjectState, event: e.RunRolledBack, recorded: e.Recorded) -> ProjectState:
    phases = _reset(
        _abandoned(state.phases), event.resets, lost=0, loops=0, feedback="", artifacts=(), receipts=(), result=""
    )
    return _counted(
        state,
        phases,
        recorded,
        status=RunStatus.RUNNING,
        stopped="",
        advice="",
        resume_at=None,
        tasks_left=None,
        tree="",
    )


def _ended(status: RunStatus) -> Callable[[ProjectState, Any, e.Recorded], ProjectState]:
    def change(state: ProjectState, event: Any, recorded: e.Recorded) -> ProjectState:
        words = [getattr(event, name, "") for name in ("what", "why")]
        return replace(
            state,
            seq=recorded.seq,
            changed_at=recorded.at,
            status=status,
            stopped=" ".join(word for word in words if word),
            advice=getattr(event, "do", ""),
            tree=getattr(event, "tree", ""),
            resume_at=None,
        )

    return change


_APPLY: dict[type, Callable[[ProjectState, Any, e.Recorded], ProjectState]] = {
    e.RunStarted: _run_started,
    e.TaskStarted: _task_started,
    e.TaskCompleted: _task_completed,
    e.TaskFailed: _task_failed,
    e.PhaseReopened: _phase_reopened,
    e.PhaseSkipped: _phase_skipped,
    e.ReviewDecided: _review_decided,
    e.ArtifactReplaced: _artifact_replaced,
    e.RunParked: _run_parked,
    e.RunResumed: _run_resumed,
    e.RunRolledBack: _run_rolled_back,
    e.RunCompleted: _ended(RunStatus.COMPLETED),
    e.RunFailed: _ended(RunStatus.FAILED),
    e.RunCancelled: _ended(RunStatus.CANCELLED),
}
