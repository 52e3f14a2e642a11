"""The page of users, for administrators: who there is, what they may do and spend, a new one with a first token.

One's own account is `settings.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator_v2.api.access import AdminUser, TheService
from orchestrator_v2.api.bodies import Id
from orchestrator_v2.api.pages.page_route import Fields, PageRoute, go_to, html
from orchestrator_v2.api.pages.projects import amount
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.users_view import users_page
from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import ConfigError, InputError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.service.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MOST_PATTERNS, _LONGEST = 100, 200


@router.get(links.USERS)
async def users(request: Request, admin: AdminUser, service: TheService) -> Response:
    return await _page(request, admin, service)


@router.post(links.USERS)
async def add(request: Request, admin: AdminUser, service: TheService, fields: Fields) -> Response:
    """A new user; the token is shown on this answer and never again."""
    wished = _wished(fields)
    try:
        role: Any = fields.get("role", "developer")
        issued = await service.accounts.add_user(admin, fields.get("name", ""), role, **_ceilings(fields), **wished)
    except InputError as error:
        return await _page(request, admin, service, problem=str(error), filled=_typed(fields), status=error.http_status)
    return await _page(request, admin, service, new_user=issued.user.name, new_token=issued.value)


@router.post("/ui/users/{user_id}")
async def change(request: Request, user_id: Id, admin: AdminUser, service: TheService, fields: Fields) -> Response:
    try:
        changes = {**_wished(fields), **_ceilings(fields)}
        if user_id != admin.user_id:
            changes |= {"role": fields.get("role", "developer"), "disabled": fields.get("disabled") == "yes"}
        await service.accounts.set_user(admin, user_id, **changes)
    except InputError as error:
        return await _page(request, admin, service, problem=str(error), status=error.http_status)
    return go_to(links.USERS, "kept")


def _wished(fields: Mapping[str, str]) -> dict[str, Any]:
    patterns = tuple(line.strip() for line in fields.get("models", "").splitlines() if line.strip())
    return {"models": patterns, "sees": fields.get("sees", "").strip()}


def _ceilings(fields: Mapping[str, str]) -> dict[str, Any]:
    """Raises `ConfigError` for what is no amount, or too many or too long patterns of models."""
    lines = fields.get("models", "").splitlines()
    if len(lines) > _MOST_PATTERNS or any(len(line) > _LONGEST for line in lines):
        raise ConfigError("There are too many patterns, or one is too long.", f"At most {_MOST_PATTERNS}.")
    found: dict[str, Any] = {}
    for name, words in (("daily_budget", "The day's ceiling"), ("monthly_budget", "The month's ceiling")):
        dollars = amount(fields.get(name, ""), words)
        found[name] = None if dollars is None else nano_usd(dollars)
    return found


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "csrf"}


async def _page(request: Request, admin: User, service: Service, *, status: int = 200, **values: Any) -> Response:
    page = users_page(await service.accounts.users(admin), you=admin.user_id, **values)
    return html(request, admin, "users.html", status=status, users=page)
