"""`/runs`: one run's standing, cost and checkpoints, and what a user decides about it.

Its events are `events.py`, its files `artifacts.py`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.answers import CheckpointAnswer, CostAnswer, RunAnswer, RunPage, StandingAnswer
from orchestrator_v2.api.bodies import EditBody, Id, ResumeBody, RetryBody, ReviewBody, RollbackBody
from orchestrator_v2.api.problems import responses
from orchestrator_v2.api.routes.projects import Before, Limit
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.engine.state_models import RunStatus

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("", responses=responses())
async def list_runs(
    user: CurrentUser,
    service: TheService,
    status: Annotated[list[RunStatus] | None, Query(max_length=20)] = None,
    before: Before = None,
    limit: Limit = 50,
) -> RunPage:
    """Your runs of all projects, the newest first."""
    statuses = [it.value for it in status or ()]
    return RunPage.of(await service.runs.page(user, statuses=statuses, before=before, limit=limit + 1), limit)


@router.get("/{run_id}", responses=responses(404))
async def show_run(run_id: Id, user: CurrentUser, service: TheService) -> StandingAnswer:
    return StandingAnswer.of(await service.runs.standing(user, run_id))


@router.get("/{run_id}/cost", responses=responses(404))
async def run_cost(run_id: Id, user: CurrentUser, service: TheService) -> CostAnswer:
    """What the run's model calls cost, by phase and by model, from the ledger."""
    return CostAnswer.of(await service.runs.cost(user, run_id))


@router.get("/{run_id}/checkpoints", responses=responses(404))
async def checkpoints(run_id: Id, user: CurrentUser, service: TheService) -> list[CheckpointAnswer]:
    """The phases that the run can be rolled back to."""
    return [CheckpointAnswer.of(it) for it in await service.runs.checkpoints(user, run_id)]


@router.post("/{run_id}/rollback", status_code=202, responses=responses(404, 409))
async def rollback(run_id: Id, body: RollbackBody, user: CurrentUser, service: TheService) -> RunAnswer:
    """Back to before a phase, in place; what was made is in the history, and nothing is paid twice for what stays."""
    files = {path: text.encode() for path, text in body.files.items()}
    return RunAnswer.of(await service.runs.rollback(user, run_id, body.phase, files))


@router.post("/{run_id}/cancel", status_code=202, responses=responses(404, 409))
async def cancel(run_id: Id, user: CurrentUser, service: TheService) -> RunAnswer:
    """Ends the run for good."""
    return RunAnswer.of(await service.runs.cancel(user, run_id))


@router.post("/{run_id}/pause", status_code=202, responses=responses(404, 409))
async def pause(run_id: Id, user: CurrentUser, service: TheService) -> RunAnswer:
    """What is under way ends, nothing more is started; `resume` goes on."""
    return RunAnswer.of(await service.runs.pause(user, run_id))


@router.post("/{run_id}/resume", status_code=202, responses=responses(404, 409))
async def resume(run_id: Id, user: CurrentUser, service: TheService, body: ResumeBody | None = None) -> RunAnswer:
    """Goes on with a run that stands still or has failed, with a new budget where one is given."""
    budget = None if body is None or body.budget is None else nano_usd(body.budget)
    return RunAnswer.of(await service.runs.resume(user, run_id, budget=budget))


@router.post("/{run_id}/retry", status_code=202, responses=responses(404, 409))
async def retry(run_id: Id, body: RetryBody, user: CurrentUser, service: TheService) -> RunAnswer:
    """Does one phase anew, and all that stands on it, with fresh model calls."""
    return RunAnswer.of(await service.runs.retry(user, run_id, body.phase))


@router.post("/{run_id}/reviews", status_code=202, responses=responses(404, 409))
async def review(run_id: Id, body: ReviewBody, user: CurrentUser, service: TheService) -> RunAnswer:
    """Approves or rejects what waits for a person; refused where another content is up for review by now."""
    row = await service.runs.review(
        user, run_id, approved=body.decision == "approve", content=body.content, phase=body.phase, reason=body.reason
    )
    return RunAnswer.of(row)


@router.post("/{run_id}/edit", status_code=202, responses=responses(404, 409))
async def edit(run_id: Id, body: EditBody, user: CurrentUser, service: TheService) -> RunAnswer:
    """Your own text in a file's place while its review waits; what stands on it is done again."""
    content = body.content.encode()
    return RunAnswer.of(await service.runs.edit(user, run_id, path=body.path, content=content, seen=body.seen))
