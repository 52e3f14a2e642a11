"""What an orchestrator is asked with and made of: a user's request, how a run stands, the parts that bootstrap gives.

What can be done with them is `orchestrator.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from orchestrator_v2.agents.estimating import Past, PhaseEstimate
from orchestrator_v2.core.accounts import LOCAL, Credential
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.engine.engine import NewRun, WorkflowEngine
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Journal, RunRow
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.telling import INTERRUPTED, QUEUED
from orchestrator_v2.llm.ledger import CallRow

ArchiveKind = Literal["zip", "bundle"]


class RunRequest(msgspec.Struct, frozen=True):
    """What a user asks for. Empty fields take the settings' values.

    `workflow` is a built-in name, a path of a YAML file, or a graph built in Python; `mode` is simulated, real or
    auto (real where a key is found); `budget` is in nano-dollars; `review` is `agent` or `human`.
    `batch` sends all model calls by the provider's batch lane, at about half the price and within a day.
    `assignments` gives an agent a model of its own, as `provider/model`; `tasks` is how many may be started before the
    run pauses. With a `keyring` it uses the keys that its owner has stored and no others; `entitled` are the patterns
    of `provider/model` that it may use (empty: all).
    """

    brief: str
    name: str = ""
    workflow: str | PhaseGraph = "default"
    mode: str = ""
    provider: str = ""
    model: str = ""
    budget: int | None = None
    review: str = "agent"
    answers: dict[str, str] = {}
    out: Path | None = None
    parallelism: int = 0
    batch: bool = False
    assignments: dict[str, str] = {}
    tasks: int | None = None
    run_id: str = ""
    owner_id: str = LOCAL
    project_id: str = ""
    keyring: tuple[Credential, ...] | None = None
    entitled: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """How a run stands, with what its events cannot know.

    `interrupted`: marked as running while nobody drives it, for its worker died. `queued`: the same on a server, which
    takes it up when its turn comes. `laid`: its project lies whole in `row.out`.
    """

    state: ProjectState
    row: RunRow
    interrupted: bool = False
    laid: bool = False
    queued: bool = False

    @property
    def status(self) -> str:
        """The run's status; `interrupted` or `queued` where it is marked as running and nobody drives it."""
        if self.interrupted or self.queued:
            return INTERRUPTED if self.interrupted else QUEUED
        return self.state.status.value


class Driver(Protocol):
    async def drive(self, session: RunSession) -> ProjectState: ...

    def stop(self) -> None: ...


class Parts(msgspec.Struct, frozen=True):
    """The concrete parts behind an orchestrator, made by bootstrap.

    `settle` turns a request into a run to be, or raises an `InputError` before anything was started. `lay_out`
    writes (message, files) commits as a git repository that carries a mark; `check_out` refuses a folder early;
    `is_laid_out` tells whether the last writing to a folder came to its end.
    `pack` makes one file of the commits, under a name; `calls` lists a run's recorded model calls, `abandon` settles
    those that nobody will ask for again. `close` gives everything back. `tended`: workers elsewhere take up what nobody
    drives, so nobody needs to resume it.
    """

    engine: WorkflowEngine
    journal: Journal
    driver: Driver
    clock: Clock
    settle: Callable[[RunRequest], NewRun]
    lay_out: Callable[[Path, Sequence[tuple[str, Mapping[str, bytes]]], str], Awaitable[str]]
    check_out: Callable[[Path, str | None], Awaitable[None]]
    pack: Callable[[ArchiveKind, str, Sequence[tuple[str, Mapping[str, bytes]]], str], Awaitable[bytes]]
    calls: Callable[[str], Awaitable[list[CallRow]]]
    close: Callable[[], Awaitable[None]]
    abandon: Callable[[RunSession], Awaitable[None]]
    estimate: Callable[[RunRequest, Sequence[Past]], tuple[str, list[PhaseEstimate]]]
    probe: Probe = no_probe
    is_laid_out: Callable[[Path], bool] = Path.is_dir
    tended: bool = False
