"""What a user may ask of a run: look at it, follow it, decide on it, take what it made; every query names the owner.

How a run is started is `projects.py`; how it is driven is `keeper.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

import msgspec

from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import ConfigError, RunStateError, UnknownNameError
from orchestrator_v2.core.events import Recorded, TaskCompleted
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.history import made_by
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.scheduler import owner_of, whole_tree
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import SETTLED, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.parts import ArchiveKind, Standing
from orchestrator_v2.service.changes import Changes
from orchestrator_v2.service.costs import RunCost, cost_of
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.service.rights import require
from orchestrator_v2.service.room import Room


class Checkpoint(msgspec.Struct, frozen=True):
    """A phase that a run can go back to: when it was last done, in which round, with how many files."""

    phase: str
    seq: int
    at: float
    round: int
    files: int


class RunService:
    def __init__(self, orchestrator: Orchestrator, keeper: Keeper, changes: Changes, room: Room) -> None:
        self._orchestrator = orchestrator
        self._room = room
        self._keeper = keeper
        self._changes = changes

    async def row(self, user: User, run_id: str) -> RunRow:
        """Raises `UnknownNameError`, for another user's run as for none."""
        require(user, "read")
        return await self._orchestrator.row(run_id, owner_id=user.scope)

    async def standing(self, user: User, run_id: str) -> Standing:
        """The run as it stands. On a server nobody needs to resume a run whose worker died, nor one that waits for its
        turn: both are `queued`, as the keeper takes them up."""
        row = await self.row(user, run_id)
        found = await self._orchestrator.standing(row.run_id)
        return msgspec.structs.replace(found, interrupted=False, queued=found.interrupted or found.queued)

    async def page(
        self, user: User, *, statuses: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[RunRow]:
        require(user, "read")
        return await self._orchestrator.rows(owner_id=user.scope, statuses=statuses, before=before, limit=limit)

    async def events(self, user: User, run_id: str, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        row = await self.row(user, run_id)
        return await self._orchestrator.events(row.run_id, after, limit)

    async def follow(self, user: User, run_id: str, *, after: int = 0) -> AsyncGenerator[list[Recorded], None]:
        """Events as they are committed, some at a time; [] now and then in silence. The owner is checked first."""
        row = await self.row(user, run_id)
        return self._changes.follow(row.run_id, after)

    async def artifacts(self, user: User, run_id: str) -> dict[str, Artifact]:
        """Path to artifact, as the run stands."""
        row = await self.row(user, run_id)
        return await self._orchestrator.artifacts(row.run_id)

    async def read(self, user: User, run_id: str, path: str) -> tuple[Artifact, bytes]:
        tree = await self.artifacts(user, run_id)
        if path not in tree:
            raise UnknownNameError("artifact", path, tree)
        return tree[path], (await self._orchestrator.contents([tree[path].hash]))[tree[path].hash]

    async def contents(self, user: User, run_id: str, artifacts: Mapping[str, Artifact]) -> dict[str, bytes]:
        """The bytes, by path, of artifacts that this run has or has had. Raises `UnknownNameError` for another's."""
        known = {made.hash for entry in await self.events(user, run_id) for made in made_by(entry.event)}
        for path, artifact in artifacts.items():
            if artifact.hash not in known:
                raise UnknownNameError("artifact", path, ())
        found = await self._orchestrator.contents([artifact.hash for artifact in artifacts.values()])
        return {path: found[artifact.hash] for path, artifact in artifacts.items()}

    async def archive(self, user: User, run_id: str, kind: ArchiveKind) -> bytes:
        """Raises `RunStateError` where no phase has made a file yet."""
        row = await self.row(user, run_id)
        if not await self._orchestrator.artifacts(row.run_id):
            raise RunStateError("There is nothing to pack yet.", "No phase has made a file.", "Wait for the first one.")
        return await self._orchestrator.archive(row.run_id, kind)

    async def calls(self, user: User, run_id: str) -> list[CallRow]:
        row = await self.row(user, run_id)
        return await self._orchestrator.calls(row.run_id)

    async def cost(self, user: User, run_id: str) -> RunCost:
        state = (await self.standing(user, run_id)).state
        return cost_of(await self.calls(user, run_id), state.budget)

    async def checkpoints(self, user: User, run_id: str) -> list[Checkpoint]:
        """Phases that are done, in the graph's order: `rollback` to one does it again, with all that stands on it."""
        row = await self.row(user, run_id)
        state = await self._orchestrator.state(row.run_id)
        last: dict[str, Recorded] = {}
        for entry in await self._orchestrator.events(row.run_id):
            if isinstance(entry.event, TaskCompleted):
                last[entry.event.phase] = entry
        return [
            Checkpoint(name, last[name].seq, last[name].at, state.phase(name).round, len(state.phase(name).artifacts))
            for name in PhaseGraph(state.begun.workflow).order
            if name in last and state.phase(name).status in SETTLED
        ]

    async def rollback(self, user: User, run_id: str, phase: str, replacements: Mapping[str, bytes]) -> RunRow:
        return await self._begun_anew(
            user, run_id, lambda run: self._orchestrator.rolled_back(run, phase, replacements)
        )

    async def resume(self, user: User, run_id: str, *, budget: int | None = None) -> RunRow:
        return await self._begun_anew(
            user, run_id, lambda run: self._orchestrator.resumed(run, by=user.name, budget=budget)
        )

    async def retry(self, user: User, run_id: str, phase: str) -> RunRow:
        return await self._begun_anew(user, run_id, lambda run: self._orchestrator.retried(run, phase, by=user.name))

    async def _begun_anew(self, user: User, run_id: str, how: Callable[[str], Awaitable[RunSession]]) -> RunRow:
        """A run that stood still goes on, where the user has room for one more under way."""
        row = await self._changing(user, run_id)
        async with self._room.one_at_a_time(user):
            if row.status != RunStatus.RUNNING:
                await self._room.check(user)
            await self._keeper.take(await how(row.run_id))
        return await self.row(user, run_id)

    async def cancel(self, user: User, run_id: str) -> RunRow:
        return await self._wish(user, run_id, "cancel")

    async def pause(self, user: User, run_id: str) -> RunRow:
        return await self._wish(user, run_id, "pause")

    async def _wish(self, user: User, run_id: str, kind: str) -> RunRow:
        row = await self._changing(user, run_id)
        self._keeper.attend(await self._orchestrator.wish(row.run_id, kind, by=user.name))
        return await self.row(user, run_id)

    async def review(
        self, user: User, run_id: str, *, approved: bool, content: str, phase: str = "", reason: str = ""
    ) -> RunRow:
        """Approves or rejects the content that was seen. Raises `RunStateError` where another one is up by now."""
        row = await self._changing(user, run_id)
        if not content:
            raise RunStateError("The decision names no content.", "It is bound to what was seen.", "Look at it again.")
        if not approved and not reason.strip():
            raise ConfigError(
                "The rejection has no reason.", "The next round is told why.", "Say what is to be different."
            )
        await self._orchestrator.decide(
            row.run_id, approved=approved, by=user.name, phase=phase, reason=reason, content=content
        )
        self._keeper.attend(row.run_id)
        return await self.row(user, run_id)

    async def edit(self, user: User, run_id: str, *, path: str, content: bytes, seen: str) -> RunRow:
        """Puts a person's own text in a file's place while its review waits; what stands on the file is done again,
        and the review is asked for anew.

        `seen` is the hash of the file that was edited. Raises `RunStateError` where the file is another by now, or
        nothing waits for a review.
        """
        row = await self._changing(user, run_id)
        state = await self._orchestrator.state(row.run_id)
        graph = PhaseGraph(state.begun.workflow)
        owner = _editable(graph, state, path, seen)
        return await self.rollback(user, row.run_id, owner, {path: content})

    async def _changing(self, user: User, run_id: str) -> RunRow:
        require(user, "write")
        return await self.row(user, run_id)


def _editable(graph: PhaseGraph, state: ProjectState, path: str, seen: str) -> str:
    """The phase that made the file, where it may be edited now."""
    if not any(entry.status is PhaseStatus.WAITING_REVIEW for entry in state.phases.values()):
        raise RunStateError("Nothing waits for your review.", f"The run is {state.status}.", "Roll back instead.")
    tree = whole_tree(graph, state)
    owner = owner_of(graph, state, path)
    if path not in tree or owner is None:
        raise UnknownNameError("artifact", path, tree)
    if tree[path].hash != seen:
        raise RunStateError(
            f"'{path}' is another by now.", "It was changed since you saw it.", "Look at it again, then edit it."
        )
    return owner
