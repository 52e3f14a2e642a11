"""The pages of one's own account: keys with their test, agents' models, ceilings, tokens, usage.

What administrators do with users is `users.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.bodies import Id, ProviderName
from orchestrator_v2.api.pages.page_route import Fields, PageRoute, go_to, html
from orchestrator_v2.api.pages.projects import model_names
from orchestrator_v2.api.problems import words_of
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.new_view import AGENT
from orchestrator_v2.api.web.settings_view import settings_page
from orchestrator_v2.api.web.usage_view import usage_page
from orchestrator_v2.core.accounts import OPERATIONS, User
from orchestrator_v2.core.errors import InputError
from orchestrator_v2.service.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MONTH, _NAMED = 31, 200


def _today(service: Service) -> str:
    return datetime.fromtimestamp(service.clock.now(), UTC).date().isoformat()


@router.get(links.SETTINGS)
async def settings(request: Request, user: CurrentUser, service: TheService, provider: str = "") -> Response:
    return await _page(request, user, service, chosen=provider)


@router.post("/ui/settings/providers")
async def store(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    """Keeps a key. What was typed into its field is in no answer, also when something else is wrong."""
    try:
        await service.credentials.store(
            user,
            fields.get("provider", ""),
            fields.get("api_key", ""),
            base_url=fields.get("base_url", "").strip(),
            default_model=fields.get("default_model", "").strip(),
            label=fields.get("label", "").strip(),
        )
    except InputError as error:
        return await _page(request, user, service, chosen=fields.get("provider", ""), error=error)
    return go_to(links.SETTINGS, "kept")


@router.post("/ui/settings/providers/{provider}/test")
async def test(
    request: Request, provider: ProviderName, user: CurrentUser, service: TheService, fields: Fields
) -> Response:
    """One tiny real call; how it went stands on the page."""
    try:
        trial = await service.credentials.test(user, provider)
    except InputError as error:
        return await _page(request, user, service, error=error)
    return await _page(request, user, service, trial=trial)


@router.post("/ui/settings/providers/{provider}/remove")
async def remove(provider: ProviderName, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    await service.credentials.forget(user, provider)
    return go_to(links.SETTINGS, "removed")


@router.post("/ui/settings/agents")
async def agents(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    chosen = {name.removeprefix(AGENT): value for name, value in fields.items() if name.startswith(AGENT)}
    try:
        await service.accounts.set_agents(user, chosen)
    except InputError as error:
        return await _page(request, user, service, error=error)
    return go_to(links.SETTINGS, "kept")


@router.post("/ui/settings/tokens")
async def add_token(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    """A further token, shown on this answer and never again."""
    issued = await service.accounts.add_token(user, user.user_id, fields.get("label", "").strip())
    return await _page(request, user, service, new_token=issued.value)


@router.post("/ui/settings/tokens/{token_id}/remove")
async def drop_token(token_id: Id, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    await service.accounts.drop_token(user, token_id)
    return go_to(links.SETTINGS, "removed")


@router.get(links.USAGE)
async def usage(request: Request, user: CurrentUser, service: TheService) -> Response:
    views = await service.projects.page(user, limit=_NAMED)
    names = {view.row.project_id: view.row.name for view in views}
    names[OPERATIONS] = "typed operations"
    lines = await service.accounts.usage(user, days=_MONTH)
    return html(request, user, "usage.html", usage=usage_page(lines, today=_today(service), projects=names))


async def _page(
    request: Request, user: User, service: Service, *, error: InputError | None = None, **values: Any
) -> Response:
    page = settings_page(
        user,
        service.credentials.providers(),
        await service.credentials.stored(user),
        await service.accounts.tokens(user),
        await service.accounts.usage(user, days=_MONTH),
        today=_today(service),
        agents=user.agents,
        models=model_names(service),
        problem=" ".join(words_of(error)).strip() if error else "",
        **values,
    )
    return html(request, user, "settings.html", status=error.http_status if error else 200, settings=page)
