"""`LLMOrchestrator`: one typed question in, one typed answer out, over the same engine and journal as a project's run.

What a request may say is `types.py`, how its steps are done `runner.py`; parts come from bootstrap (`ports.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from orchestrator_v2.core.accounts import LOCAL, OPERATIONS
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import OrchestratorError, RunStateError, StoreError
from orchestrator_v2.core.events import PhaseSkipped
from orchestrator_v2.core.operation_errors import (
    InvalidRequestError,
    OperationTimeoutError,
    RunNotFoundError,
    ValidationFailedError,
)
from orchestrator_v2.core.sync import call_in
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.engine.transitions import fold
from orchestrator_v2.operations.failures import failure_of, translated
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.once import Once, Reserved
from orchestrator_v2.operations.ports import LOCAL_CALLER, Caller, Replies, Route, Router, Runs
from orchestrator_v2.operations.reading import ResponseReader
from orchestrator_v2.operations.record import OperationRecord, cache_digest, encode_record
from orchestrator_v2.operations.registry import OperationRegistry
from orchestrator_v2.operations.steps import build_graph
from orchestrator_v2.operations.types import LLMRequest, LLMResponse

# How often one who waits for another's drive of the same run looks again (seconds).
_POLL = 0.1


class OperationParts(msgspec.Struct, frozen=True):
    """The concrete parts, made by bootstrap. `digest` is of an operation's prompts; `close` gives everything back."""

    runs: Runs
    replies: Replies
    router: Router
    registry: OperationRegistry
    digest: Callable[[AnyHandler], str]
    once: Once
    clock: Clock
    close: Callable[[], Awaitable[None]]


class _Asked(msgspec.Struct, frozen=True):
    request: LLMRequest
    caller: Caller
    handler: AnyHandler
    data: BaseModel


class LLMOrchestrator:
    """Open one with `open_operations(...)`; it is an async context manager."""

    def __init__(self, parts: OperationParts) -> None:
        self._parts = parts
        self._runs = parts.runs
        self._reader = ResponseReader(parts.runs, parts.clock)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> LLMOrchestrator:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._parts.close()

    @property
    def registry(self) -> OperationRegistry:
        return self._parts.registry

    async def execute(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> LLMResponse:
        """The answer. Raises one of the fourteen `OperationError` classes, and `StoreError` where the database is lost.

        A call that was paid for is kept: the same `idempotency_key`, or `resume(run_id)`, goes on from there.
        """
        context = {"operation": request.operation_id}
        try:
            asked = self._asked(request, caller)
            reserved = await self._parts.once.reserve(caller, request)
            context["run_id"] = reserved.run_id
            async with self._deadline(request, reserved.run_id):
                return await self._answered(asked, reserved)
        except OrchestratorError as error:
            told = translated(error, context)
            raise told from (None if told is error else error)

    def execute_sync(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> LLMResponse:
        """`execute` for code that is not async: in any thread but the one of the loop that this was opened in."""
        return call_in(self._loop, lambda: self.execute(request, caller=caller))

    async def start(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> str:
        """Records the run, undriven, and gives its id; a server's keeper of runs drives it. Raises as `execute`."""
        context = {"operation": request.operation_id}
        try:
            asked = self._asked(request, caller)
            reserved = await self._parts.once.reserve(caller, request)
            found = await self._found(reserved, caller)
            if found is None:
                await self._runs.put_by(await self._begun(asked, reserved, await self._route(asked)))
            return reserved.run_id
        except OrchestratorError as error:
            told = translated(error, context)
            raise told from (None if told is error else error)

    async def resume(self, run_id: str, *, caller: Caller = LOCAL_CALLER) -> LLMResponse:
        """Goes on with an operation that was cut off, stands still or has failed. Raises as `execute`."""
        row = await self._reader.row(run_id, caller.owner_id)
        try:
            return await self._gone_on(row, caller)
        except OrchestratorError as error:
            told = translated(error, {"operation": row.operation, "run_id": row.run_id})
            raise told from (None if told is error else error)

    async def response(self, run_id: str, *, owner_id: str | None = LOCAL) -> LLMResponse:
        """The operation's run as it stands, also without an answer. Raises `RunNotFoundError`."""
        return await self._reader.read(run_id, owner_id=owner_id)

    async def history(
        self, *, owner_id: str | None = LOCAL, before: int | None = None, limit: int = 50
    ) -> list[RunRow]:
        """Runs of operations, the newest first; `before` is the run_no of the last row of the page before."""
        return await self._runs.rows(owner_id=owner_id, before=before, limit=limit, operations=True)

    def _asked(self, request: LLMRequest, caller: Caller) -> _Asked:
        handler = self._parts.registry.find(request.feature, request.operation)
        if request.mode not in handler.modes():
            raise InvalidRequestError(
                f"{handler.operation_id} has no mode '{request.mode}'.",
                "It asks one question and has no agents.",
                "Use mode monolithic.",
            )
        return _Asked(request, caller, handler, _data(handler, request.data))

    @asynccontextmanager
    async def _deadline(self, request: LLMRequest, run_id: str) -> AsyncIterator[None]:
        """Ends what goes on when the time is over."""
        seconds = None if request.timeout_ms is None else request.timeout_ms / 1_000
        try:
            async with asyncio.timeout(seconds) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise OperationTimeoutError(
                f"The operation took longer than {request.timeout_ms} ms.",
                "What was in flight may be billed; what was answered is kept.",
                "Resume the run, send the same idempotency key again, or allow more time.",
                context={"run_id": run_id, "timeout_ms": request.timeout_ms},
            ) from error

    async def _set_aside(self, run_id: str) -> None:
        """Pauses a run that nobody waits for any more, so that nobody goes on paying for it."""
        try:
            await self._runs.wish(run_id, "pause", by="its caller, who waits no longer")
        except RunStateError:
            return  # it has come to its end meanwhile
        await self._runs.take_signals(run_id)

    async def _answered(self, asked: _Asked, reserved: Reserved) -> LLMResponse:
        known = await self._found(reserved, asked.caller)
        if known is not None:
            return await self._gone_on(known, asked.caller, replayed=True)
        route = await self._route(asked)
        digest = self._digest(asked, route)
        hit = await self._hit(asked, digest)
        if hit is not None:
            return hit
        try:
            session = await self._begun(asked, reserved, route)
        except StoreError:
            # The same request came twice at once, and the other one was quicker.
            known = await self._found(reserved, asked.caller)
            if known is None:
                raise
            return await self._gone_on(known, asked.caller, replayed=True)
        response = await self._driven(session, asked.caller)
        if _is_whole(response) and asked.request.cache_policy != "bypass":
            await self._parts.once.keep(asked.caller, digest, reserved.run_id)
        return response

    async def _found(self, reserved: Reserved, caller: Caller) -> RunRow | None:
        """The run of an earlier request with the same key; its process may have died before it was begun."""
        if not reserved.known:
            return None
        try:
            return await self._reader.row(reserved.run_id, caller.owner_id)
        except RunNotFoundError:
            return None

    async def _route(self, asked: _Asked) -> Route:
        sees = bool(asked.handler.images(asked.data))
        return await self._parts.router.route(asked.request, asked.caller, sees=sees)

    def _digest(self, asked: _Asked, route: Route) -> str:
        choice = route.choice
        backing = [choice.provider, choice.model, choice.base_url, choice.reasoning, choice.search] if choice else []
        words = self._parts.digest(asked.handler)
        return cache_digest(asked.request, prompts=words, backing=[route.mode, *backing])

    async def _hit(self, asked: _Asked, digest: str) -> LLMResponse | None:
        if asked.request.cache_policy != "use":
            return None
        run_id = await self._parts.once.cached(asked.caller, digest)
        if not run_id:
            return None
        try:
            found = await self.response(run_id, owner_id=asked.caller.owner_id)
        except RunNotFoundError:
            return None
        return _again(found, cache="hit", request=asked.request.metadata) if found.success else None

    async def _begun(self, asked: _Asked, reserved: Reserved, route: Route) -> RunSession:
        request, handler = asked.request, asked.handler
        record = OperationRecord(
            request=request.model_dump(mode="json"), routing=dict(route.decision), warnings=route.warnings
        )
        choice = route.choice
        new = NewRun(
            name=handler.operation_id,
            brief=self._parts.router.scrub(encode_record(record)),
            graph=build_graph(handler, request.mode),
            mode=route.mode,
            provider=choice.provider if choice else "",
            model=choice.model if choice else "",
            base_url=choice.base_url if choice else "",
            default=choice,
            budget=route.budget,
            rules=route.rules,
            prices=dict(route.prices),
            parallelism=handler.concurrency,
            prompts=self._parts.digest(handler),
            owner_id=asked.caller.owner_id,
            project_id=OPERATIONS,
            keyring=asked.caller.keyring is not None and choice is not None,
            operation=handler.operation_id,
            run_id=reserved.run_id,
        )
        return await self._runs.begin(new)

    async def _driven(self, session: RunSession, caller: Caller) -> LLMResponse:
        try:
            state = await self._runs.drive(session)
        except asyncio.CancelledError:
            await asyncio.shield(self._set_aside(session.state.run_id))
            raise
        if state.status is not RunStatus.COMPLETED:
            raise failure_of(state, await self._runs.events(state.run_id), self._parts.clock.now())
        return await self._reader.read(state.run_id, owner_id=caller.owner_id)

    async def _gone_on(self, row: RunRow, caller: Caller, *, replayed: bool = False) -> LLMResponse:
        """The stored answer, or the run taken to its end: by us, or by whoever drives it now."""
        while True:
            if row.status == RunStatus.COMPLETED:
                found = await self._reader.read(row.run_id, owner_id=caller.owner_id)
                return _again(found, replayed=replayed)
            if row.status == RunStatus.WAITING_PROVIDER and (row.resume_at or 0.0) > self._parts.clock.now():
                # The provider has asked to wait: sending again now would be what it asked not to do.
                events = await self._runs.events(row.run_id)
                raise failure_of(fold(row.run_id, events), events, self._parts.clock.now())
            if row.status == RunStatus.RUNNING and not await self._runs.is_interrupted(row):
                await self._parts.clock.sleep(_POLL)
            else:
                try:
                    return await self._driven(await self._runs.resumed(row.run_id, by="the same request"), caller)
                except RunStateError:
                    if row.status == RunStatus.CANCELLED:
                        raise
                    # Another process was quicker.
                    await self._parts.clock.sleep(_POLL)
            row = await self._reader.row(row.run_id, caller.owner_id)


def _data(handler: AnyHandler, data: dict[str, Any]) -> BaseModel:
    """The data as the handler takes it. Raises `ValidationFailedError` with every problem at once."""
    try:
        return handler.request_schema.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [{"field": ".".join(map(str, it["loc"])) or "data", "message": it["msg"]} for it in found]
    told = "; ".join(f"{it['field']}: {it['message']}" for it in problems[:20])
    more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ValidationFailedError(
        f"The data for {handler.operation_id} has {count}.",
        f"{told}{more}.",
        f"`orchestrator op show {handler.operation_id}` prints the schema.",
        context={"problems": problems},
    )


def _is_whole(response: LLMResponse) -> bool:
    """Whether it may be given again: every agent answered, and the model that was chosen did."""
    left_out = any(moment.what == PhaseSkipped.__name__ for moment in response.metadata.events)
    return not left_out and response.metadata.provenance != "fallback"


def _again(response: LLMResponse, **more: Any) -> LLMResponse:
    """An answer that was there already: it costs nothing this time."""
    metadata = response.metadata.model_copy(update={"cost_usd": 0.0, **more})
    return response.model_copy(update={"metadata": metadata})
