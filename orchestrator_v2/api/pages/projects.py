"""The pages of projects: the list, the form of a new one with its price, one project with its runs.

What they show is made by `web/project_views.py` and `web/new_view.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.bodies import Id, ProjectBody
from orchestrator_v2.api.pages.page_route import Fields, PageRoute, frame_of, go_to, html, is_fragment, pages_of
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.frame import problem
from orchestrator_v2.api.web.new_view import Estimate, Filled, estimate_view, filled_from, new_form
from orchestrator_v2.api.web.project_views import project_list, project_page
from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import ConfigError, InputError
from orchestrator_v2.service.service import Service
from orchestrator_v2.service.wishes import Wish
from orchestrator_v2.settling import name_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Before = Annotated[int | None, Query(ge=1, le=2**62)]
_LIMIT = 24


@router.get(links.HOME)
async def home(request: Request, user: CurrentUser, service: TheService, before: Before = None) -> Response:
    views = await service.projects.page(user, before=before, limit=_LIMIT + 1)
    return html(request, user, "projects.html", list=project_list(views, limit=_LIMIT, before=before))


@router.get(links.NEW)
async def new(request: Request, user: CurrentUser, service: TheService) -> Response:
    return await _form(request, user, service, Filled(models=user.agents))


@router.post(links.CREATE)
async def create(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    filled = filled_from(fields)
    try:
        view = await service.projects.create(user, _wish(filled), key=fields.get("key", "")[:100])
    except InputError as error:
        return await _form(request, user, service, filled, error=error)
    return go_to(links.run(view.run.run_id) if view.run else links.project(view.row.project_id))


@router.post(links.ESTIMATE)
async def estimate(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    """A price range before the start; without a script it comes back in the form."""
    filled = filled_from(fields)
    try:
        model, lines = await service.projects.estimate(user, _wish(filled))
    except InputError as error:
        if not is_fragment(request):
            return await _form(request, user, service, filled, error=error)
        return _part(request, user, problem=problem(error))
    keys = await service.credentials.stored(user)
    free = filled.mode == "simulated" or (filled.mode == "auto" and not any(key.state == "ok" for key in keys))
    shown = estimate_view(model, lines, is_free=free)
    if not is_fragment(request):
        return await _form(request, user, service, filled, estimated=shown)
    return _part(request, user, estimate=shown)


def _part(request: Request, user: User, **values: Any) -> Response:
    given = {"estimate": None, "problem": None, **values}
    # htmx swaps in what went well only; a refusal is to be seen too.
    return HTMLResponse(pages_of(request).page("estimate.html", frame_of(request, user), **given))


@router.get("/ui/projects/{project_id}")
async def show(
    request: Request, project_id: Id, user: CurrentUser, service: TheService, before: Before = None
) -> Response:
    view = await service.projects.get(user, project_id)
    runs = await service.projects.runs(user, project_id, before=before, limit=_LIMIT + 1)
    queued = {row.run_id for row in runs if await service.orchestrator.is_interrupted(row)}
    shown = project_page(view, runs, limit=_LIMIT, queued=queued)
    return html(request, user, "project.html", project=shown, key=service.ids.new("form"))


@router.post("/ui/projects/{project_id}/runs")
async def start_run(project_id: Id, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    row = await service.projects.start_run(user, project_id, key=fields.get("key", "")[:100])
    return go_to(links.run(row.run_id), "started")


@router.post("/ui/projects/{project_id}/advance")
async def advance(project_id: Id, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    row = await service.projects.advance(user, project_id)
    return go_to(links.run(row.run_id), "advanced")


@router.post("/ui/projects/{project_id}/delete")
async def delete(project_id: Id, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    if fields.get("confirm") != "yes":
        raise ConfigError("The project was not deleted.", "The box was not ticked.", "Tick it if you mean it.")
    await service.projects.delete(user, project_id)
    return go_to(links.HOME, "deleted")


async def _form(
    request: Request,
    user: User,
    service: Service,
    filled: Filled,
    *,
    estimated: Estimate | None = None,
    error: InputError | None = None,
) -> Response:
    form = new_form(
        service.workflows,
        await service.credentials.stored(user),
        model_names(service),
        key=service.ids.new("form"),
        filled=filled,
        estimate=estimated,
        problem=problem(error) if error else None,
    )
    return html(request, user, "new.html", status=error.http_status if error else 200, form=form)


def model_names(service: Service) -> list[str]:
    """The models that are known by name, as `provider/model`."""
    return [f"{it.provider}/{it.name}" for it in service.credentials.catalog() if it.state != "retired"]


def _wish(filled: Filled) -> Wish:
    """The form as the API's own body, so that both hold the same to be right. Raises `ConfigError`."""
    provider, slash, model = filled.model.strip().partition("/")
    if filled.model.strip() and not (provider and slash and model):
        raise ConfigError(f"'{filled.model.strip()[:80]}' names no model.", do="Write provider/model.")
    given: Mapping[str, Any] = {
        "project_name": filled.name.strip() or name_of(filled.brief),
        "brief": filled.brief,
        "workflow": filled.workflow,
        "mode": filled.mode,
        "provider": provider,
        "model": model,
        "budget": amount(filled.budget, "The budget"),
        "review": filled.review,
        "agent_assignments": {agent: name.strip() for agent, name in filled.models.items() if name.strip()},
    }
    try:
        return ProjectBody.model_validate(given).wish()
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        what = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(
            f"The form does not fit: {what}.", f"{fault['msg']}.", "Put it right, then send it."
        ) from None


def amount(text: str, what: str) -> float | None:
    """Dollars as a person types them: `2.5`, `$2.50`, `2,5`; None for nothing. Raises `ConfigError`."""
    plain = text.strip().removeprefix("$").strip()
    if not plain:
        return None
    try:
        found = float(plain.replace(",", "."))
    except ValueError:
        raise ConfigError(f"{what} is no amount: '{text[:40]}'.", do="Write dollars, such as 2.50.") from None
    if not 0 <= found <= 1_000_000:
        raise ConfigError(f"{what} is out of range: '{text[:40]}'.", do="Write 0 to 1,000,000 dollars.")
    return found
