"""Whose things are whose, over HTTP: another's id is answered like one that never was, by every route there is.

The routes are taken from the application itself (`app_routes.py`), so that a new one is asked unasked; that each asks
who is there is `tests/architecture/test_route_inventory.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from app_routes import PARAMETERS, Route, app_in, each_word, routes_of
from server_process import REVIEWED, Client, Server, is_problem

# Ids that were never given, of the same make as those that were.
NOBODYS = {
    "project_id": "prj_000000000000",
    "run_id": "run_000000000000",
    "token_id": "tok_000000000000",
    "user": "usr_000000000000",
    "llm_provider": "mistral",
    "path": "docs/intake.md",
    "provider": "mistral",
    "user_id": "usr_000000000000",
    "operation_run": "op_000000000000",
    "operation_id": "pillars.validate",
}


def is_admins(route: Route) -> bool:
    return route.path.startswith(("/users/{user}", "/ui/users/"))


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    return each_word(routes_of(app_in(tmp_path_factory.mktemp("app"))))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


class Owner:
    """A user with one of everything: a project whose run waits for a review, a second token, a stored key."""

    def __init__(self, server: Server, name: str) -> None:
        self.client = server.user(name)
        self.id = self.client.get("/users/me")["id"]
        self.project = self.client.project(f"Of {name}", workflow_yaml=REVIEWED)
        self.run = self.project["run"]["id"]
        assert self.client.ended(self.run) == "waiting_review"
        asked = {
            "data": {"pillars": [{"name": "Swift", "description": f"{name} never waits."}]},
            "run_mode": "simulated",
        }
        self.operation = self.client.post("/operations/pillars.validate", asked)["metadata"]["run_id"]
        self.token = self.client.post("/users/me/tokens", {"label": "second"})
        key = {"llm_provider": "anthropic", "api_key": "sk-ant-api03-the-owners-own-0123456789"}
        self.client.post("/users/me/provider-settings", key)

    @property
    def ids(self) -> Mapping[str, str]:
        return {
            "project_id": self.project["id"],
            "run_id": self.run,
            "token_id": self.token["id"],
            "user": self.id,
            "llm_provider": "anthropic",
            "path": "docs/intake.md",
            "provider": "anthropic",
            "user_id": self.id,
            "operation_run": self.operation,
            "operation_id": "pillars.validate",
        }

    def everything(self) -> Any:
        """All that the owner sees of what is theirs."""
        ask = self.client.get
        run = [ask(f"/runs/{self.run}{more}") for more in ("", "/artifacts", "/events", "/checkpoints", "/cost")]
        own = [ask(f"/users/me{more}") for more in ("", "/tokens", "/provider-settings", "/usage")]
        operations = [ask("/operations/runs"), ask(f"/operations/runs/{self.operation}")]
        return [operations, ask("/projects"), ask("/runs"), ask(f"/projects/{self.project['id']}"), run, own]


@pytest.fixture(scope="module")
def ada(server: Server) -> Owner:
    return Owner(server, "ada")


@pytest.fixture(scope="module")
def bob(server: Server) -> Client:
    return server.user("bob")


def said(answer: httpx2.Response, ids: Mapping[str, str]) -> tuple[Any, ...]:
    """The answer without what may differ: the ids that were asked for, and the request's own."""

    def same(text: str) -> str:
        text = text.replace(answer.headers["x-correlation-id"], "<correlation>")
        for name, value in ids.items():
            text = text.replace(value, f"<{name}>") if name != "path" else text
        return text

    headers = {name: same(value) for name, value in answer.headers.items() if name not in ("content-length", "date")}
    return answer.status_code, same(answer.text), headers


def with_ids(routes: list[Route]) -> list[Route]:
    return [route for route in routes if any(PARAMETERS[name] for name in route.parameters)]


def test_anothers_id_is_answered_like_one_that_never_was(routes: list[Route], ada: Owner, bob: Client) -> None:
    """For every route with an id in it: the same status, words and headers, and nothing of the owner's has changed."""
    before = ada.everything()
    chosen = with_ids(routes)
    assert len(chosen) > 25
    for route in chosen:
        for headers in ({}, {"Accept": "text/event-stream"}) if route.is_safe else ({},):
            found = said(route.asked(bob, ada.ids, **headers), ada.ids)
            assert found == said(route.asked(bob, NOBODYS, **headers), NOBODYS), route.name
            assert found[0] in (403, 404), route.name
            assert (found[0] == 403) == is_admins(route), route.name
    assert ada.everything() == before


def _ends(route: Route) -> bool:
    return route.method == "DELETE" or route.path.endswith(("/delete", "/remove"))


def test_the_owner_is_answered_by_the_same_routes(routes: list[Route], server: Server) -> None:
    """With the owner's own token none of those requests is a 404, so the test before this one asked the right thing."""
    owner = Owner(server, "carol")
    # What ends something is asked last, children before their parents.
    order = sorted(with_ids(routes), key=lambda it: (not it.is_safe, _ends(it), it.path.count("/") * -1))
    for route in order:
        if "changes" in route.path or (_ends(route) and route.is_page):
            continue  # a stream without end; and what the API's own route ends
        if not is_admins(route):
            answer = route.asked(owner.client, owner.ids)
            assert answer.status_code != 404, f"{route.name}: {answer.text}"
            assert answer.status_code < 500


def test_an_administrator_reaches_users_and_not_what_is_theirs(routes: list[Route], server: Server, ada: Owner) -> None:
    """Roles are for accounts: another's projects, runs and keys are as unknown to an administrator as to anybody."""
    for route in with_ids(routes):
        if not is_admins(route):
            assert said(route.asked(server.root, ada.ids), ada.ids) == said(
                route.asked(server.root, NOBODYS), NOBODYS
            ), route.name
    assert server.root.get(f"/users/{ada.id}")["name"] == "ada"


def test_lists_hold_ones_own_only(ada: Owner, bob: Client) -> None:
    """Projects, runs, keys, tokens, usage: nothing of another's is on any list."""
    mine = bob.project("Bob's own", run=False)["id"]
    assert [each["id"] for each in bob.get("/projects")["items"]] == [mine]
    assert bob.get("/runs")["items"] == []
    assert bob.get("/users/me/provider-settings") == []
    assert bob.get("/users/me/usage") == []
    assert [each["label"] for each in bob.get("/users/me/tokens")] == ["first"]
    assert mine not in str(ada.everything())


def test_an_idempotency_key_is_ones_own(ada: Owner, bob: Client) -> None:
    """The same key and body of two users make two projects."""
    wish = {"project_name": "The same words", "run": False}
    ids = [it.post("/projects", wish, Idempotency_Key="same")["id"] for it in (ada.client, bob)]
    assert len(set(ids)) == 2


def test_nobody_without_a_token_is_let_in_anywhere(routes: list[Route], server: Server, ada: Owner) -> None:
    """401 from every route that is not public, with an id that is there and one that is not; nothing has changed."""
    before, nobody = ada.everything(), server.client()
    for route in routes:
        if not route.knows:
            assert not route.is_safe or route.asked(nobody, {}).status_code == 200, route.name
            continue
        found = said(route.asked(nobody, ada.ids), ada.ids)
        assert found == said(route.asked(nobody, NOBODYS), NOBODYS), route.name
        shown_the_door = found[0] == 303 and found[2]["location"].startswith("/ui/sign-in?next=")
        assert found[0] == 401 or (shown_the_door and route.is_page and route.is_safe), route.name
    assert ada.everything() == before


def test_a_viewer_changes_nothing(routes: list[Route], server: Server, ada: Owner) -> None:
    """Also one who looks at ada's projects: every change is 403, what may be seen is what she sees."""
    viewer = server.user("viewer", "viewer")
    guest = server.user("guest", "viewer", sees="ada")
    changes = {f"POST {path}" for path in ("/projects", "/users/me/provider-settings", "/users/me/provider-test")}
    before = ada.everything()
    for route in routes:
        names = set(route.parameters) & {"project_id", "run_id"}
        if not names and route.name not in changes:
            continue
        if not route.is_safe:
            for client in (viewer, guest):
                status = route.asked(client, ada.ids).status_code
                # What is looked for before it is changed is not there for one who does not see it.
                assert status == 403 or (client is viewer and status == 404), route.name
        elif names and "changes" not in route.path:
            theirs, own = route.asked(guest, ada.ids), route.asked(ada.client, ada.ids)
            # A page shows a guest no button to press.
            assert (theirs.status_code if route.is_page else said(theirs, ada.ids)) == (
                own.status_code if route.is_page else said(own, ada.ids)
            ), route.name
            assert route.asked(viewer, ada.ids).status_code == 404, route.name
    for path in ("/projects", "/runs", "/users/me/usage"):
        assert guest.get(path) == ada.client.get(path)
    assert viewer.get("/projects")["items"] == []
    assert ada.everything() == before


def test_a_guest_sees_projects_and_neither_keys_nor_tokens(server: Server, ada: Owner, bob: Client) -> None:
    """What is stored for ada is not the guest's to see or to spend; and the guest sees nobody else's projects."""
    guest = server.user("second guest", "viewer", sees=ada.id)
    assert guest.get("/users/me/provider-settings") == []
    assert [each["label"] for each in guest.get("/users/me/tokens")] == ["first"]
    is_problem(guest("POST", "/users/me/provider-test", {"llm_provider": "anthropic"}), 403)
    is_problem(guest("DELETE", f"/users/me/tokens/{ada.token['id']}"), 404)
    other = bob.project("Not for guests", run=False)["id"]
    is_problem(guest("GET", f"/projects/{other}"), 404)
    server.root.ok("PATCH", f"/users/{guest.get('/users/me')['id']}", {"sees": "bob"})
    assert guest.get(f"/projects/{other}")["id"] == other
    is_problem(guest("GET", f"/projects/{ada.project['id']}"), 404)


def test_a_stream_is_for_its_owner_alone(server: Server, ada: Owner, bob: Client) -> None:
    """Another's stream is the 404 of none; a token that was dropped opens none."""
    with ada.client.stream(ada.run) as frames:
        assert next(frames).name == "RunStarted"
    is_problem(bob("GET", f"/runs/{ada.run}/events", Accept="text/event-stream"), 404)
    issued = ada.client.post("/users/me/tokens", {"label": "for a moment"})
    ada.client.ok("DELETE", f"/users/me/tokens/{issued['id']}")
    late = server.client(issued["token"])
    is_problem(late("GET", f"/runs/{ada.run}/events", Accept="text/event-stream"), 401)


def test_a_request_is_by_one_user_whatever_else_it_bears(server: Server, ada: Owner, bob: Client) -> None:
    """A header's token stands over a cookie; a bad one is not helped by a good cookie; no mixture reaches both."""
    cookie = {"Cookie": f"orchestrator_session={ada.token['token']}"}
    assert bob.ok("GET", "/users/me", **cookie)["name"] == "bob"
    is_problem(bob("GET", f"/runs/{ada.run}", **cookie), 404)
    is_problem(server.client("orc_" + "x" * 43)("GET", "/users/me", **cookie), 401)
    is_problem(server.client()("GET", "/users/me", Cookie="orchestrator_session=nonsense"), 401)
    swapped = {"Cookie": f"orchestrator_session={bob.token}"}
    is_problem(server.client()("GET", f"/runs/{ada.run}", **swapped), 404)
