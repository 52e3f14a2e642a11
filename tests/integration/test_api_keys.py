"""Real runs through a user's own stored key, over HTTP: whose key pays, and what becomes of a run without one.

The provider is the fake of Anthropic's wire. Where a base_url may lead is `test_api_safety.py`, how keys are sealed
`test_credentials_vault.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from model_server import KEY, OPERATORS, ModelServer
from server_process import SHORT, Client, Server, is_problem

from orchestrator_v2.testing.fake_anthropic import Reply, Seen
from orchestrator_v2.testing.worked_answers import worked_reply

SECOND_KEY = "sk-ant-api03-the-second-one-0123456789"


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(scope="module")
def server(provider: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with provider.server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def user(server: Server, provider: ModelServer, request: pytest.FixtureRequest) -> Client:
    """A developer of this test's own, and a provider that answers well."""
    provider.fresh()
    return server.user(request.node.name[:80])


@pytest.fixture
def admin(server: Server) -> Client:
    return server.root


def real(client: Client, **wish: Any) -> str:
    made = client.project(**{"workflow_yaml": SHORT, "mode": "real", **wish})
    assert made["run"]["mode"] == "real"
    return str(made["run"]["id"])


def setting(client: Client) -> Any:
    (found,) = client.get("/users/me/provider-settings")
    return found


def test_a_run_uses_its_users_key_and_says_what_it_cost(user: Client, provider: ModelServer) -> None:
    """Every call bears the stored key, mode auto is real with it, and cost and usage name the same money."""
    provider.stored(user)
    made = user.project(workflow_yaml=SHORT, budget=5)
    assert made["run"]["mode"] == "real"
    standing = user.standing(made["run"]["id"])
    assert standing["run"]["status"] == "completed"
    assert {phase["provenance"].split()[0].split(":")[0] for phase in standing["phases"]} == {"real"}
    assert set(provider.keys) == {KEY}
    assert provider.fake.problems == []
    cost = user.get(f"/runs/{made['run']['id']}/cost")
    assert (cost["total"]["calls"], cost["unknown"], cost["budget_usd"]) == (len(provider.keys), 0, 5)
    assert cost["total"]["cost_usd"] == pytest.approx(standing["run"]["spent_usd"])
    assert cost["total"]["cost_usd"] > 0
    assert {line["name"] for line in cost["phases"]} == {"intake", "planning"}
    usage = user.get("/users/me/usage")
    assert sum(line["cost_usd"] for line in usage) == pytest.approx(cost["total"]["cost_usd"])
    assert {line["project_id"] for line in usage} == {made["id"]}
    user.ok("DELETE", f"/projects/{made['id']}")
    assert user.get("/users/me/usage") == usage


def test_a_stored_key_is_never_shown_again(user: Client, provider: ModelServer) -> None:
    """Answers hold its last four and fingerprint; a second key takes the first one's place."""
    provider.stored(user, label="work", default_model="claude-opus-4-8")
    shown = setting(user)
    assert (shown["last_four"], shown["label"], shown["state"]) == (KEY[-4:], "work", "ok")
    assert (shown["base_url"], shown["default_model"]) == (provider.url, "claude-opus-4-8")
    assert len(shown["fingerprint"]) == 12
    assert {each["name"] for each in user.get("/providers") if each["key_stored"]} == {"anthropic"}
    provider.stored(user, SECOND_KEY)
    assert setting(user)["last_four"] == SECOND_KEY[-4:]
    user.ok("DELETE", "/users/me/provider-settings/anthropic")
    assert user.get("/users/me/provider-settings") == []
    is_problem(user("DELETE", "/users/me/provider-settings/anthropic"), 404)


@pytest.mark.parametrize("key", ["", " ", "two words", "schlüssel-0123456789", "a" * 4097, "line\nbreak"])
def test_what_cannot_be_a_key_is_not_kept(user: Client, key: str) -> None:
    """It is refused without being said back."""
    body = {"llm_provider": "anthropic", "api_key": key}
    answer = user("POST", "/users/me/provider-settings", body)
    assert answer.status_code in (400, 422)
    assert len(key) < 3 or key not in answer.json()["detail"] + answer.json()["why"]
    assert user.get("/users/me/provider-settings") == []


def test_without_a_key_auto_is_simulated_and_real_is_refused(user: Client, provider: ModelServer) -> None:
    """Nothing is sent, though the operator's own key stands in the server's environment."""
    made = user.project(workflow_yaml=SHORT)
    assert made["run"]["mode"] == "simulated"
    assert user.ended(made["run"]["id"]) == "completed"
    refused = user("POST", "/projects", {"project_name": "Real", "mode": "real", "workflow_yaml": SHORT})
    assert is_problem(refused, 400, "needs_credential")["do"]
    is_problem(user("POST", "/users/me/provider-test", {"llm_provider": "anthropic"}), 400, "needs_credential")
    assert provider.keys == []


def test_one_users_key_pays_for_nobody_else(server: Server, user: Client, provider: ModelServer) -> None:
    """Another user of the same server has no key by it, and sees none."""
    provider.stored(user)
    other = server.user("somebody beside them")
    assert other.get("/users/me/provider-settings") == []
    is_problem(other("POST", "/projects", {"project_name": "Real", "mode": "real"}), 400, "needs_credential")
    assert other.project(workflow_yaml=SHORT)["run"]["mode"] == "simulated"
    assert provider.keys == []


def test_a_key_revoked_in_mid_run_parks_the_run_until_there_is_another(user: Client, provider: ModelServer) -> None:
    """It parks as needs_credential and says so; with a new key and resume it completes, and pays for nothing twice."""

    def revokes(seen: Seen) -> Reply:
        if len(provider.fake.requests) == 2:
            user.ok("DELETE", "/users/me/provider-settings/anthropic")
        return worked_reply(seen)

    provider.stored(user)
    provider.answers = revokes
    run_id = real(user)
    standing = user.standing(run_id)
    assert standing["run"]["status"] == "needs_credential"
    assert "key" in standing["run"]["stopped"].lower()
    sent = len(provider.keys)
    assert set(provider.keys) == {KEY}
    assert user.post(f"/runs/{run_id}/resume")
    assert user.ended(run_id) == "needs_credential"
    assert len(provider.keys) == sent
    provider.answers = worked_reply
    provider.stored(user, SECOND_KEY)
    user.post(f"/runs/{run_id}/resume")
    assert user.ended(run_id) == "completed"
    assert set(provider.keys[sent:]) == {SECOND_KEY}
    calls = user.get(f"/runs/{run_id}/cost")["total"]["calls"]
    assert calls == len(provider.keys) == 4


def test_a_refused_key_is_marked_and_not_sent_again(user: Client, provider: ModelServer) -> None:
    """A 401 marks it invalid with the provider's words but not the key; a second run parks without sending."""
    provider.stored(user)
    provider.answers = Reply(status=401, message=f"invalid x-api-key {KEY}")
    first = real(user)
    assert user.ended(first) == "needs_credential"
    shown = setting(user)
    assert (shown["state"], KEY in shown["why"]) == ("invalid", False)
    assert shown["why"]
    sent = len(provider.keys)
    user.post(f"/runs/{first}/resume")
    assert user.ended(first) == "needs_credential"
    again = user("POST", "/projects", {"project_name": "Real", "mode": "real", "workflow_yaml": SHORT})
    is_problem(again, 400, "needs_credential")
    assert user.project(workflow_yaml=SHORT)["run"]["mode"] == "simulated"
    is_problem(user("POST", "/users/me/provider-test", {"llm_provider": "anthropic"}), 400, "needs_credential")
    assert len(provider.keys) == sent
    provider.fresh()
    provider.stored(user, SECOND_KEY)
    assert setting(user)["state"] == "ok"
    user.post(f"/runs/{first}/resume")
    assert user.ended(first) == "completed"
    assert set(provider.keys) == {SECOND_KEY}


def test_the_second_of_two_runs_parks_once_the_first_found_the_key_refused(user: Client, provider: ModelServer) -> None:
    """A run that is under way sends nothing more with a key that was refused in another one."""

    def refused_after(seen: Seen) -> Reply:
        if len(provider.fake.requests) == 1:
            time.sleep(0.3)
            return worked_reply(seen)
        return Reply(status=401)

    provider.stored(user)
    provider.answers = refused_after
    runs = [real(user) for _ in range(2)]
    assert [user.ended(run_id) for run_id in runs] == ["needs_credential"] * 2
    assert len(provider.keys) <= 3


def test_the_operators_key_is_never_sent_for_a_user(user: Client, provider: ModelServer) -> None:
    """With a key of one's own, with a revoked one, with none: what arrives at the provider is never the operator's."""
    provider.stored(user)
    assert user.ended(real(user)) == "completed"
    user.ok("DELETE", "/users/me/provider-settings/anthropic")
    user.ended(user.project(workflow_yaml=SHORT)["run"]["id"])
    assert provider.keys and OPERATORS not in provider.keys
    assert not any(OPERATORS in str(seen.headers) for seen in provider.fake.requests)


def test_a_model_outside_ones_entitlements_is_refused(user: Client, admin: Client, provider: ModelServer) -> None:
    """Before anything is made or sent, also as an agent's own model and as a trial."""
    provider.stored(user)
    me = user.get("/users/me")["id"]
    admin.ok("PATCH", f"/users/{me}", {"models": ["anthropic/claude-haiku-*"]})
    wish = {"model": "claude-haiku-4-5", "project_name": "Real", "mode": "real", "workflow_yaml": SHORT}
    wrong: list[Any] = [{"model": "claude-opus-4-8"}, {"agent_assignments": {"qa": "anthropic/claude-opus-4-8"}}]
    for other in wrong:
        is_problem(user("POST", "/projects", {**wish, **other}), 403, "forbidden")
    trial = {"llm_provider": "anthropic", "model": "claude-opus-4-8"}
    is_problem(user("POST", "/users/me/provider-test", trial), 403, "forbidden")
    assert provider.keys == []
    assert user.ended(real(user, model="claude-haiku-4-5")) == "completed"


def test_entitlements_that_change_hold_for_runs_that_wait(user: Client, admin: Client, provider: ModelServer) -> None:
    """A run of a model that is taken away sends nothing more when it goes on."""
    provider.stored(user)
    made = user.project(workflow_yaml=SHORT, mode="real", run=False)
    run_id = user.post(f"/projects/{made['id']}/advance")["id"]
    assert user.ended(run_id) == "paused"
    sent = len(provider.keys)
    admin.ok("PATCH", f"/users/{user.get('/users/me')['id']}", {"models": ["openai/*"]})
    user.post(f"/runs/{run_id}/resume")
    standing = user.standing(run_id)
    assert (standing["run"]["status"], len(provider.keys)) == ("needs_attention", sent)
    assert "not open to you" in standing["run"]["stopped"]


def test_a_daily_ceiling_parks_the_run(user: Client, admin: Client, provider: ModelServer) -> None:
    """What does not fit is not sent; with room again the run completes."""
    provider.stored(user)
    me = user.get("/users/me")["id"]
    admin.ok("PATCH", f"/users/{me}", {"daily_budget": 0.0001})
    run_id = real(user)
    standing = user.standing(run_id)
    assert (standing["run"]["status"], provider.keys) == ("waiting_budget", [])
    admin.ok("PATCH", f"/users/{me}", {"daily_budget": None, "monthly_budget": 100})
    assert user.get("/users/me")["daily_budget"] is None
    user.post(f"/runs/{run_id}/resume")
    assert user.ended(run_id) == "completed"


def test_a_runs_own_budget_parks_it_and_a_new_one_lets_it_go_on(user: Client, provider: ModelServer) -> None:
    """`resume` with a budget raises the ceiling; without one it waits as before."""
    provider.stored(user)
    run_id = real(user, budget=0)
    assert (user.ended(run_id), provider.keys) == ("waiting_budget", [])
    for kind in ("zip", "bundle"):
        is_problem(user("GET", f"/runs/{run_id}/archive?kind={kind}"), 409, "run_state")
    user.post(f"/runs/{run_id}/resume", {"budget": 5})
    standing = user.standing(run_id)
    assert (standing["run"]["status"], standing["budget_usd"]) == ("completed", 5)


def test_a_disabled_owners_run_sends_nothing(user: Client, admin: Client, provider: ModelServer) -> None:
    """It parks, and goes on once the account is enabled again."""
    provider.stored(user)
    me = user.get("/users/me")["id"]

    def disables(seen: Seen) -> Reply:
        if len(provider.fake.requests) == 1:
            admin.ok("PATCH", f"/users/{me}", {"disabled": True})
        return worked_reply(seen)

    provider.answers = disables
    run_id = real(user)
    time.sleep(1.5)
    is_problem(user("GET", f"/runs/{run_id}"), 401)
    assert len(provider.keys) <= 2
    provider.answers = worked_reply
    admin.ok("PATCH", f"/users/{me}", {"disabled": False})
    assert user.ended(run_id) == "needs_credential"
    user.post(f"/runs/{run_id}/resume")
    assert user.ended(run_id) == "completed"


def test_a_key_can_be_tried_and_not_too_often(user: Client, provider: ModelServer) -> None:
    """One tiny real call says whether the key works; the sixth in a minute is refused with a time to wait."""
    provider.stored(user)
    provider.answers = "ready"
    trial = user.post("/users/me/provider-test", {"llm_provider": "anthropic"})
    assert (trial["works"], trial["words"]) == (True, "ready")
    assert trial["cost_usd"] > 0
    provider.answers = Reply(status=529)
    for _ in range(4):
        trial = user.post("/users/me/provider-test", {"llm_provider": "anthropic"})
        assert trial["works"] is False and trial["words"]
    assert provider.keys == [KEY] * 5
    refused = user("POST", "/users/me/provider-test", {"llm_provider": "anthropic"})
    is_problem(refused, 429, "limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert len(provider.keys) == 5


def test_a_trial_with_a_bad_key_marks_it(user: Client, provider: ModelServer) -> None:
    """The answer says what the provider said, without the key, and the key is marked invalid."""
    provider.stored(user)
    provider.answers = Reply(status=401, message=f"no such key: {KEY}")
    trial = user.post("/users/me/provider-test", {"llm_provider": "anthropic"})
    assert (trial["works"], KEY in str(trial), trial["cost_usd"]) == (False, False, None)
    assert setting(user)["state"] == "invalid"


def test_agents_with_models_of_their_own_use_them(user: Client, provider: ModelServer) -> None:
    """The assigned model answers for its agent alone, by the same key."""
    provider.stored(user, default_model="claude-haiku-4-5")
    run_id = real(user, agent_assignments={"architect": "anthropic/claude-opus-4-8"})
    assert user.ended(run_id) == "completed"
    assert {seen.body["model"] for seen in provider.fake.requests} == {"claude-opus-4-8"}
    standing = user.get(f"/runs/{run_id}")
    assert standing["assignments"] == {"architect": "anthropic/claude-opus-4-8"}
    assert standing["model"] == "claude-haiku-4-5"
