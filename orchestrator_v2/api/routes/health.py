"""`/health`, `/ready` and `/metrics`: for those who run the server.

The first two are the only routes that ask nobody who they are, and they tell nothing of anybody.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from orchestrator_v2 import __version__
from orchestrator_v2.api.access import AdminUser, TheService
from orchestrator_v2.api.answers import Health
from orchestrator_v2.api.metrics import MEDIA_TYPE, Metrics
from orchestrator_v2.api.problems import responses

router = APIRouter(tags=["operation"])


@router.get("/health")
async def health() -> Health:
    """The process answers."""
    return Health(status="ok", version=__version__)


@router.get("/ready", responses=responses(503))
async def ready(service: TheService) -> Health:
    """The database answers too, so work can be taken."""
    await service.ready()
    return Health(status="ready", version=__version__)


@router.get("/metrics", responses=responses(), response_class=PlainTextResponse)
async def metrics(request: Request, admin: AdminUser) -> PlainTextResponse:
    """Figures in Prometheus' text format; for administrators."""
    counted: Metrics = request.app.state.metrics
    return PlainTextResponse(counted.page(), media_type=MEDIA_TYPE)
