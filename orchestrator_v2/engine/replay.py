"""A recorded run done again, step by step in its recorded order, from recorded answers; and what came out different.

Where the answers come from is the runner's business: the replaying model client is `llm/providers/replay.py`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import content_hash
from orchestrator_v2.engine import decisions
from orchestrator_v2.engine.phase_graph import ENGINE_AGENT
from orchestrator_v2.engine.ports import Reader, RunContext, TaskRunner
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition

# Decided by people or by outcomes that the replay measures again; taken over as they stand.
_TAKEN_OVER = (
    e.PhaseReopened,
    e.PhaseSkipped,
    e.ReviewDecided,
    e.ArtifactReplaced,
    e.RunRolledBack,
    e.TaskStarted,
    e.TaskFailed,
    e.RunParked,
    e.RunResumed,
    e.RunFailed,
    e.RunCancelled,
)


# What the row of every replay says as its mode, also where the recorded run was simulated.
REPLAY = "replay"

# How a replay ends that an error stopped: nobody drives it on.
BROKEN = e.RunFailed(
    "replay_unfinished", "The replay did not reach an end.", "An answer is missing, or it was stopped."
)


def end_of_recording(state: ProjectState, recorded: ProjectState) -> e.RunParked:
    """How a replay of a run ends that has not ended itself: as far as the recording goes."""
    return e.RunParked(
        "paused",
        f"The recording ends here: {reach(state)}.",
        f"The run itself is {recorded.status}.",
        "A replay does not go on; the run itself may.",
    )


def reach(state: ProjectState) -> str:
    """`3 of 12 phases settled`."""
    return f"{state.settled} of {len(state.begun.workflow.phases)} phases settled"


class Replayed(msgspec.Struct, frozen=True):
    """`same` and `different` are paths; a report that names its mode differs by that, and stands in `reports`.

    `unfinished` says how far the recording goes, where the recorded run had not ended.
    """

    run_id: str
    same: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    tasks: int = 0
    unfinished: str = ""


def first_event(begun: e.RunStarted, run_id: str) -> e.RunStarted:
    """The start of a replay: no ceiling, for nothing is sent."""
    mode = "replay" if begun.mode == "real" else begun.mode
    return replace(begun, mode=mode, forked_from=run_id, budget=None)


async def replay(session: RunSession, recorded: list[e.Recorded], runner: TaskRunner, read: Reader) -> Replayed:
    """Walks `recorded` (the events after the first) in `session`, a run that was opened with `first_event`."""
    kept = _kept(recorded)
    same: set[str] = set()
    different: set[str] = set()
    reports: set[str] = set()
    tasks = 0
    for entry in recorded:
        event = entry.event
        if isinstance(event, e.TaskCompleted) and entry.seq not in kept:
            tasks += 1
            again, blobs = await _again(session, event, runner, read)
            before = {artifact.path: artifact.hash for artifact in event.artifacts}
            after = {artifact.path: artifact.hash for artifact in again.artifacts}
            by_engine = session.graph.phases[event.phase].agent == ENGINE_AGENT
            for path in before.keys() | after.keys():
                equal = before.get(path) == after.get(path)
                (same if equal else reports if by_engine else different).add(path)
            await session.record(again, blobs=blobs)
        elif isinstance(event, e.RunCompleted):
            await session.record(decisions.run_completed(session.graph, session.state))
        elif isinstance(event, (*_TAKEN_OVER, e.TaskCompleted)):
            await session.record(event)
    return Replayed(
        session.state.run_id,
        tuple(sorted(same - different)),
        tuple(sorted(different)),
        tuple(sorted(reports)),
        tasks,
    )


def _kept(recorded: list[e.Recorded]) -> set[int]:
    """Completions without a start of their own: a fork took them over from the run before it."""
    started: set[str] = set()
    kept: set[int] = set()
    for entry in recorded:
        if isinstance(entry.event, e.TaskStarted):
            started.add(entry.event.phase)
        elif isinstance(entry.event, e.TaskCompleted) and entry.event.phase not in started:
            kept.add(entry.seq)
    return kept


async def _again(
    session: RunSession, event: e.TaskCompleted, runner: TaskRunner, read: Reader
) -> tuple[e.TaskCompleted, dict[str, bytes]]:
    state, phase = session.state, session.graph.phases[event.phase]
    entry = state.phase(event.phase)
    task = TaskDefinition(state.run_id, phase, event.round, event.attempt, entry.feedback)
    outcome = await runner(task, RunContext(state, session.graph, read, session.claim))
    again = decisions.completed(session.graph, state, task, outcome).events[0]
    assert isinstance(again, e.TaskCompleted)  # noqa: S101 - `completed` begins with it, always
    blobs = {content_hash(file.content): file.content for file in outcome.files}
    # The gate's verdict is taken over, so that the walk stays the recorded one; what was measured is told anew.
    return replace(again, gate=event.gate, reasons=event.reasons), blobs
