"""The application: routes, limits and guards around one `Service`.

How it is served, and when it refuses to be, is `server.py`; what stands behind the service is bootstrap's.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from orchestrator_v2 import __version__
from orchestrator_v2.api import problems
from orchestrator_v2.api.access import Slots
from orchestrator_v2.api.guard import BODY_SECONDS, Guard
from orchestrator_v2.api.metrics import Metrics
from orchestrator_v2.api.pages import projects as page_projects
from orchestrator_v2.api.pages import runs as page_runs
from orchestrator_v2.api.pages import settings as page_settings
from orchestrator_v2.api.pages import sign_in as page_sign_in
from orchestrator_v2.api.pages import users as page_users
from orchestrator_v2.api.routes import admin, artifacts, catalog, events, health, operations, projects, runs, users
from orchestrator_v2.api.web.render import Pages
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.service.service import Service

_ROUTERS = (users, admin, projects, runs, operations, events, artifacts, catalog, health)
_PAGES = (page_sign_in, page_projects, page_runs, page_settings, page_users)
_ABOUT = """A brief goes in; eight agents hand back a tested project in a git repository.

Errors are problem+json (RFC 9457): what happened, why, what to do, and a correlation id that the log names too.
On a server with accounts every request bears `Authorization: Bearer TOKEN`.
"""
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def create_app(service: Service, *, body_seconds: float = BODY_SECONDS) -> Guard:
    """The ASGI application. It starts the service with the server and closes it with it."""
    settings = service.settings
    metrics = Metrics(service)
    app = FastAPI(
        title="orchestrator",
        version=__version__,
        description=_ABOUT,
        lifespan=_life(service),
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.state.metrics = metrics
    app.state.request_slots = Slots(settings.requests_per_user, "requests")
    app.state.stream_slots = Slots(settings.streams_per_user, "event streams")
    problems.install(app, service.secrets)
    app.state.pages = Pages()
    for each in (*_ROUTERS, *_PAGES):
        app.include_router(each.router)
    _describe(app)
    return Guard(app, hosts=host_names(settings), ids=service.ids, counted=metrics.requests, body_seconds=body_seconds)


def host_names(settings: Settings) -> Collection[str]:
    """The names by which the server may be called: this machine's, its own, and those that the operator allows."""
    listed = [name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()]
    return {*THIS_MACHINE, settings.host.lower(), socket.gethostname().lower(), *listed}


def _life(service: Service) -> Any:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    return life


def _describe(app: FastAPI) -> None:
    """Puts the form of errors into the description, and leaves out the standard one that nobody is sent."""
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema.setdefault("components", {}).setdefault("schemas", {})
            parts["Problem"] = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            for name in ("HTTPValidationError", "ValidationError"):
                parts.pop(name, None)
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]
