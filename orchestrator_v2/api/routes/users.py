"""`/users/me`: who one is, one's keys, tokens and usage.

What administrators do with users is `admin.py`; how keys are kept is the service's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.account_answers import (
    IssuedAnswer,
    ProviderSettingAnswer,
    TokenAnswer,
    TrialAnswer,
    UsageAnswer,
    UserAnswer,
)
from orchestrator_v2.api.answers import dollars
from orchestrator_v2.api.bodies import (
    AgentModelsBody,
    Id,
    ProviderName,
    ProviderSettingsBody,
    ProviderTestBody,
    TokenBody,
)
from orchestrator_v2.api.problems import responses

router = APIRouter(prefix="/users/me", tags=["me"])


@router.get("", responses=responses())
async def me(user: CurrentUser) -> UserAnswer:
    """Who you are, by your token."""
    return UserAnswer.of(user)


@router.put("/agents", responses=responses(404))
async def set_agents(body: AgentModelsBody, user: CurrentUser, service: TheService) -> UserAnswer:
    """Models for agents in your projects to come; a project may still say otherwise."""
    return UserAnswer.of(await service.accounts.set_agents(user, body.agents))


@router.get("/provider-settings", responses=responses())
async def provider_settings(user: CurrentUser, service: TheService) -> list[ProviderSettingAnswer]:
    """Your stored keys, each by its last four and fingerprint."""
    return [ProviderSettingAnswer.of(it) for it in await service.credentials.stored(user)]


@router.post("/provider-settings", status_code=201, responses=responses(404))
async def store_provider_settings(
    body: ProviderSettingsBody, user: CurrentUser, service: TheService
) -> ProviderSettingAnswer:
    """Store a key, in the place of an earlier one of that provider. It is never shown again."""
    stored = await service.credentials.store(
        user,
        body.llm_provider,
        body.api_key.get_secret_value(),
        base_url=body.base_url,
        default_model=body.default_model,
        label=body.label,
    )
    return ProviderSettingAnswer.of(stored)


@router.delete("/provider-settings/{llm_provider}", status_code=204, responses=responses(404))
async def forget_provider_settings(llm_provider: ProviderName, user: CurrentUser, service: TheService) -> None:
    """Forget a key. Runs that use it park, and say so."""
    await service.credentials.forget(user, llm_provider)


@router.delete("/provider-settings", status_code=204, responses=responses(404))
async def forget_by_query(
    llm_provider: Annotated[ProviderName, Query()], user: CurrentUser, service: TheService
) -> None:
    """Forget a key, named in the query."""
    await service.credentials.forget(user, llm_provider)


@router.post("/provider-test", responses=responses(404))
async def test_provider(body: ProviderTestBody, user: CurrentUser, service: TheService) -> TrialAnswer:
    """One tiny real call with your stored key; at most five a minute."""
    trial = await service.credentials.test(user, body.llm_provider, body.model)
    return TrialAnswer(
        llm_provider=trial.provider,
        model=trial.model,
        works=trial.works,
        words=trial.words,
        latency_seconds=round(trial.latency, 3),
        cost_usd=dollars(trial.cost) if trial.works else None,
    )


@router.get("/usage", responses=responses())
async def usage(
    user: CurrentUser, service: TheService, days: Annotated[int, Query(ge=1, le=366)] = 31
) -> list[UsageAnswer]:
    """What you used, by day, provider, model and project; the newest day first."""
    return [UsageAnswer.of(line) for line in await service.accounts.usage(user, days=days)]


@router.get("/tokens", responses=responses())
async def tokens(user: CurrentUser, service: TheService) -> list[TokenAnswer]:
    return [TokenAnswer.of(it) for it in await service.accounts.tokens(user)]


@router.post("/tokens", status_code=201, responses=responses())
async def add_token(body: TokenBody, user: CurrentUser, service: TheService) -> IssuedAnswer:
    """A further token of yours, shown this once."""
    return IssuedAnswer.of(await service.accounts.add_token(user, user.user_id, body.label, days=body.days))


@router.delete("/tokens/{token_id}", status_code=204, responses=responses(404))
async def drop_token(token_id: Id, user: CurrentUser, service: TheService) -> None:
    await service.accounts.drop_token(user, token_id)
