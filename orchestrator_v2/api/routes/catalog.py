"""What there is to choose from: workflows, agents, providers. The same for everybody who is let in.

Health and metrics are `health.py`.
"""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.catalog_answers import AgentAnswer, ProviderAnswer, WorkflowAnswer
from orchestrator_v2.api.problems import responses

router = APIRouter(tags=["catalog"])


@router.get("/workflows", responses=responses())
async def workflows(user: CurrentUser, service: TheService) -> list[WorkflowAnswer]:
    """The built-in workflows, phase by phase."""
    return [WorkflowAnswer.of(graph) for graph in service.workflows.values()]


@router.get("/agents", responses=responses())
async def agents(user: CurrentUser) -> list[AgentAnswer]:
    """The eight agents, and what each answers for."""
    return [AgentAnswer.of(role) for role in ROLES.values()]


@router.get("/providers", responses=responses())
async def providers(user: CurrentUser, service: TheService) -> list[ProviderAnswer]:
    """The providers, and for which of them you have stored a key."""
    stored = {it.provider for it in await service.credentials.stored(user)}
    return [ProviderAnswer.of(view, stored) for view in service.credentials.providers()]
