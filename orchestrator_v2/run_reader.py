"""Reading runs: their rows, states, events, files, calls, and what a run may cost before it is started.

Nothing here changes a run; what does is `orchestrator.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from orchestrator_v2.agents.estimating import PhaseEstimate
from orchestrator_v2.core.errors import RunStateError, UnknownNameError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.replay import REPLAY
from orchestrator_v2.engine.scheduler import whole_tree
from orchestrator_v2.engine.state_models import ProjectState, RunStatus
from orchestrator_v2.engine.telling import INTERRUPTED, QUEUED
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.parts import Parts, RunRequest, Standing

# How often the journal is asked for news (seconds).
POLL = 0.1
# How many of the latest runs an estimate looks at.
_HISTORY = 50


class RunReader:
    """The reading half of an `Orchestrator`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = parts.journal

    @property
    def parts(self) -> Parts:
        """What it is made of, for a worker that drives runs in its own way."""
        return self._parts

    async def interrupted(self) -> list[RunRow]:
        """Runs that are marked as running while nobody drives them: their worker died. Changes nothing.

        None where workers elsewhere take them up by themselves.
        """
        if self._parts.tended:
            return []
        rows = await self._journal.runs(statuses=(RunStatus.RUNNING,), limit=100)
        return [row for row in rows if row.mode != REPLAY and await self.is_interrupted(row)]

    async def is_interrupted(self, row: RunRow) -> bool:
        """Whether the run is marked as running while nobody drives it."""
        if row.status != RunStatus.RUNNING or await self._engine.is_driven(row.run_id):
            return False
        # It may have come to its end, and been given back, since the row was read.
        return (await self._engine.row(row.run_id)).status == RunStatus.RUNNING

    async def status(self, row: RunRow) -> str:
        """How the run stands: `interrupted` or `queued`, as in a `Standing`, where nobody drives a running one."""
        if not await self.is_interrupted(row):
            return row.status
        return QUEUED if self._parts.tended else INTERRUPTED

    async def standing(self, run_id: str) -> Standing:
        """The run's state and row, whether anybody drives it, and whether its project lies where it was wanted."""
        row = await self._engine.row(run_id)
        state = await self._engine.state(row.run_id)
        laid = bool(row.out) and self._parts.is_laid_out(Path(row.out))
        alone, tended = await self.is_interrupted(row), self._parts.tended
        return Standing(state, row, alone and not tended, laid, queued=alone and tended)

    async def row(self, run_id: str, *, owner_id: str | None = None) -> RunRow:
        """The run's row; a unique beginning of the id will do. Raises `UnknownNameError`.

        With `owner_id` only that owner's run of exactly that id.
        """
        return await self._engine.row(run_id, owner_id=owner_id)

    async def rows(
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
        return await self._journal.runs(
            owner_id=owner_id,
            project_id=project_id,
            statuses=statuses,
            before=before,
            limit=limit,
            operations=operations,
        )

    async def state(self, run_id: str) -> ProjectState:
        return await self._engine.state((await self._engine.row(run_id)).run_id)

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Recorded]:
        return await self._journal.events((await self._engine.row(run_id)).run_id, after, limit)

    async def contents(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Contents by hash, such as a run's events name them."""
        return await self._journal.blobs(hashes)

    async def watch(self, run_id: str, after: int = 0) -> AsyncIterator[Recorded]:
        """Events as they are committed, by whichever process; ends when the caller stops asking."""
        seen = -1
        while True:
            count = await self._journal.change_count()
            if count != seen:
                seen = count
                for recorded in await self._journal.events(run_id, after):
                    after = recorded.seq
                    yield recorded
            await asyncio.sleep(POLL)

    async def artifacts(self, run_id: str) -> dict[str, Artifact]:
        """Path to artifact, as the run stands."""
        state = await self.state(run_id)
        return whole_tree(PhaseGraph(state.begun.workflow), state)

    async def read(self, run_id: str, path: str) -> bytes:
        tree = await self.artifacts(run_id)
        if path not in tree:
            raise UnknownNameError("artifact", path, tree, "`orchestrator artifacts RUN` lists them.")
        return (await self._journal.blobs([tree[path].hash]))[tree[path].hash]

    async def calls(self, run_id: str) -> list[CallRow]:
        """The run's recorded model calls: the ledger."""
        return await self._parts.calls((await self._engine.row(run_id)).run_id)

    async def estimate(self, request: RunRequest) -> tuple[str, list[PhaseEstimate]]:
        """The model, and what each phase may use with it. Nothing is started, nothing is sent, no key is needed."""
        owner = request.owner_id if request.keyring is not None else None
        rows = await self._journal.runs(owner_id=owner, statuses=(RunStatus.COMPLETED,), limit=_HISTORY)
        past = [(row.workflow, await self._parts.calls(row.run_id)) for row in rows if row.mode == "real"]
        return self._parts.estimate(request, past)


def refuse_replay(row: RunRow) -> None:
    """Raises `RunStateError` for a run that ends where its recording ends."""
    if row.mode == REPLAY:
        raise RunStateError(
            f"Run {row.run_id} is a replay of {row.forked_from}.",
            "A replay ends where its recording ends.",
            f"Work on with the run itself: `orchestrator resume {row.forked_from}`, or `fork` it.",
        )


def refuse_operation(row: RunRow) -> None:
    """Raises `RunStateError` for a run that answers an operation."""
    if row.operation:
        raise RunStateError(
            f"Run {row.run_id} answers the operation {row.operation}.",
            "What its steps said is put in no file, and not replaced.",
            "Ask the operation anew.",
        )
