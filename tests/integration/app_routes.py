"""The application's own routes, and what it takes to ask each of them: which ids it names, which body it wants.

A route that is new is in the list by itself; where it names something new, the tests say what is missing here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from server_process import Client

from orchestrator_v2.api import access
from orchestrator_v2.api.app import create_app
from orchestrator_v2.api.pages.runs import VERBS
from orchestrator_v2.api.web import links
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.server_bootstrap import open_service

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What asks for who is there; a route that depends on none of them must be in PUBLIC.
WHO = frozenset({access.current_user, access.streaming_user})
# Routes that ask nobody who they are, and why they may.
PUBLIC = {
    "/health": "says that the process answers",
    "/ready": "says that its database answers",
    "/openapi.json": "the description of the API, the same for everybody",
    "/static/{name}": "what the pages look like, the same for everybody",
    "/ui/sign-in": "where one says who one is",
}
# What a route's parameters name: something that is one user's (the value is its kind), or nothing of anybody ("").
PARAMETERS: Mapping[str, str] = {
    "project_id": "project",
    "run_id": "run",
    "token_id": "token",
    "user": "user",
    "llm_provider": "key",
    "path": "",
    # A page's address names a provider; whose key that is stands in no address.
    "provider": "",
    "user_id": "user",
    "operation_run": "operation",
    "operation_id": "",
}
# Parameters that are one of a few words; each makes a route of its own here.
WORDS: Mapping[str, tuple[str, ...]] = {"verb": tuple(VERBS), "part": links.PARTS, "name": ("style.css",)}
_HASH = "0" * 64
# A body that the route takes, by method and path; a route that is not here is asked without one.
BODIES: Mapping[tuple[str, str], Any] = {
    ("POST", "/projects"): {"project_name": "Asked for"},
    ("POST", "/projects/estimate"): {"project_name": "Asked for"},
    ("POST", "/runs/{run_id}/rollback"): {"phase": "planning"},
    ("POST", "/runs/{run_id}/retry"): {"phase": "planning"},
    ("POST", "/runs/{run_id}/reviews"): {"decision": "approve", "content": _HASH},
    ("POST", "/runs/{run_id}/edit"): {"path": "docs/intake.md", "content": "mine", "seen": _HASH},
    ("POST", "/runs/{run_id}/resume"): {"budget": 1},
    ("POST", "/users"): {"name": "somebody new"},
    ("PATCH", "/users/{user}"): {"daily_budget": 1},
    ("POST", "/users/{user}/tokens"): {},
    ("POST", "/users/me/tokens"): {},
    ("POST", "/users/me/provider-settings"): {"llm_provider": "groq", "api_key": "gsk_0123456789abcdef0123"},
    ("POST", "/users/me/provider-test"): {"llm_provider": "anthropic"},
    ("PUT", "/users/me/agents"): {"agents": {}},
    ("POST", "/operations/{operation_id}"): {"data": {"pillars": [{"name": "Swift", "description": "Never wait."}]}},
}
# What the page's forms send beside their mark; a page's form that is not here sends no field.
FORMS: Mapping[str, Mapping[str, str]] = {
    "/ui/new": {"name": "Asked for", "brief": "Asked for", "workflow": "default", "mode": "simulated"},
    "/ui/projects/{project_id}/delete": {"confirm": "yes"},
    "/ui/runs/{run_id}/retry": {"phase": "planning"},
    "/ui/runs/{run_id}/rollback": {"phase": "planning"},
    "/ui/runs/{run_id}/reviews": {"decision": "approve", "content": _HASH, "phase": "intake"},
    "/ui/runs/{run_id}/edit": {"path": "docs/intake.md", "text": "mine", "seen_file": _HASH},
    "/ui/settings/providers": {"provider": "groq", "api_key": "gsk_0123456789abcdef0123"},
    "/ui/users": {"name": "somebody else", "role": "viewer"},
}
# The mark of every form where a token is sent and no session: there is none that another site could use.
_MARK = hashlib.sha256(b"form ").hexdigest()[:32]


class Route(msgspec.Struct, frozen=True):
    """`knows` is whether it depends on who asks; `wants` whether it takes a body."""

    method: str
    path: str
    knows: bool
    wants: bool

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)(?::\w+)?}", self.path)

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    @property
    def is_page(self) -> bool:
        return self.path in ("/", "/new") or self.path.startswith(("/ui/", "/page/"))

    def asked(self, client: Client, values: Mapping[str, str], **headers: str) -> httpx2.Response:
        """The answer to it, with `values` for its parameters and a body that it takes."""
        path = self.address(values)
        if self.is_page and not self.is_safe:
            form = {"csrf": _MARK, **FORMS.get(self.path, {})}
            return client.http.request(self.method, path, data=form, headers=headers)
        return client(self.method, path, BODIES.get((self.method, self.path)), **headers)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def address(self, values: Mapping[str, str]) -> str:
        """The path with each parameter's value in its place."""
        return re.sub(r"{(\w+)(?::\w+)?}", lambda found: values[found[1]], self.path)


def routes_of(app: FastAPI) -> list[Route]:
    """All routes, each method its own, pages and mounted files included."""
    return [
        Route(method, context.path or "", _knows(context), getattr(context, "body_field", None) is not None)
        for context in iter_route_contexts(app.routes)
        for method in sorted((context.methods or {"GET"}) - {"HEAD"})
    ]


def each_word(routes: Iterable[Route]) -> list[Route]:
    """The routes, one for each word that a parameter may be."""
    found = list(routes)
    for name, words in WORDS.items():
        mark = f"{{{name}}}"
        found = [
            msgspec.structs.replace(it, path=it.path.replace(mark, word))
            for it in found
            for word in (words if mark in it.path else ("",))
        ]
    return found


def _knows(context: Any) -> bool:
    waiting, seen = [getattr(context, "dependant", None)], set[Any]()
    while waiting:
        dependant = waiting.pop()
        if dependant is not None:
            seen.add(dependant.call)
            waiting += dependant.dependencies
    return bool(seen & WHO)


def app_in(folder: Path) -> FastAPI:
    """The application as the server has it, on a journal of its own."""

    async def made() -> FastAPI:
        service = await open_service(load_settings({"data_dir": str(folder / "data")}, {}, folder, folder))
        guard = create_app(service)
        await service.close()
        app = guard._app
        assert isinstance(app, FastAPI)
        return app

    return asyncio.run(made())
