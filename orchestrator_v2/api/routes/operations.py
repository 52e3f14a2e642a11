"""`/operations`: what can be asked, asking it, and the runs that answer.

What a question may say is `operations/types.py`; runs of projects are `runs.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, Field

from orchestrator_v2.agents.schemas import answer_schema
from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.bodies import Id
from orchestrator_v2.api.connected import while_connected
from orchestrator_v2.api.problems import responses
from orchestrator_v2.api.routes.projects import Before, Key, Limit
from orchestrator_v2.core.operation_errors import InvalidRequestError
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.operations.handler import AnyHandler
from orchestrator_v2.operations.types import LLMRequest, LLMResponse, OperationQuestion

router = APIRouter(prefix="/operations", tags=["operations"])
OperationId = Annotated[
    str,
    Path(
        max_length=120,
        pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+$",
        description="`feature.operation`, as /operations lists them.",
    ),
]
Prefer = Annotated[
    list[Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")]],
    Header(
        max_length=10,
        description="`respond-async` (RFC 7240): answer 202 at once; the run goes on in the background.",
    ),
]


class AgentOfAnswer(BaseModel):
    name: str
    title: str
    charge: str


class OperationAnswer(BaseModel):
    """An operation: its modes, the shape of its data and of its answer (JSON Schema), the agents of mode agentic."""

    id: str
    summary: str
    modes: list[str]
    request_schema: dict[str, Any]
    response_schema: dict[str, Any]
    agents: list[AgentOfAnswer]

    @classmethod
    def of(cls, handler: AnyHandler) -> OperationAnswer:
        return cls(
            id=handler.operation_id,
            summary=handler.summary,
            modes=list(handler.modes()),
            request_schema=handler.request_schema.model_json_schema(),
            response_schema=answer_schema(handler.response_schema),
            agents=[AgentOfAnswer(name=it.name, title=it.title, charge=it.charge) for it in handler.agents],
        )


class OperationRunAnswer(BaseModel):
    """A run that answers an operation, as a list shows it; times are in epoch seconds."""

    run_id: str
    operation: str
    mode: str
    status: str
    created_at: float
    updated_at: float

    @classmethod
    def of(cls, row: RunRow) -> OperationRunAnswer:
        return cls(
            run_id=row.run_id,
            operation=row.operation,
            mode=row.mode,
            status=row.status,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class OperationRunPage(BaseModel):
    """`next` is the `before` of the page that follows; null on the last one."""

    items: list[OperationRunAnswer]
    next: int | None


class BegunAnswer(BaseModel):
    """A run that goes on in the background; `location` is where its answer will be."""

    run_id: str
    location: str


@router.get("", responses=responses())
async def list_operations(user: CurrentUser, service: TheService) -> list[OperationAnswer]:
    """The operations there are, with the shapes of their data and answers."""
    return [OperationAnswer.of(handler) for handler in service.operations.handlers(user)]


@router.get("/runs", responses=responses())
async def list_operation_runs(
    user: CurrentUser, service: TheService, before: Before = None, limit: Limit = 50
) -> OperationRunPage:
    """Your runs of operations, the newest first."""
    rows = await service.operations.page(user, before=before, limit=limit + 1)
    following = rows[limit - 1].run_no if len(rows) > limit else None
    return OperationRunPage(items=[OperationRunAnswer.of(row) for row in rows[:limit]], next=following)


@router.get("/runs/{operation_run}", responses=responses(404))
async def show_operation_run(operation_run: Id, user: CurrentUser, service: TheService) -> LLMResponse:
    """The answer, or why there is none yet: then `success` is false, and `metadata.status` tells how the run stands."""
    return await service.operations.response(user, operation_run)


@router.get("/{operation_id}", responses=responses())
async def show_operation(operation_id: OperationId, user: CurrentUser, service: TheService) -> OperationAnswer:
    return OperationAnswer.of(service.operations.handler(user, operation_id))


@router.post(
    "/{operation_id}",
    response_model=LLMResponse,
    responses=responses(404, 409, 502, 504)
    | {202: {"model": BegunAnswer, "description": "Begun; asked for by `Prefer: respond-async`."}},
)
async def execute_operation(
    operation_id: OperationId,
    body: OperationQuestion,
    user: CurrentUser,
    service: TheService,
    request: Request,
    response: Response,
    key: Key = "",
    prefer: Prefer = [],  # noqa: B006 - never changed; a header that is not there
) -> Any:
    """Asks it, and waits for the answer. What was paid for is kept: the same Idempotency-Key goes on from there."""
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidRequestError("The request has several Idempotency-Key headers.", do="Send one of them.")
    asked = _request(operation_id, body, key)
    wishes = {wish.split(";")[0].strip().lower() for line in prefer for wish in line.split(",")}
    if "respond-async" not in wishes:
        return await while_connected(request, service.operations.execute(user, asked))
    run_id = await service.operations.start(user, asked)
    where = f"/operations/runs/{run_id}"
    response.status_code = 202
    response.headers["Location"] = where
    response.headers["Preference-Applied"] = "respond-async"
    return _plain(BegunAnswer(run_id=run_id, location=where), response)


def _plain(answer: BaseModel, response: Response) -> Response:
    """Past the form of the usual answer, which this is none of."""
    return Response(
        answer.model_dump_json(), response.status_code, dict(response.headers), media_type="application/json"
    )


def _request(operation_id: str, body: OperationQuestion, key: str) -> LLMRequest:
    feature, _, operation = operation_id.partition(".")
    if key and body.idempotency_key and key != body.idempotency_key:
        raise InvalidRequestError(
            "The request has two idempotency keys.",
            "The header says another than the body.",
            "Send one of them.",
        )
    given = {**dict(body), "idempotency_key": body.idempotency_key or key}
    return LLMRequest(feature=feature, operation=operation, **given)
