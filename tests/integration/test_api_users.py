"""Accounts over HTTP against a real server: who one is, tokens, and what administrators do.

Whose things a user can reach is `test_api_tenants.py`; stored keys are `test_api_keys.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from server_process import Client, Server, is_problem


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        assert running.root.get("/users/me")["role"] == "admin"
        yield running


@pytest.fixture
def user(server: Server, request: pytest.FixtureRequest) -> Client:
    return server.user(request.node.name[:80])


def my_id(client: Client) -> str:
    return str(client.get("/users/me")["id"])


def test_a_server_without_accounts_knows_whoever_sits_at_the_machine(tmp_path: Path) -> None:
    """Nobody has to say who they are until the first token is given: from the next moment on everybody has to."""
    with Server(tmp_path) as own:
        me = own.client().get("/users/me")
        assert (me["id"], me["role"], me["disabled"]) == ("local", "admin", False)
        kept = own.client().project("Mine", run=False)["id"]
        assert own.client().post("/users", {"name": "ada", "role": "developer"})["token"]
        is_problem(own.client()("GET", "/projects"), 401, "unauthenticated")
        local = own.client(own.cli("users", "token", "local").stdout.split()[0])
        assert [each["id"] for each in local.get("/projects")["items"]] == [kept]


def test_a_user_added_by_command_closes_a_server_that_runs(tmp_path: Path) -> None:
    """Another process tells it by the database: within two seconds nobody is let in without a token."""
    with Server(tmp_path) as own:
        assert own.client().get("/users/me")["id"] == "local"
        assert own.root.get("/users/me")["name"] == "root"
        time.sleep(2)
        is_problem(own.client()("GET", "/users/me"), 401)


def test_the_command_line_prints_a_token_once(server: Server) -> None:
    """What `users add` prints is the bearer token; it lets in as who was added, and is shown nowhere again."""
    done = server.cli("users", "add", "from the shell", "--role", "viewer", "--daily-budget", "1.5")
    token = done.stdout.strip()
    assert token.startswith("orc_")
    me = server.client(token).get("/users/me")
    assert (me["name"], me["role"], me["daily_budget"]) == ("from the shell", "viewer", 1.5)
    listed = server.cli("users", "tokens", "from the shell").stdout + server.cli("users", "list").stdout
    assert token not in listed and token[-4:] in listed


@pytest.mark.parametrize("token", ["", "x", "orc_" + "A" * 43, "é", "orc_" + "A" * 10_000])
def test_nobody_is_let_in_without_a_token_that_is_known(server: Server, token: str) -> None:
    """A made-up token is answered like none, with how to sign in; the public answers tell nothing of anybody."""
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    for path in ("/users/me", "/projects", "/runs/run_a", "/metrics", "/workflows"):
        answer = httpx2.get(server.url + path, headers=headers, trust_env=False)
        assert is_problem(answer, 401, "unauthenticated")["do"]
        assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx2.get(f"{server.url}/health", headers=headers, trust_env=False).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "BEARER", "Token"])
def test_only_bearer_is_a_scheme(server: Server, user: Client, scheme: str) -> None:
    """The scheme's case does not matter; another scheme lets nobody in."""
    headers = {"Authorization": f"{scheme} {user.token}"}
    status = httpx2.get(f"{server.url}/users/me", headers=headers, trust_env=False).status_code
    assert status == (200 if scheme.lower() == "bearer" else 401)


def test_a_further_token_of_ones_own(user: Client, server: Server) -> None:
    """It is shown once, works, is listed by its last four, and lets nobody in once it is dropped."""
    issued = user.post("/users/me/tokens", {"label": "laptop"})
    second = server.client(issued["token"])
    assert second.get("/users/me") == user.get("/users/me")
    listed = {each["label"]: each for each in user.get("/users/me/tokens")}
    assert listed["laptop"]["last_four"] == issued["token"][-4:]
    assert issued["token"] not in str(listed)
    user.ok("DELETE", f"/users/me/tokens/{issued['id']}")
    is_problem(second("GET", "/users/me"), 401)
    is_problem(user("DELETE", f"/users/me/tokens/{issued['id']}"), 404)


def test_a_token_that_is_over_lets_nobody_in(user: Client, server: Server) -> None:
    """A lifetime of half a second is over after that."""
    issued = user.post("/users/me/tokens", {"days": 0.5 / 86_400})
    short = server.client(issued["token"])
    assert short.get("/users/me")["id"] == my_id(user)
    time.sleep(0.7)
    is_problem(short("GET", "/users/me"), 401)
    for days in (0, -1, 1e9, "inf"):
        is_problem(user("POST", "/users/me/tokens", {"days": days}), 422)


def test_a_disabled_user_is_out_at_once(user: Client, server: Server) -> None:
    """With all tokens, until the account is enabled again."""
    admin, me = server.root, my_id(user)
    admin.ok("PATCH", f"/users/{me}", {"disabled": True})
    is_problem(user("GET", "/projects"), 401)
    admin.ok("PATCH", f"/users/{me}", {"disabled": False})
    assert user.get("/projects")["items"] == []


def test_an_administrator_manages_users(server: Server) -> None:
    """Added, shown by id or name, changed field by field, given a token, taken one away."""
    admin = server.root
    made = admin.post("/users", {"name": "grace", "role": "developer", "models": ["anthropic/*"], "monthly_budget": 10})
    user = made["user"]
    assert admin.get("/users/grace") == admin.get(f"/users/{user['id']}") == user
    assert user in admin.get("/users")
    changed = admin.ok("PATCH", "/users/grace", {"daily_budget": 2, "models": []})
    assert changed == {**user, "daily_budget": 2, "models": []}
    assert admin.ok("PATCH", "/users/grace", {"daily_budget": None}) == {**user, "models": []}
    assert admin.ok("PATCH", "/users/grace", {}) == {**user, "models": []}
    further = admin.post("/users/grace/tokens", {"label": "given"})
    assert server.client(further["token"]).get("/users/me")["name"] == "grace"
    assert {each["label"] for each in admin.get("/users/grace/tokens")} == {"first", "given"}
    admin.ok("DELETE", f"/users/grace/tokens/{further['id']}")
    is_problem(server.client(further["token"])("GET", "/users/me"), 401)


def test_what_an_administrator_may_not_do(server: Server) -> None:
    """Names are taken once, nobody takes their own rights away, and what is not there is a 404."""
    admin = server.root
    admin.post("/users", {"name": "once"})
    is_problem(admin("POST", "/users", {"name": "once"}), 409, "conflict")
    is_problem(admin("POST", "/users", {"name": "local"}), 409)
    is_problem(admin("POST", "/users", {"name": " "}), 422)
    is_problem(admin("POST", "/users", {"name": "x", "role": "owner"}), 422)
    is_problem(admin("POST", "/users", {"name": "x", "sees": "once"}), 400, "invalid_config")
    is_problem(admin("POST", "/users", {"name": "x", "role": "viewer", "sees": "nobody"}), 404)
    is_problem(admin("POST", "/users", {"name": "x", "daily_budget": -1}), 422)
    for body in ({"disabled": True}, {"role": "viewer"}):
        is_problem(admin("PATCH", "/users/root", body), 400, "invalid_config")
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/t")):
        is_problem(admin(method, f"/users/nobody{path}", {} if method in ("PATCH", "POST") else None), 404)


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_only_administrators_manage(server: Server, role: str) -> None:
    """Every administrator's route and the figures are 403 for others, whoever is asked about."""
    client = server.user(f"no admin but {role}", role)
    me = my_id(client)
    asked = [("GET", "", None), ("POST", "", {"name": "y"}), ("GET", f"/{me}", None), ("PATCH", f"/{me}", {})]
    asked += [("PATCH", f"/{me}", {"role": "admin"}), ("GET", f"/{me}/tokens", None), ("POST", f"/{me}/tokens", {})]
    asked += [("DELETE", f"/{me}/tokens/tok_a", None), ("GET", "/nobody", None)]
    for method, path, body in asked:
        is_problem(client(method, f"/users{path}", body), 403, "forbidden")
    is_problem(client("GET", "/metrics"), 403, "forbidden")
    assert client.get("/users/me")["role"] == role


def test_a_role_that_changes_holds_at_once(user: Client, server: Server) -> None:
    """A developer made a viewer changes nothing from then on, and still looks."""
    made = user.project(run=False)["id"]
    server.root.ok("PATCH", f"/users/{my_id(user)}", {"role": "viewer"})
    is_problem(user("POST", "/projects", {"project_name": "no"}), 403, "forbidden")
    is_problem(user("DELETE", f"/projects/{made}"), 403)
    assert user.get(f"/projects/{made}")["id"] == made
