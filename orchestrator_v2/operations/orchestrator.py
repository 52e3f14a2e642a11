"""`LLMOrchestrator`: one typed question in, one typed answer out, over the same engine and journal as a project's run.

What a request may say is `types.py`, what is checked of it `asking.py`, how a run is taken to its end `walking.py`;
parts come from bootstrap (`ports.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from orchestrator_v2.core.accounts import LOCAL, OPERATIONS
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import FencedError, RunStateError, StoreError
from orchestrator_v2.core.events import PhaseSkipped
from orchestrator_v2.core.operation_errors import InvalidRequestError, OperationTimeoutError, RunNotFoundError
from orchestrator_v2.core.sync import call_in
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.engine.transitions import fold
from orchestrator_v2.operations.asking import Asked, Prompting, checked
from orchestrator_v2.operations.failures import failure_of, in_our_words
from orchestrator_v2.operations.once import Once, Reserved
from orchestrator_v2.operations.ports import LOCAL_CALLER, Caller, Replies, Route, Router, Runs
from orchestrator_v2.operations.reading import ResponseReader
from orchestrator_v2.operations.record import OperationRecord, cache_digest, encode_record
from orchestrator_v2.operations.registry import OperationRegistry
from orchestrator_v2.operations.steps import build_graph
from orchestrator_v2.operations.types import LLMRequest, LLMResponse, Spent
from orchestrator_v2.operations.walking import Walker

# How often one who waits for another process's drive of the same run looks again (seconds).
_POLL = 0.1


class OperationParts(msgspec.Struct, frozen=True):
    """The concrete parts, made by bootstrap. `prompts` are an operation's; `close` gives everything back."""

    runs: Runs
    replies: Replies
    router: Router
    registry: OperationRegistry
    prompts: Prompting
    once: Once
    clock: Clock
    close: Callable[[], Awaitable[None]]


class LLMOrchestrator:
    """Open one with `open_operations(...)`; it is an async context manager."""

    def __init__(self, parts: OperationParts) -> None:
        self._parts = parts
        self._runs = parts.runs
        self._once = parts.once
        self._walker = Walker(parts.runs)
        self._reader = ResponseReader(parts.runs, parts.clock)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> LLMOrchestrator:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._walker.close()
        await self._parts.close()

    def stop(self) -> None:
        """Begins nothing further; what is under way ends (at most 30 s), and who waits is told where it stands."""
        self._runs.stop()

    @property
    def registry(self) -> OperationRegistry:
        return self._parts.registry

    async def execute(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> LLMResponse:
        """The answer. Raises one of the fourteen `OperationError` classes, and `StoreError` where the database is lost.

        A call that was paid for is kept: the same `idempotency_key`, or `resume(run_id)`, goes on from there. Who
        cancels this leaves the run paused.
        """
        context = {"operation": request.operation_id}
        with in_our_words(context):
            asked = checked(self._parts.registry, request, caller)
            reserved = await self._once.reserve(caller, request)
            context["run_id"] = reserved.run_id
            async with _deadline(request, reserved.run_id), self._walker.turn(reserved.run_id):
                return await self._answered(asked, reserved)

    def execute_sync(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> LLMResponse:
        """`execute` for code that is not async: in any thread but the one of the loop that this was opened in."""
        return call_in(self._loop, lambda: self.execute(request, caller=caller))

    async def start(self, request: LLMRequest, *, caller: Caller = LOCAL_CALLER) -> str:
        """Records the run, undriven, and gives its id; a server's keeper of runs drives it. Raises as `execute`.

        With a key that was used before it goes on with that run, if it stands still; an equal request's answer is
        given where the cache may be used.
        """
        context = {"operation": request.operation_id}
        if request.timeout_ms is not None:
            raise InvalidRequestError(
                "A run in the background has no deadline.", "Nobody waits for it.", "Leave `timeout_ms` out, or wait."
            )
        with in_our_words(context):
            asked = checked(self._parts.registry, request, caller)
            reserved = await self._once.reserve(caller, request)
            context["run_id"] = reserved.run_id
            async with self._walker.turn(reserved.run_id):
                return await self._started(asked, reserved)

    async def resume(self, run_id: str, *, caller: Caller = LOCAL_CALLER, budget: int | None = None) -> LLMResponse:
        """Goes on with an operation that was cut off, stands still or has failed; `budget` is a new ceiling in
        nano-dollars. Raises as `execute`."""
        row = await self._reader.row(run_id, caller.owner_id)
        with in_our_words({"operation": row.operation, "run_id": row.run_id}):
            async with self._walker.turn(row.run_id):
                return await self._gone_on(row.run_id, caller, budget)

    async def response(self, run_id: str, *, owner_id: str | None = LOCAL) -> LLMResponse:
        """The operation's run as it stands, also without an answer. Raises `RunNotFoundError`."""
        return await self._reader.read(run_id, owner_id=owner_id)

    async def history(
        self, *, owner_id: str | None = LOCAL, before: int | None = None, limit: int = 50
    ) -> list[RunRow]:
        """Runs of operations, the newest first; `before` is the run_no of the last row of the page before."""
        return await self._runs.rows(owner_id=owner_id, before=before, limit=limit, operations=True)

    async def _answered(self, asked: Asked, reserved: Reserved) -> LLMResponse:
        if await self._is_there(reserved, asked.caller):
            return await self._again(asked, reserved.run_id)
        route = await self._route(asked)
        cached = await self._cached(asked, route)
        if cached is not None:
            return cached
        try:
            session = await self._walker.opened(self._begun(asked, reserved, route))
        except StoreError:
            # The same key came to two processes at once, and the other one was quicker.
            if not await self._is_there(msgspec.structs.replace(reserved, known=True), asked.caller):
                raise
            return await self._again(asked, reserved.run_id)
        return await self._driven(session, asked.caller)

    async def _started(self, asked: Asked, reserved: Reserved) -> str:
        if await self._is_there(reserved, asked.caller):
            return await self._gone_on_behind(asked, reserved.run_id)
        route = await self._route(asked)
        cached = await self._cached(asked, route)
        if cached is not None:
            return cached.metadata.run_id
        try:
            session = await self._walker.opened(self._begun(asked, reserved, route, attended=False))
        except StoreError:
            if not await self._is_there(msgspec.structs.replace(reserved, known=True), asked.caller):
                raise
            return reserved.run_id
        await self._runs.put_by(session)
        return reserved.run_id

    async def _gone_on_behind(self, asked: Asked, run_id: str) -> str:
        """A run that stands still is going on again, by the journal; one that waits its turn or is done is left."""
        row = await self._reader.row(run_id, asked.caller.owner_id)
        if row.status not in (RunStatus.COMPLETED, RunStatus.RUNNING, RunStatus.CANCELLED):
            budget = _budget(asked.request)
            opening = self._runs.resumed(run_id, by="the same request", budget=budget, attended=False)
            await self._runs.put_by(await self._walker.opened(opening))
        return run_id

    async def _again(self, asked: Asked, run_id: str) -> LLMResponse:
        """The answer under a key that was used before; what was said beside the data is the present request's."""
        found = await self._gone_on(run_id, asked.caller, _budget(asked.request))
        return _given_again(found, asked.request) if found.metadata.replayed else found

    async def _is_there(self, reserved: Reserved, caller: Caller) -> bool:
        """Whether an earlier request has begun it; its process may have died before it did."""
        if not reserved.known:
            return False
        try:
            await self._reader.row(reserved.run_id, caller.owner_id)
        except RunNotFoundError:
            return False
        return True

    async def _route(self, asked: Asked) -> Route:
        return await self._parts.router.route(asked.request, asked.caller, sees=asked.sees)

    def _digest(self, asked: Asked, route: Route) -> str:
        """Empty where the answer is neither looked for nor kept."""
        if asked.request.cache_policy == "bypass":
            return ""
        choice, prompts = route.choice, self._parts.prompts(asked.handler)
        backing = [choice.provider, choice.model, choice.base_url, choice.reasoning, choice.search] if choice else []
        return cache_digest(
            asked.request,
            version=prompts.digest,
            task=asked.own("fills its template", lambda: prompts.task(asked.data)),
            backing=[route.mode, *backing],
        )

    async def _cached(self, asked: Asked, route: Route) -> LLMResponse | None:
        """An equal request's whole answer; from here on it is also that of this request's key."""
        run_id = ""
        if asked.request.cache_policy == "use":
            run_id = await self._once.cached(asked.caller, self._digest(asked, route))
        if not run_id:
            return None
        try:
            found = await self.response(run_id, owner_id=asked.caller.owner_id)
        except RunNotFoundError:
            return None
        if not (found.success and _is_whole(found)):
            return None
        await self._once.point(asked.caller, asked.request, run_id)
        return _given_again(found, asked.request, cache="hit")

    async def _begun(self, asked: Asked, reserved: Reserved, route: Route, *, attended: bool = True) -> RunSession:
        request, handler, scrub = asked.request, asked.handler, self._parts.router.scrub
        digest = self._digest(asked, route)
        given = request.model_dump(mode="json", exclude={"idempotency_key"})
        record = OperationRecord(
            request={**given, "data": scrub(given["data"]), "metadata": scrub(given["metadata"])},
            routing=dict(route.decision),
            warnings=route.warnings,
            cache_key=digest,
        )
        choice = route.choice
        session = await self._runs.begin(
            NewRun(
                name=handler.operation_id,
                brief=encode_record(record),
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
                prompts=self._parts.prompts(handler).digest,
                owner_id=asked.caller.owner_id,
                project_id=OPERATIONS,
                keyring=asked.caller.keyring is not None and choice is not None,
                operation=handler.operation_id,
                attended=attended,
                run_id=reserved.run_id,
            )
        )
        if digest and not attended:
            # Nobody is there to do it when the answer has come; one that is none is not given again.
            await self._once.keep(asked.caller, digest, reserved.run_id)
        return session

    async def _driven(self, session: RunSession, caller: Caller) -> LLMResponse:
        state = await self._walker.driven(session)
        if state.status is not RunStatus.COMPLETED:
            raise failure_of(state, await self._runs.events(state.run_id), self._parts.clock.now())
        response = await self._reader.read(state.run_id, owner_id=caller.owner_id)
        digest = await self._reader.cache_key(state)
        if digest and _is_whole(response):
            await self._once.keep(caller, digest, state.run_id)
        return response

    async def _gone_on(self, run_id: str, caller: Caller, budget: int | None) -> LLMResponse:
        """The stored answer, or the run taken to its end: by us, or by whichever process drives it now."""
        while True:
            row = await self._reader.row(run_id, caller.owner_id)
            if row.status == RunStatus.COMPLETED:
                found = await self._reader.read(run_id, owner_id=caller.owner_id)
                return found.model_copy(update={"metadata": found.metadata.model_copy(update={"replayed": True})})
            now = self._parts.clock.now()
            waits = row.status == RunStatus.WAITING_PROVIDER and (row.resume_at or 0.0) > now
            if row.status == RunStatus.CANCELLED or waits or self._runs.stopping:
                # A provider that asked to wait is not sent the same again before its time; nor does who stops wait.
                events = await self._runs.events(run_id)
                raise failure_of(fold(run_id, events), events, now)
            if row.status != RunStatus.RUNNING or await self._runs.is_interrupted(row):
                try:
                    opening = self._runs.resumed(run_id, by="the same request", budget=budget, attended=True)
                    return await self._driven(await self._walker.opened(opening), caller)
                except (RunStateError, FencedError):
                    pass  # another process was quicker, or has taken it over: its answer is ours too
            await self._parts.clock.sleep(_POLL)


@asynccontextmanager
async def _deadline(request: LLMRequest, run_id: str) -> AsyncIterator[None]:
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


def _budget(request: LLMRequest) -> int | None:
    return None if request.budget_usd is None else nano_usd(request.budget_usd)


def _is_whole(response: LLMResponse) -> bool:
    """Whether it may be given again: every agent answered, and the model that was chosen did."""
    left_out = any(moment.what == PhaseSkipped.__name__ for moment in response.metadata.events)
    return not left_out and response.metadata.provenance != "fallback"


def _given_again(response: LLMResponse, request: LLMRequest, **more: Any) -> LLMResponse:
    """An answer that was there already: it costs nothing this time. What it once cost is told by its run."""
    free = {"cost_usd": 0.0, "usage": Spent(), "request": request.metadata, **more}
    return response.model_copy(update={"metadata": response.metadata.model_copy(update=free)})
