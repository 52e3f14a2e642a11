"""The small protocols at the engine's seams; bootstrap decides which part stands behind each.

`persistence` implements `Journal` and `Blobs` (SQLite, PostgreSQL, memory), `workspace` implements `Evidence`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition, TaskOutcome


class RunRow(msgspec.Struct, frozen=True):
    """A run in a list: the projection that is kept in the same transaction as its events and its model calls.

    `spent` is what those calls were charged or hold reserved, in nano-dollars; None where a part of it is unknown.
    """

    run_id: str
    run_no: int
    project_id: str
    owner_id: str
    name: str
    workflow: str
    mode: str
    status: str
    created_at: float
    updated_at: float
    out: str = ""
    stopped: str = ""
    resume_at: float | None = None
    forked_from: str = ""
    spent: int | None = 0
    operation: str = ""


class Claim(msgspec.Struct, frozen=True):
    """The right to write a run: holds only while the run's row carries this `epoch`."""

    run_id: str
    run_no: int
    epoch: int


class Signal(msgspec.Struct, frozen=True):
    """A wish for a run that another process may be driving: cancel, pause, review."""

    id: int
    kind: str
    payload: bytes


class RunChange(msgspec.Struct, frozen=True):
    """The part of a run's row that an append changes; written in the same transaction."""

    status: str
    stopped: str = ""
    resume_at: float | None = None


class Journal(Protocol):
    """The append-only truth. Every method raises `StoreError` classes only."""

    async def create_run(
        self, row: RunRow, events: Sequence[Recorded], blobs: Mapping[str, bytes], *, owner: str, lease: float
    ) -> Claim:
        """Records a new run (row.run_no is ignored), claimed by `owner` for `lease` seconds, durably."""
        ...

    async def append(
        self,
        claim: Claim,
        events: Sequence[Recorded],
        *,
        blobs: Mapping[str, bytes] | None = None,
        change: RunChange | None = None,
        consumed: Sequence[int] = (),
    ) -> None:
        """One transaction: events, new blobs (hash to content), the row's change, the consumed signals.

        Returns after the commit. Raises `FencedError`, and writes nothing, when the claim's epoch is old.
        Appends are durable in the order of the calls.
        """
        ...

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """The run's events with seq > `after`, in order."""
        ...

    async def claim(self, run_id: str, *, owner: str, lease: float, seize: str = "") -> Claim | None:
        """Takes the run with a new epoch if nobody holds an unexpired lease on it; None if somebody does.

        A lease held by `seize` is taken all the same: the caller knows that this worker is gone.
        """
        ...

    async def holder(self, run_id: str) -> str:
        """The worker that holds an unexpired lease on the run, empty when nobody does."""
        ...

    async def renew(self, claim: Claim, *, lease: float) -> bool:
        """Extends the lease; False when the claim was lost."""
        ...

    async def release(self, claim: Claim) -> None: ...

    async def run(self, run_id: str, *, owner_id: str | None = None) -> RunRow | None:
        """Also finds by a unique prefix of the id. With `owner_id` only that owner's run of exactly that id."""
        ...

    async def runs(
        self,
        *,
        owner_id: str | None = None,
        project_id: str | None = None,
        statuses: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
        operations: bool = False,
    ) -> list[RunRow]:
        """Newest first; `before` is the run_no of the last row of the page before. With `operations` the runs that
        answer operations, without it all others."""
        ...

    async def due(self, now: float, *, gone: Sequence[str] = (), limit: int = 1_000) -> list[tuple[str, str]]:
        """(id, owner) of runs that could go on and that nobody drives, oldest first: what is running, or whose wait for
        a provider is over by `now`, under no lease but an expired one or one of the workers `gone`; no replays."""
        ...

    async def holders(self, now: float) -> list[str]:
        """The workers that hold an unexpired lease on a run under way."""
        ...

    async def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Contents by hash; a hash that is not there is a `StoreCorruptError`."""
        ...

    async def send_signal(self, run_id: str, kind: str, payload: bytes = b"") -> int: ...

    async def signals(self, run_id: str) -> list[Signal]:
        """Those not consumed yet, oldest first."""
        ...

    async def signalled(self) -> list[str]:
        """Ids of the runs that have signals not consumed yet."""
        ...

    async def set_out(self, run_id: str, out: str) -> None:
        """Remembers where the run's project was last laid out."""
        ...

    async def change_count(self) -> int:
        """A number that grows when anything was committed, by this or another process; cheap to poll."""
        ...

    async def close(self) -> None: ...


class Evidence(Protocol):
    """Measures files; the only source of `Receipt`s."""

    async def measure(
        self, checks: Sequence[str], files: Mapping[str, bytes], *, real: bool, context: Mapping[str, bytes]
    ) -> list[Receipt]:
        """A receipt for each check over `files` (the phase's own) within `context` (the whole tree so far).

        Raises `SandboxUnavailableError` when `real` and generated code cannot be isolated.
        """
        ...


# Contents by hash.
Reader = Callable[[Sequence[str]], Awaitable[dict[str, bytes]]]


class RunContext(msgspec.Struct, frozen=True):
    """What a task may know of its run, beside its own definition: graph, state, and a way to read contents.

    The brief is the content under `state.begun.brief`.
    """

    state: ProjectState
    graph: PhaseGraph
    read: Reader
    claim: Claim


TaskRunner = Callable[[TaskDefinition, RunContext], Awaitable[TaskOutcome]]
