"""What follows from an outcome, an error or a review: pure functions from a state to events.

What the events mean is `transitions.py`; who records them is `session.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator_v2.core import events as e
from orchestrator_v2.core.errors import BatchPendingError, OrchestratorError, ProviderError
from orchestrator_v2.core.records import Artifact, content_hash, tree_hash
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine import gates
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.scheduler import owners_besides, skip_reason, upstream_artifacts, whole_tree
from orchestrator_v2.engine.state_models import PhaseStatus, ProjectState, TaskDefinition, TaskOutcome

# How long a run that waits for a provider stands still when the provider named no time (seconds).
DEFAULT_WAIT = 60.0
# The longest that it stands still before it asks again, whatever the provider said (seconds): a day.
LONGEST_WAIT = 86_400.0
# A step that took its worker down this often is set aside (RELIABILITY section 2).
MAX_LOST = 5
# Feedback goes into a prompt whole; a test log longer than this says nothing more.
MAX_FEEDBACK = 12_000


# How a run stands that was to do so much and no more.
HELD_BACK = e.RunParked("paused", "It was to go on by one phase, and did.", do="Advance it again, or resume it.")


# How a run stands that somebody waited for, once nobody does any more.
LEFT = e.RunParked(
    "paused", "Nobody waits for its answer any more.", do="Resume it, or send the same idempotency key again."
)


class Decision(msgspec.Struct, frozen=True):
    """Events to record now; `stop` is recorded when the tasks under way have ended (None: go on).

    A `patient` stop lets all else start that can: it is recorded when nothing is left to do.
    """

    events: tuple[e.Event, ...]
    stop: e.RunParked | e.RunFailed | None = None
    patient: bool = False


def completed(graph: PhaseGraph, state: ProjectState, task: TaskDefinition, outcome: TaskOutcome) -> Decision:
    """A task came back: done, waiting for a review, or not good enough."""
    # Who owns which path costs the size of the run, so it is asked for those that bring files only.
    foreign = _foreign(state, task, outcome) if outcome.files else {}
    if foreign:
        new = (reason for reason in foreign.values() if reason not in outcome.failures)
        outcome = replace(outcome, failures=(*outcome.failures, *new))
    verdict = gates.judge(task.phase, outcome, review=state.begun.review)
    artifacts = tuple(
        Artifact(file.path, content_hash(file.content), len(file.content), file.provenance)
        for file in outcome.files
        if file.path not in foreign
    )
    event = e.TaskCompleted(
        phase=task.phase.id,
        round=task.round,
        attempt=task.attempt,
        result=outcome.result,
        gate=verdict.gate,
        reasons=verdict.reasons,
        reviewed=_reviewed(graph, state, task, artifacts) if verdict.gate == "waiting" else "",
        artifacts=artifacts,
        removed=outcome.removed,
        receipts=outcome.receipts,
        usage=outcome.usage,
        provenance=outcome.provenance,
        notes=outcome.notes,
    )
    if verdict.gate != "failed":
        return Decision((event,))
    after = not_good_enough(graph, state, task.phase, verdict.reasons, by=task.phase.id)
    return Decision((event, *after.events), after.stop)


def _foreign(state: ProjectState, task: TaskDefinition, outcome: TaskOutcome) -> dict[str, str]:
    """Path to why it is not this phase's to write; such a file is never recorded as its own.

    A phase beside this one may have made a path since the task began: paths are judged by the state of now.
    """
    owners = owners_besides(state, task.phase.id)
    return {f.path: why for f in outcome.files for why in gates.foreign_paths(task.phase, [f.path], owners)}


def _reviewed(graph: PhaseGraph, state: ProjectState, task: TaskDefinition, made: tuple[Artifact, ...]) -> str:
    """The hash of all that a reviewer of this phase looks at."""
    seen = {a.path: a.hash for a in (*upstream_artifacts(graph, state, task.phase.id), *made)}
    return tree_hash(list(seen.items()))


def not_good_enough(
    graph: PhaseGraph, state: ProjectState, phase: Phase, reasons: tuple[str, ...], *, by: str
) -> Decision:
    """Reopens `on_fail` (or the phase itself) with the reasons; past `max_rounds` the run needs attention."""
    target = phase.on_fail or phase.id
    words = "\n".join(reasons)[:MAX_FEEDBACK]
    loops = state.phase(target).loops
    if loops + 1 < phase.max_rounds:
        resets = tuple(name for name in graph.downstream(target) if name in state.phases and state.phase(name).attempt)
        return Decision((e.PhaseReopened(phase=target, by=by, feedback=words, resets=resets),))
    if phase.optional:
        return Decision((e.PhaseSkipped(phase.id, f"optional, and not good enough: {reasons[0][:300]}"),))
    return Decision(
        (),
        e.RunParked(
            "needs_attention",
            f"Phase '{phase.id}' did not pass its gate in {phase.max_rounds} rounds.",
            reasons[0][:600],
            f"Look at `orchestrator show`, then `orchestrator resume` (tries '{target}' again) or `rollback`.",
        ),
    )


def failed(task: TaskDefinition, error: OrchestratorError, now: float) -> Decision:
    """A task ended in an error: the run parks, or the phase is left out, or the run has failed."""
    resume_at = None
    parks_as = "" if task.phase.optional and error.code in task.phase.skip_on else error.parks_as or ""
    if parks_as == "waiting_provider":
        wait = error.retry_after if isinstance(error, ProviderError) else None
        resume_at = now + (DEFAULT_WAIT if wait is None else min(wait, LONGEST_WAIT))
    words: dict[str, Any] = {"what": error.what, "why": error.why, "do": error.do}
    event = e.TaskFailed(
        phase=task.phase.id,
        code=error.code,
        round=task.round,
        attempt=task.attempt,
        parks_as=parks_as,
        resume_at=resume_at,
        **words,
    )
    if parks_as:
        parked = e.RunParked(parks_as, resume_at=resume_at, **words)
        return Decision((event,), parked, patient=isinstance(error, BatchPendingError))
    if task.phase.optional:
        return Decision((event, e.PhaseSkipped(task.phase.id, f"optional, and failed: {error.what}")))
    words["what"] = f"Phase '{task.phase.id}' failed: {error.what}"
    return Decision((event,), e.RunFailed(error.code, **words))


def reviewed(graph: PhaseGraph, state: ProjectState, decision: e.ReviewDecided) -> Decision:
    """A person's word on a phase that waited for it."""
    if decision.approved:
        return Decision((decision,))
    phase = graph.phases[decision.phase]
    reason = decision.reason or "rejected without a reason"
    after = not_good_enough(graph, state, replace(phase, max_rounds=1_000_000), (reason,), by=decision.by)
    return Decision((decision, *after.events), after.stop)


def worn_out(phase_id: str) -> Decision:
    """A step that kills its worker each time is set aside; other runs go on."""
    what = f"Phase '{phase_id}' took its worker down {MAX_LOST} times."
    return Decision(
        (),
        e.RunParked("needs_attention", what, "The process died each time while it was under way.", "Look at the log."),
    )


def skipped(graph: PhaseGraph, state: ProjectState, phase_id: str) -> e.PhaseSkipped | None:
    """The event that leaves a phase out, where its `when` says so."""
    reason = skip_reason(graph, state, phase_id)
    return e.PhaseSkipped(phase_id, reason) if reason else None


def run_completed(graph: PhaseGraph, state: ProjectState) -> e.RunCompleted:
    """The end of a run, with the hash over its whole tree."""
    return e.RunCompleted(tree=tree_hash([(path, a.hash) for path, a in whole_tree(graph, state).items()]))


def standstill(state: ProjectState) -> e.RunParked:
    """Why nothing can start though the run is not at its end."""
    waiting = [name for name, phase in state.phases.items() if phase.status is PhaseStatus.WAITING_REVIEW]
    if waiting:
        names = ", ".join(sorted(waiting))
        return e.RunParked(
            "waiting_review",
            f"Waits for your review of: {names}.",
            do='`orchestrator approve RUN`, or `orchestrator reject RUN --reason "…"`.',
        )
    broken = sorted(name for name, phase in state.phases.items() if phase.status is PhaseStatus.FAILED)
    return e.RunParked(
        "needs_attention",
        f"Nothing can start while {', '.join(broken) or 'the graph'} is not done.",
        " ".join(reason for name in broken for reason in state.phase(name).reasons)[:600],
        do="`orchestrator resume RUN` tries again.",
    )
