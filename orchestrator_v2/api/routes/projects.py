"""`/projects`: made, listed, looked at, run, advanced by a phase, estimated, deleted.

What may be asked of a single run is `runs.py`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.answers import EstimateAnswer, ProjectAnswer, ProjectPage, RunAnswer, RunPage, StandingAnswer
from orchestrator_v2.api.bodies import Id, ProjectBody
from orchestrator_v2.api.problems import responses
from orchestrator_v2.core.errors import RunStateError

router = APIRouter(prefix="/projects", tags=["projects"])
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="A name of your own for this request: sent again with it, it is done once.",
    ),
]
Before = Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.post("", status_code=201, responses=responses(404, 409))
async def create_project(
    body: ProjectBody, user: CurrentUser, service: TheService, response: Response, key: Key = ""
) -> ProjectAnswer:
    """A new project; unless `run` is false its first run starts at once."""
    view = await service.projects.create(user, body.wish(), run=body.run, key=key)
    response.headers["Location"] = f"/projects/{view.row.project_id}"
    return ProjectAnswer.of(view)


@router.get("", responses=responses())
async def list_projects(
    user: CurrentUser, service: TheService, before: Before = None, limit: Limit = 50
) -> ProjectPage:
    """Your projects, the newest first."""
    return ProjectPage.of(await service.projects.page(user, before=before, limit=limit + 1), limit)


@router.post("/estimate", responses=responses(404))
async def estimate_project(body: ProjectBody, user: CurrentUser, service: TheService) -> EstimateAnswer:
    """What a real run of such a project may cost, phase by phase; nothing is made and nothing is sent."""
    model, lines = await service.projects.estimate(user, body.wish())
    return EstimateAnswer.of(model, lines)


@router.get("/{project_id}", responses=responses(404))
async def show_project(project_id: Id, user: CurrentUser, service: TheService) -> ProjectAnswer:
    return ProjectAnswer.of(await service.projects.get(user, project_id))


@router.delete("/{project_id}", status_code=204, responses=responses(404))
async def delete_project(project_id: Id, user: CurrentUser, service: TheService) -> None:
    """Cancels the project's runs and takes it off every list. What its calls cost stays in your usage."""
    await service.projects.delete(user, project_id)


@router.get("/{project_id}/status", responses=responses(404, 409))
async def project_status(project_id: Id, user: CurrentUser, service: TheService) -> StandingAnswer:
    """The latest run with its phases, and what waits for a review."""
    view = await service.projects.get(user, project_id)
    if view.run is None:
        raise RunStateError("The project has no run yet.", do="POST …/runs starts one, …/advance does one phase.")
    return StandingAnswer.of(await service.runs.standing(user, view.run.run_id))


@router.post("/{project_id}/advance", status_code=202, responses=responses(404, 409))
async def advance_project(project_id: Id, user: CurrentUser, service: TheService) -> RunAnswer:
    """One phase of the latest run, or of a first one; then it pauses."""
    return RunAnswer.of(await service.projects.advance(user, project_id))


@router.get("/{project_id}/runs", responses=responses(404))
async def project_runs(
    project_id: Id, user: CurrentUser, service: TheService, before: Before = None, limit: Limit = 50
) -> RunPage:
    return RunPage.of(await service.projects.runs(user, project_id, before=before, limit=limit + 1), limit)


@router.post("/{project_id}/runs", status_code=202, responses=responses(404, 409))
async def start_run(project_id: Id, user: CurrentUser, service: TheService, key: Key = "") -> RunAnswer:
    """A further run of the project, as it was wished for."""
    return RunAnswer.of(await service.projects.start_run(user, project_id, key=key))
