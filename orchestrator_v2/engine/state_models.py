"""A run's state and the values that go in and out of a task; the fold that makes state is `transitions.py`.

All of it is frozen. The words used here (Artifact, Receipt, Usage, Workflow) are defined in `core`.
"""

from __future__ import annotations

from enum import StrEnum

import immutables
import msgspec

from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.records import SIMULATED, Artifact, Provenance, Receipt
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.core.workflow import Phase


class RunStatus(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_REVIEW = "waiting_review"
    WAITING_PROVIDER = "waiting_provider"
    WAITING_BUDGET = "waiting_budget"
    NEEDS_CREDENTIAL = "needs_credential"
    NEEDS_ATTENTION = "needs_attention"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})


class PhaseStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING_REVIEW = "waiting_review"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


SETTLED = frozenset({PhaseStatus.DONE, PhaseStatus.SKIPPED})


class PhaseState(msgspec.Struct, frozen=True):
    """One phase now. `round` counts how often it was begun anew, `attempt` the tries within a round, from 1.

    `loops` counts the reopenings by a failed gate (bounded by `max_rounds`), `lost` how often its worker died.
    """

    status: PhaseStatus = PhaseStatus.PENDING
    round: int = 1
    attempt: int = 0
    result: str = ""
    artifacts: tuple[Artifact, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    usage: Usage = NO_USAGE
    provenance: Provenance = SIMULATED
    reviewed: str = ""
    feedback: str = ""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    loops: int = 0
    lost: int = 0
    started_at: float | None = None
    ended_at: float | None = None


FRESH = PhaseState()


class ProjectState(msgspec.Struct, frozen=True):
    """A run as the fold of its events up to `seq`.

    `phases` holds only those that something has happened to; the others are `FRESH`. `settled` counts the
    phases that are done or skipped; `budget` is in nano-dollars (None: no ceiling); `tasks_left` is how many may
    still be started before the run pauses (None: all). `attended`: somebody waits for its answer.
    """

    run_id: str
    started: RunStarted | None = None
    seq: int = 0
    status: RunStatus = RunStatus.RUNNING
    phases: immutables.Map[str, PhaseState] = immutables.Map()
    settled: int = 0
    usage: Usage = NO_USAGE
    budget: int | None = None
    tasks_left: int | None = None
    attended: bool = False
    stopped: str = ""
    advice: str = ""
    resume_at: float | None = None
    started_at: float = 0.0
    changed_at: float = 0.0
    tree: str = ""

    def phase(self, phase_id: str) -> PhaseState:
        return self.phases.get(phase_id, FRESH)

    @property
    def begun(self) -> RunStarted:
        """What the run was started with; every run's first event."""
        if self.started is None:
            raise ValueError(f"run {self.run_id} has no RunStarted event")
        return self.started


class TaskDefinition(msgspec.Struct, frozen=True):
    """An agent's work on one phase: what it is given.

    `inputs` are the upstream artifacts this phase may see, in workflow order; `current` is what the phase itself
    made in its last round. `feedback` is why it is done again, empty the first time.
    """

    run_id: str
    phase: Phase
    round: int = 1
    attempt: int = 1
    feedback: str = ""
    inputs: tuple[Artifact, ...] = ()
    current: tuple[Artifact, ...] = ()

    @property
    def key(self) -> str:
        """The task's name within its run: `development`, from the second round on `development.r2`."""
        return self.phase.id if self.round == 1 else f"{self.phase.id}.r{self.round}"


class OutputFile(msgspec.Struct, frozen=True):
    path: str
    content: bytes
    provenance: Provenance = SIMULATED


class TaskOutcome(msgspec.Struct, frozen=True):
    """What a task brought back. `approved` is the verdict of a reviewing phase, None for all others.

    `failures` are reasons why the gate is not passed; `removed` are paths of this phase that are gone.
    """

    result: str = ""
    files: tuple[OutputFile, ...] = ()
    removed: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    failures: tuple[str, ...] = ()
    approved: bool | None = None
    usage: Usage = NO_USAGE
    provenance: Provenance = SIMULATED
    notes: tuple[str, ...] = ()
