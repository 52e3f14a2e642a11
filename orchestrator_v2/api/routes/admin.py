"""`/users`: what an administrator does with users, their roles, tokens, entitlements and ceilings.

What everybody does with their own account is `users.py`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from orchestrator_v2.api.access import AdminUser, TheService
from orchestrator_v2.api.account_answers import IssuedAnswer, TokenAnswer, UserAnswer
from orchestrator_v2.api.bodies import Id, TokenBody, UserBody, UserChange
from orchestrator_v2.api.problems import responses
from orchestrator_v2.core.usage import nano_usd

router = APIRouter(prefix="/users", tags=["administration"])
Name = Annotated[str, Path(min_length=1, max_length=80)]


def _nano(dollars: float | None) -> int | None:
    return None if dollars is None else nano_usd(dollars)


@router.get("", responses=responses())
async def users(admin: AdminUser, service: TheService) -> list[UserAnswer]:
    return [UserAnswer.of(it) for it in await service.accounts.users(admin)]


@router.post("", status_code=201, responses=responses(404, 409))
async def add_user(body: UserBody, admin: AdminUser, service: TheService) -> IssuedAnswer:
    """A new user, with a first token that is shown this once."""
    issued = await service.accounts.add_user(
        admin,
        body.name,
        body.role,
        models=body.models,
        daily_budget=_nano(body.daily_budget),
        monthly_budget=_nano(body.monthly_budget),
        sees=body.sees,
    )
    return IssuedAnswer.of(issued)


@router.get("/{user}", responses=responses(404))
async def show_user(user: Name, admin: AdminUser, service: TheService) -> UserAnswer:
    """A user, by id or name."""
    return UserAnswer.of(await service.accounts.find(admin, user))


@router.patch("/{user}", responses=responses(404))
async def change_user(user: Name, body: UserChange, admin: AdminUser, service: TheService) -> UserAnswer:
    """Change role, models, budgets; `disabled` shuts somebody out at once. A null budget takes the ceiling away."""
    wished = body.model_dump(exclude_unset=True)
    for name in ("daily_budget", "monthly_budget"):
        if name in wished:
            wished[name] = _nano(wished[name])
    if wished.get("models") is not None:
        wished["models"] = tuple(wished["models"])
    kept = {name: value for name, value in wished.items() if value is not None or name.endswith("_budget")}
    return UserAnswer.of(await service.accounts.set_user(admin, user, **kept))


@router.get("/{user}/tokens", responses=responses(404))
async def tokens_of(user: Name, admin: AdminUser, service: TheService) -> list[TokenAnswer]:
    return [TokenAnswer.of(it) for it in await service.accounts.tokens(admin, user)]


@router.post("/{user}/tokens", status_code=201, responses=responses(404))
async def add_token_for(user: Name, body: TokenBody, admin: AdminUser, service: TheService) -> IssuedAnswer:
    """A further token for a user, shown this once."""
    return IssuedAnswer.of(await service.accounts.add_token(admin, user, body.label, days=body.days))


@router.delete("/{user}/tokens/{token_id}", status_code=204, responses=responses(404))
async def drop_token_of(user: Name, token_id: Id, admin: AdminUser, service: TheService) -> None:
    await service.accounts.drop_token(admin, token_id, user)
