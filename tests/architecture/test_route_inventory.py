"""Every route of the server asks who is there, and every route that names something is in the tenants' tests.

What those ask of each route is `tests/integration/test_api_tenants.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from app_routes import BODIES, FORMS, PARAMETERS, PUBLIC, WORDS, Route, app_in, each_word, routes_of


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return app_in(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def routes(app: FastAPI) -> list[Route]:
    return routes_of(app)


def unasked(routes: list[Route]) -> list[str]:
    """Routes that let anybody in and are not known to."""
    return [route.name for route in routes if not route.knows and route.path not in PUBLIC]


def test_every_route_asks_who_is_there(routes: list[Route]) -> None:
    """But for the written list of those that tell nothing of anybody, and change nothing."""
    assert len(routes) > 40
    assert unasked(routes) == []
    public = [route for route in routes if route.path in PUBLIC]
    assert {route.path for route in public} == set(PUBLIC), "a public route that is not there"
    assert [route.name for route in public if not route.is_safe] == ["POST /ui/sign-in"]
    assert {name for route in public for name in route.parameters} == {"name"}


def test_every_parameter_is_known_to_the_tenants_tests(routes: list[Route]) -> None:
    """A route that names a new kind of thing is told apart until the table says whose it is."""
    unknown = {name for route in routes for name in route.parameters} - {*PARAMETERS, *WORDS}
    assert unknown == set()


def test_every_route_that_wants_a_body_has_one_in_the_table(routes: list[Route]) -> None:
    """Without one it would be refused for its form before anybody asked whose it is; nor does the table hold more."""
    paths = {route.path for route in each_word(routes) if route.is_page and not route.is_safe}
    assert set(FORMS) <= paths
    wanted = {(route.method, route.path) for route in routes if route.wants}
    assert wanted == {entry for entry in BODIES if entry in {(it.method, it.path) for it in routes}} == set(BODIES)


def test_a_route_that_asks_nobody_is_found() -> None:
    """The inventory is able to fail: a planted route without the dependency is named, a router's included."""
    planted, router = FastAPI(docs_url=None, redoc_url=None), APIRouter(prefix="/under")

    @planted.get("/planted/{run_id}")
    async def bare(run_id: str) -> str:
        return run_id

    @router.post("/{run_id}/planted")
    async def also(run_id: str) -> str:
        return run_id

    planted.include_router(router)
    planted.mount("/files", FastAPI())
    assert unasked(routes_of(planted)) == ["GET /planted/{run_id}", "POST /under/{run_id}/planted", "GET /files"]
