"""Typed operations of a user: asked, begun in the background, looked at; every query names the owner.

How an operation is answered is `operations/orchestrator.py`; projects are `projects.py`.
"""

from __future__ import annotations

from orchestrator_v2.core.accounts import Keyring, User
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.orchestrator import LLMOrchestrator
from orchestrator_v2.operations.ports import Caller
from orchestrator_v2.operations.types import LLMRequest, LLMResponse
from orchestrator_v2.service.keeper import Keeper
from orchestrator_v2.service.rights import require
from orchestrator_v2.service.room import Room


class OperationService:
    def __init__(self, operations: LLMOrchestrator, keyring: Keyring, keeper: Keeper, room: Room) -> None:
        self._operations = operations
        self._keyring = keyring
        self._keeper = keeper
        self._room = room

    def handlers(self, user: User) -> list[AnyHandler]:
        """The operations there are, in the order of their ids."""
        require(user, "read")
        return list(self._operations.registry.all().values())

    def handler(self, user: User, operation_id: str) -> AnyHandler:
        """Raises `UnknownFeatureError`, `UnknownOperationError`."""
        require(user, "read")
        return self._operations.registry.named(operation_id)

    async def execute(self, user: User, request: LLMRequest) -> LLMResponse:
        """The answer, with the keys that the user has stored and no others.

        Raises `LimitedError` where the user waits for too many already, and as `LLMOrchestrator.execute`.
        """
        require(user, "write")
        with self._room.seat(user):
            return await self._operations.execute(request, caller=await self._caller(user))

    async def start(self, user: User, request: LLMRequest) -> str:
        """Begins it in the background and gives the id of its run; it goes on when its turn comes.

        Raises `LimitedError` where too many are under way, and what `execute` raises before anything is sent.
        """
        require(user, "write")
        async with self._room.one_at_a_time(user):
            await self._room.check(user)
            run_id = await self._operations.start(request, caller=await self._caller(user))
        self._keeper.look()
        return run_id

    async def response(self, user: User, run_id: str) -> LLMResponse:
        """The run as it stands. Raises `RunNotFoundError`, for another user's run as for none."""
        require(user, "read")
        return await self._operations.response(run_id, owner_id=user.scope)

    async def page(self, user: User, *, before: int | None = None, limit: int = 50) -> list[RunRow]:
        """Runs of operations, the newest first."""
        require(user, "read")
        return await self._operations.history(owner_id=user.scope, before=before, limit=limit)

    async def _caller(self, user: User) -> Caller:
        return Caller(user.user_id, tuple(await self._keyring.of_user(user.user_id)), user.models)
