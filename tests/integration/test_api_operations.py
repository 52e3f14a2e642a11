"""Operations over HTTP against a real server: listed, asked, asked twice, in the background, wrongly."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_server import KEY, OPERATORS, ModelServer
from server_process import FIELDS, PROBLEM, Client, Server

from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.fake_openai import FakeOpenAI

SECOND = "sk-proj-users-own-second-0123456789abcdef"

DATA = {
    "pillars": [
        {"name": "Tense silence", "description": "The player hears danger before it is seen, in every level."},
        {"name": "Two hands", "description": "Every action can be done with one button and one stick."},
    ]
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


def problem(answer: Any, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["code"] == code and set(body) >= FIELDS
    return body


def test_the_operations_are_listed_with_their_schemas(client: Client) -> None:
    """What there is, in which modes, with the shapes of data and answer; each can be looked at alone."""
    listed = {it["id"]: it for it in client.get("/operations")}
    assert {"pillars.validate", "pillars.improve", "pillars.suggest_additions"} <= set(listed)
    one = client.get("/operations/pillars.validate")
    assert one == listed["pillars.validate"]
    assert one["modes"] == ["monolithic", "agentic"] and one["agents"]
    assert "pillars" in one["request_schema"]["properties"]


@pytest.mark.parametrize("mode", ["monolithic", "agentic"])
def test_an_operation_is_asked_and_its_run_is_kept(client: Client, mode: str) -> None:
    """The answer comes at once, offline without a key; its run gives the same answer later."""
    said = client.post("/operations/pillars.validate", {"data": DATA, "mode": mode})
    assert said["success"] and said["metadata"]["provenance"] == "simulated"
    stored = client.get(f"/operations/runs/{said['metadata']['run_id']}")
    assert stored["results"] == said["results"]
    assert said["metadata"]["run_id"] in {it["run_id"] for it in client.get("/operations/runs")["items"]}


def test_runs_of_operations_are_not_among_the_runs_of_projects(client: Client) -> None:
    """`/runs` lists what projects have run, `/operations/runs` what operations have, and neither the other's."""
    project = client.short()
    operation = client.post("/operations/pillars.validate", {"data": DATA, "cache_policy": "bypass"})
    runs = {it["id"] for it in client.get("/runs")["items"]}
    operations = {it["run_id"] for it in client.get("/operations/runs")["items"]}
    assert project in runs and operation["metadata"]["run_id"] in operations
    assert not runs & operations


def test_the_same_idempotency_key_gives_the_stored_answer_and_other_data_is_a_conflict(client: Client) -> None:
    """The header or the field: sent again it is one run; with other data 409, with the run's id in the context."""
    first = client.post("/operations/pillars.validate", {"data": DATA, "cache_policy": "bypass"}, Idempotency_Key="k-1")
    again = client.post(
        "/operations/pillars.validate", {"data": DATA, "cache_policy": "bypass", "idempotency_key": "k-1"}
    )
    assert again["metadata"]["replayed"] and again["results"] == first["results"]
    other = {"pillars": DATA["pillars"][:1]}
    body = problem(
        client("POST", "/operations/pillars.validate", {"data": other}, Idempotency_Key="k-1"),
        409,
        "idempotency_conflict",
    )
    assert body["context"]["run_id"] == first["metadata"]["run_id"]
    both = {"data": DATA, "idempotency_key": "k-2"}
    problem(client("POST", "/operations/pillars.validate", both, Idempotency_Key="k-3"), 400, "invalid_operation")


def test_one_can_ask_not_to_wait(client: Client) -> None:
    """`Prefer: respond-async` answers 202 with the place of the answer, which is there a moment later."""
    asked = {"data": DATA, "mode": "agentic", "cache_policy": "bypass"}
    answer = client("POST", "/operations/pillars.improve", asked, Prefer="respond-async")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    where = answer.headers["location"]
    end = time.monotonic() + 30
    while not (found := client.get(where))["success"]:
        assert found["metadata"]["status"] == "running" and time.monotonic() < end, found
        time.sleep(0.05)
    assert found["metadata"]["agents_used"]


def test_what_is_wrong_with_a_request_is_told(client: Client) -> None:
    """Unknown names with the nearest, data with every problem, a body that is none of ours, a run that is nobody's."""
    body = problem(client("POST", "/operations/pilars.validate", {"data": DATA}), 400, "unknown_feature")
    assert body["context"]["nearest"] == "pillars"
    body = problem(client("POST", "/operations/pillars.validat", {"data": DATA}), 400, "unknown_operation")
    assert "validate" in body["do"]
    wrong = {"pillars": [{"name": ""}], "more": 1}
    body = problem(client("POST", "/operations/pillars.validate", {"data": wrong}), 400, "validation")
    assert len(body["context"]["problems"]) >= 2
    assert client("POST", "/operations/pillars.validate", {"data": DATA, "mode": "x"}).status_code == 422
    assert client("POST", "/operations/pillars.validate", {"data": {"a": "\x00"}}).status_code == 422
    problem(client("GET", "/operations/runs/op_nothing"), 404, "run_not_found")
    real = {"data": DATA, "run_mode": "real"}
    problem(client("POST", "/operations/pillars.validate", real), 401, "authentication_failed")


def test_a_project_s_run_is_no_operation_s(client: Client) -> None:
    """The two kinds of run are told apart by what they are, not by who knows their id."""
    run_id = client.short()
    assert client.get(f"/runs/{run_id}")["run"]["id"] == run_id
    problem(client("GET", f"/operations/runs/{run_id}"), 404, "run_not_found")


def test_a_users_fallback_is_paid_by_that_users_own_key(tmp_path: Path) -> None:
    """The first model is overloaded, the second answers with the key that the user has stored for it: neither server
    ever sees the operator's key, and the answer says who gave it."""
    judged = {"pillars": [{"name": "Swift", "verdict": "pillar", "score": 90, "issues": []}], "set_issues": []}
    answer = json.dumps({**judged, "score": 90, "summary": "It holds."})
    with ModelServer() as first, ModelServer(FakeOpenAI, "openai") as second:
        first.fresh(Reply(status=529))
        second.fresh(lambda seen: answer)
        origins = f"{first.url},{second.url}"
        with first.server(
            tmp_path, ORCHESTRATOR_MODEL_ORIGINS=origins, OPENAI_API_KEY=OPERATORS, ORCHESTRATOR_RETRY_MAX_ATTEMPTS="1"
        ) as server:
            client = server.user("ann")
            body = {
                "data": {"pillars": [{"name": "Swift", "description": "The player never waits for a screen."}]},
                "model_id": "anthropic/claude-haiku-5-5",
                "fallbacks": ["openai/gpt-6-luna"],
            }
            first.stored(client)
            problem(client("POST", "/operations/pillars.validate", body), 401, "authentication_failed")
            second.stored(client, SECOND)
            said = client.post("/operations/pillars.validate", body)
            assert said["metadata"]["provenance"] == "fallback"
            assert said["metadata"]["models_used"] == ["openai/gpt-6-luna"]
            assert set(first.keys) == {KEY} and set(second.keys) == {SECOND}
            # A fallback's answer is not the chosen model's: it is not given again.
            again = client.post("/operations/pillars.validate", body)
            assert again["metadata"]["cache"] == "miss"


def test_operations_count_among_the_runs_of_a_user(tmp_path: Path) -> None:
    """Of those that are begun at once no more are taken than the user may have under way."""
    with ModelServer() as models, models.server(tmp_path, ORCHESTRATOR_RUNS_PER_USER="3") as server:
        models.fresh(Reply("no JSON", silence=3.0))
        client = server.user("ann")
        models.stored(client)
        body = {"data": DATA, "run_mode": "real", "cache_policy": "bypass"}
        said = [client("POST", "/operations/pillars.improve", body, Prefer="respond-async") for _ in range(8)]
        assert Counter(answer.status_code for answer in said) == {202: 3, 429: 5}
        assert all(answer.headers["retry-after"] for answer in said if answer.status_code == 429)
        problem(client("POST", "/projects", {"project_name": "One more"}), 429, "limited")


def test_a_caller_who_hangs_up_pays_for_nothing_more(tmp_path: Path) -> None:
    """The connection is cut while an agent is asked: the run is paused, and no further call is sent."""
    asked = threading.Event()

    def slow(seen: object) -> Reply:
        asked.set()
        return Reply('{"summary": "Seen.", "findings": [], "disagreements": []}', silence=0.8)

    with ModelServer() as models, models.server(tmp_path) as server:
        models.fresh(slow)
        client = server.client()
        models.stored(client)
        body = json.dumps({"data": DATA, "mode": "agentic", "run_mode": "real"}).encode()
        head = f"POST /operations/pillars.validate HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
            assert asked.wait(20)
            sent = len(models.fake.requests)
        end = time.monotonic() + 20
        while (found := client.get("/operations/runs")["items"][0])["status"] != "paused":
            assert time.monotonic() < end, found
            time.sleep(0.05)
        time.sleep(1.5)
        assert len(models.fake.requests) <= sent + 4  # those that were on their way to be asked
        assert client.get("/operations/runs")["items"][0]["status"] == "paused"


def test_several_preferences_and_one_key(client: Client) -> None:
    """`Prefer` may come in several lines; two idempotency keys are a contradiction."""
    body = {"data": DATA, "cache_policy": "bypass"}
    lines = [("Prefer", "wait=10"), ("Prefer", "respond-async")]
    assert client.http.post("/operations/pillars.validate", json=body, headers=lines).status_code == 202
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert client.http.post("/operations/pillars.validate", json=body, headers=twice).status_code == 400
