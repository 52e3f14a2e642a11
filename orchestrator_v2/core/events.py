"""The events of a run, past tense, and their one encoding; a run is the fold of these.

What each does to a run's state is `engine/transitions.py`; where they are kept is `persistence/event_log.py`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from orchestrator_v2.core.records import SIMULATED, Artifact, Provenance, Receipt
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice, Workflow


class _Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=True):
    """Base of all events; the tag is the class name."""


class RunStarted(_Event, frozen=True):
    """Everything that must not change while the run goes on.

    `mode` is simulated or real; `brief` is the hash of the brief's blob; `budget` is in nano-dollars (None: no
    ceiling); `prompts` is the digest of the templates; `prices` maps a model to its pinned price row.
    `answers` holds what the user said to the intake's questions; `review` is the reviewer (`agent` or `human`).
    `base_url` is where the model is reached, empty for the provider's own server. `batch`: all model calls go by the
    provider's batch lane, not those alone whose phase says so. `assignments` maps an agent to a model of its own.
    `default` is the run's model where there is more to it than `provider`, `model` and `base_url`; `rules` are the
    thresholds below the budget. `tasks` is how many may be started before the run pauses (None: all). `keyring`: the
    keys are those that `owner_id` has stored, never the environment's. `operation` is what an operation's run answers
    (`pillars.validate`); its brief is the request. `attended`: somebody waits for the answer, and when nobody does any
    more it is set aside, not driven on.
    """

    project_id: str
    name: str
    brief: str
    workflow: Workflow
    mode: str
    provider: str = ""
    model: str = ""
    budget: int | None = None
    parallelism: int = 4
    prompts: str = ""
    prices: dict[str, str] = {}
    review: str = "agent"
    answers: dict[str, str] = {}
    forked_from: str = ""
    batch: bool = False
    base_url: str = ""
    assignments: dict[str, ModelChoice] = {}
    owner_id: str = "local"
    keyring: bool = False
    tasks: int | None = None
    default: ModelChoice | None = None
    rules: BudgetRules = BudgetRules()
    operation: str = ""
    attended: bool = False

    def model_for(self, agent: str) -> ModelChoice:
        """The model that this agent works with."""
        return self.assignments.get(agent) or self.default or ModelChoice(self.provider, self.model, self.base_url)


class TaskStarted(_Event, frozen=True):
    phase: str
    agent: str = ""
    round: int = 1
    attempt: int = 1


class TaskCompleted(_Event, frozen=True):
    """An agent's work on a phase, with what the engine measured of it.

    `gate`: `passed`, `failed` (see `reasons`) or `waiting` (for a review of `reviewed`, the content hash).
    """

    phase: str
    round: int = 1
    attempt: int = 1
    result: str = ""
    gate: str = "passed"
    reasons: tuple[str, ...] = ()
    reviewed: str = ""
    artifacts: tuple[Artifact, ...] = ()
    removed: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    usage: Usage = NO_USAGE
    provenance: Provenance = SIMULATED
    notes: tuple[str, ...] = ()


class TaskFailed(_Event, frozen=True):
    """The task stopped on an error; `parks_as` is the status that the run takes (empty: the phase has failed)."""

    phase: str
    code: str
    what: str
    why: str = ""
    do: str = ""
    round: int = 1
    attempt: int = 1
    parks_as: str = ""
    resume_at: float | None = None
    usage: Usage = NO_USAGE


class PhaseReopened(_Event, frozen=True):
    """The phase, and all that stands on it, will be done again; `feedback` goes into its prompt."""

    phase: str
    by: str
    feedback: str
    resets: tuple[str, ...] = ()


class PhaseSkipped(_Event, frozen=True):
    phase: str
    reason: str


class ReviewDecided(_Event, frozen=True):
    """A decision, bound to the content hash that was seen."""

    phase: str
    approved: bool
    by: str
    content: str
    reason: str = ""


class ArtifactReplaced(_Event, frozen=True):
    """A human put another content in an artifact's place (fork, rollback, edit); `phase` keeps owning it.

    `reviewed` is what is up for review from now on, where the phase waits for one.
    """

    phase: str
    artifact: Artifact
    reviewed: str = ""


class RunParked(_Event, frozen=True):
    """The run stands still in `status` and says what it waits for; `resume_at` is in epoch seconds."""

    status: str
    what: str
    why: str = ""
    do: str = ""
    resume_at: float | None = None


class RunResumed(_Event, frozen=True):
    """`tasks` is how many may be started before the run pauses again (None: all); one that is only taken up again
    (`recovered`) keeps what it had left. `attended`: from now on somebody waits for it, or nobody (None: as it was)."""

    by: str = ""
    budget: int | None = None
    reset: tuple[str, ...] = ()
    tasks: int | None = None
    recovered: bool = False
    attended: bool | None = None


class RunRolledBack(_Event, frozen=True):
    """`phase` and all that stands on it were put back to pending; what they had made stays in the history."""

    phase: str
    resets: tuple[str, ...] = ()


class RunCompleted(_Event, frozen=True):
    tree: str = ""


class RunFailed(_Event, frozen=True):
    code: str
    what: str
    why: str = ""
    do: str = ""


class RunCancelled(_Event, frozen=True):
    by: str = ""


Event: TypeAlias = (
    RunStarted
    | TaskStarted
    | TaskCompleted
    | TaskFailed
    | PhaseReopened
    | PhaseSkipped
    | ReviewDecided
    | ArtifactReplaced
    | RunParked
    | RunResumed
    | RunRolledBack
    | RunCompleted
    | RunFailed
    | RunCancelled
)


class Recorded(msgspec.Struct, frozen=True):
    """An event in its place: `seq` counts from 1 without a gap, `at` is in epoch seconds."""

    seq: int
    at: float
    event: Event


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """The event as JSON bytes with its class name under `type`; encoded once, kept as it is."""
    return _encoder.encode(event)


def decode_event(payload: bytes) -> Event:
    """Raises `msgspec.ValidationError` on bytes that are no event of this release."""
    return _decoder.decode(payload)


def event_type(event: Event) -> str:
    return type(event).__name__
