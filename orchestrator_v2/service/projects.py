"""Projects of a user: wished for, listed, started, advanced, deleted; every query names the owner.

What may be asked of a single run is `runs.py`; what a project is wished with is `wishes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable

import msgspec

from orchestrator_v2.agents.estimating import PhaseEstimate
from orchestrator_v2.core.accounts import Keyring, ProjectRow, Projects, Reply, User
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConflictError, RunStateError, StoreError, UnknownNameError
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.state_models import TERMINAL, RunStatus
from orchestrator_v2.orchestrator import Orchestrator
from orchestrator_v2.parts import RunRequest
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.service.rights import require
from orchestrator_v2.service.room import Room
from orchestrator_v2.service.wishes import ProjectView, Wish, encode, request_of, shortened, wish_of

_GOING = tuple(status.value for status in RunStatus if status not in TERMINAL)


class ProjectService:
    """`load_graph` reads a workflow by a built-in's name or from YAML text."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        keeper: Keeper,
        projects: Projects,
        keyring: Keyring,
        *,
        load_graph: Callable[[str], PhaseGraph],
        clock: Clock,
        ids: IdSource,
        room: Room,
    ) -> None:
        self._orchestrator = orchestrator
        self._keeper = keeper
        self._projects = projects
        self._keyring = keyring
        self._load_graph = load_graph
        self._clock = clock
        self._ids = ids
        self._room = room

    async def create(self, user: User, wish: Wish, *, run: bool = True, key: str = "") -> ProjectView:
        """Records the project and, with `run`, starts its first run. With the `key` of an earlier, equal request it
        gives that one's project.

        Raises `InputError` classes before anything is recorded, `ConflictError` where the key was used for another
        request, `LimitedError` where too many runs are under way.
        """
        require(user, "write")
        request_hash = hashlib.sha256(encode(wish) + bytes([run])).hexdigest()
        if key and (reply := await self._projects.reply(user.user_id, key)):
            return await self._again(user, reply, request_hash, key)
        assigned = {**user.agents, **wish.assignments}
        wish = msgspec.structs.replace(wish, first_run=self._ids.new("run") if run else "", assignments=assigned)
        project_id = self._ids.new("prj")
        request = await self._request(user, wish, project_id, wish.first_run)
        self._orchestrator.check(request)
        async with self._room.one_at_a_time(user):
            if run:
                await self._room.check(user)
            wished, now = encode(wish), self._clock.now()
            row = ProjectRow(project_id, 0, user.user_id, wish.name, wished, now, encode(shortened(wish)))
            reply = await self._added(row, key, request_hash)
            if reply is None:
                started = await self._start(request) if run else None
                return ProjectView(row, wish, started)
        # Outside: the room is one user's, and what was begun by the other request is looked for in it.
        return await self._again(user, reply, request_hash, key)

    async def _added(self, row: ProjectRow, key: str, request_hash: str) -> Reply | None:
        """Records the project; gives the reply to the same key where another request was quicker."""
        try:
            await self._projects.add(row, key=key, request_hash=request_hash)
        except StoreError:
            reply = await self._projects.reply(row.owner_id, key) if key else None
            if reply is None:
                raise
            return reply
        return None

    async def _again(self, user: User, reply: Reply, request_hash: str, key: str) -> ProjectView:
        """What was answered to that key; the run that a crash kept from starting is started now."""
        _check_same(reply, request_hash, key)
        view = await self.get(user, reply.subject)
        if view.wish.first_run and view.run is None:
            async with self._room.one_at_a_time(user):
                request = await self._request(user, view.wish, view.row.project_id, view.wish.first_run)
                view = msgspec.structs.replace(view, run=await self._start(request))
        return view

    async def get(self, user: User, project_id: str) -> ProjectView:
        """Raises `UnknownNameError`, for another user's project as for none."""
        require(user, "read")
        row = await self._projects.get(user.scope, project_id)
        if row is None:
            raise UnknownNameError("project", project_id, (), "List your projects to see what there is.")
        return await self._view(row)

    async def page(self, user: User, *, before: int | None = None, limit: int = 50) -> list[ProjectView]:
        """Newest first; `before` is the project_no of the last one of the page before."""
        require(user, "read")
        rows = await self._projects.page(user.scope, before=before, limit=limit)
        return list(await asyncio.gather(*(self._view(row) for row in rows)))

    async def _view(self, row: ProjectRow) -> ProjectView:
        runs = await self._orchestrator.rows(owner_id=row.owner_id, project_id=row.project_id, limit=1)
        return ProjectView(row, wish_of(row), runs[0] if runs else None)

    async def runs(self, user: User, project_id: str, *, before: int | None = None, limit: int = 50) -> list[RunRow]:
        view = await self.get(user, project_id)
        return await self._orchestrator.rows(
            owner_id=view.row.owner_id, project_id=project_id, before=before, limit=limit
        )

    async def delete(self, user: User, project_id: str) -> None:
        """Cancels the project's runs and hides it; what its calls cost stays in the usage."""
        require(user, "write")
        async with self._room.one_at_a_time(user):
            await self.get(user, project_id)
            before = None
            while rows := await self._orchestrator.rows(
                owner_id=user.user_id, project_id=project_id, statuses=_GOING, before=before
            ):
                for row in rows:
                    with contextlib.suppress(RunStateError):  # it has ended since it was listed
                        self._keeper.attend(await self._orchestrator.wish(row.run_id, "cancel", by=user.name))
                before = rows[-1].run_no
            await self._projects.drop(user.user_id, project_id)

    async def start_run(self, user: User, project_id: str, *, key: str = "", tasks: int | None = None) -> RunRow:
        """A further run of the project, as it was wished for. Raises as `create` does."""
        require(user, "write")
        await self.get(user, project_id)
        wanted = Reply(hashlib.sha256(f"{project_id} {tasks}".encode()).hexdigest(), self._ids.new("run"))
        if key and not await self._projects.remember(user.user_id, key, wanted):
            reply = await self._projects.reply(user.user_id, key) or wanted
            _check_same(reply, wanted.request_hash, key)
            wanted = reply
            with contextlib.suppress(UnknownNameError):  # a crash kept it from starting: it is started now
                return await self._orchestrator.row(wanted.subject, owner_id=user.user_id)
        async with self._room.one_at_a_time(user):
            view = await self.get(user, project_id)  # again: it may have been deleted meanwhile
            await self._room.check(user)
            return await self._start(await self._request(user, view.wish, project_id, wanted.subject, tasks))

    async def advance(self, user: User, project_id: str) -> RunRow:
        """Does one phase of the latest run, or of a first one, and pauses it.

        Raises `RunStateError` where the run is under way or has ended.
        """
        require(user, "write")
        async with self._room.one_at_a_time(user):
            view = await self.get(user, project_id)
            if view.run is None:
                await self._room.check(user)
                run_id = self._ids.new("run")
                return await self._start(await self._request(user, view.wish, project_id, run_id, tasks=1))
            if view.run.status == RunStatus.RUNNING:
                raise RunStateError(
                    "The run is under way.", "It goes on by itself.", "Pause it first, then advance it."
                )
            await self._room.check(user)
            session = await self._orchestrator.resumed(view.run.run_id, by=user.name, tasks=1)
            await self._keeper.take(session)
        return await self._orchestrator.row(view.run.run_id, owner_id=view.row.owner_id)

    async def estimate(self, user: User, wish: Wish) -> tuple[str, list[PhaseEstimate]]:
        """The model, and what each phase may use; nothing is recorded and nothing is sent."""
        require(user, "read")
        return await self._orchestrator.estimate(await self._request(user, wish, "", ""))

    async def _request(
        self, user: User, wish: Wish, project_id: str, run_id: str, tasks: int | None = None
    ) -> RunRequest:
        keys = tuple(await self._keyring.of_user(user.user_id))
        # Reading YAML takes its time: in a thread it holds up nobody else.
        graph = await asyncio.to_thread(self._load_graph, wish.workflow)
        return request_of(wish, graph, user, keys, project_id=project_id, run_id=run_id, tasks=tasks)

    async def _start(self, request: RunRequest) -> RunRow:
        try:
            session = await self._orchestrator.start(request)
        except StoreError as error:
            try:
                # The same request, sent twice, was quicker: its run has this id.
                return await self._orchestrator.row(request.run_id, owner_id=request.owner_id)
            except UnknownNameError:
                raise error from None
        await self._keeper.take(session)
        return await self._orchestrator.row(session.state.run_id, owner_id=request.owner_id)


def _check_same(reply: Reply, request_hash: str, key: str) -> None:
    """Raises `ConflictError` where the key was used for another request."""
    if reply.request_hash != request_hash:
        raise ConflictError(
            f"The idempotency key '{key}' was used for another request.",
            "It stands for one request only.",
            "Send the same request, or another key.",
        )
