"""Projects over HTTP against a real server: wished for, listed, advanced, asked for twice, deleted.

What may be asked of a run is `test_api_runs.py`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from server_process import REVIEWED, SHORT, Client, Server, is_problem


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server")
    with Server(home, ORCHESTRATOR_RUNS_PER_USER="200", ORCHESTRATOR_LOG_LEVEL="warning") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


def curl(server: Server, path: str, body: str) -> tuple[int, dict[str, object]]:
    """The issue's command line, just so."""
    command = ["curl", "-s", "-w", "\n%{http_code}", "-X", "POST", f"http://localhost:{server.port}{path}"]
    command += ["-H", "Content-Type: application/json", "-d", body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    answer, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(answer)


def test_the_two_commands_of_the_readme_work_on_ones_own_machine(server: Server, client: Client) -> None:
    """A key is stored and a project begun by plain curl, without any account."""
    status, stored = curl(
        server, "/users/me/provider-settings", '{"llm_provider": "anthropic", "api_key": "sk-ant-api03-0123456789abcd"}'
    )
    assert (status, stored["last_four"], "api_key" in stored) == (201, "abcd", False)
    client.ok("DELETE", "/users/me/provider-settings?llm_provider=anthropic")
    status, made = curl(server, "/projects", '{"project_name": "My Project"}')
    assert status == 201
    run = made["run"]
    assert isinstance(run, dict)
    assert (run["status"], run["mode"], made["brief"]) == ("running", "simulated", "My Project")


def test_a_simulated_run_of_the_default_workflow_completes(client: Client) -> None:
    """Without a key mode auto is simulated, says so on everything, and ends as completed with a cost of nothing."""
    made = client.project("Pomodoro", brief="A pomodoro timer with statistics and CSV export")
    assert made["run"]["mode"] == "simulated"
    standing = client.standing(made["run"]["id"])
    assert (standing["run"]["status"], standing["run"]["spent_usd"]) == ("completed", 0)
    assert {phase["provenance"] for phase in standing["phases"]} <= {"simulated", "engine"}
    assert {phase["status"] for phase in standing["phases"]} == {"done"}
    assert client.get(f"/projects/{made['id']}/status") == standing
    assert client.get(f"/projects/{made['id']}")["run"] == standing["run"]


def test_a_project_is_made_listed_shown_and_deleted(client: Client) -> None:
    """What was wished for is shown; once deleted it is nowhere, and deleting it again is a 404."""
    answer = client("POST", "/projects", {"project_name": " Kept ", "description": "In words.", "run": False})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/projects/{made['id']}")
    assert (made["project_name"], made["brief"], made["run"]) == ("Kept", "In words.", None)
    assert client.get("/projects?limit=1")["items"] == [made]
    is_problem(client("GET", f"/projects/{made['id']}/status"), 409, "run_state")
    gone = client("DELETE", f"/projects/{made['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/status"), ("POST", "/advance"), ("GET", "/runs")):
        is_problem(client(method, f"/projects/{made['id']}{path}"), 404, "unknown_name")
    assert made["id"] not in {each["id"] for each in client.get("/projects?limit=200")["items"]}


def test_deleting_a_project_cancels_its_runs(server: Server, client: Client) -> None:
    """A run that waits for a person is cancelled with its project, and is on no list any more."""
    made = client.project(workflow_yaml=REVIEWED)
    run_id = made["run"]["id"]
    assert client.ended(run_id) == "waiting_review"
    client.ok("DELETE", f"/projects/{made['id']}")
    is_problem(client("GET", f"/runs/{run_id}"), 404)
    end = time.monotonic() + 10
    while json.loads(server.cli("show", run_id, "--json").stdout)["status"] != "cancelled":
        assert time.monotonic() < end


def test_pages_of_120_projects_have_no_gap_and_no_double(client: Client) -> None:
    """Keyset pages give every project once, newest first, also while others are added."""
    names = [f"page {number}" for number in range(120)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: client.project(name, run=False), names))
    first = client.get("/projects?limit=50")
    client.project("too late for the first page", run=False)
    found, before = first["items"], first["next"]
    while before is not None:
        page = client.get(f"/projects?limit=50&before={before}")
        found, before = found + page["items"], page["next"]
    ids = [each["id"] for each in found]
    assert len(ids) == len(set(ids))
    assert set(names) <= {each["project_name"] for each in found}
    assert "too late for the first page" not in {each["project_name"] for each in found}
    times = [each["created_at"] for each in found]
    assert times == sorted(times, reverse=True)
    is_problem(client("GET", "/projects?limit=201"), 422)


def test_a_last_page_that_is_full_has_no_page_after_it(client: Client) -> None:
    """Where as many runs were asked for as there are, `next` is null and leads to no empty page."""
    made = client.project(run=False)
    runs = [client.post(f"/projects/{made['id']}/runs")["id"] for _ in range(2)]
    page = client.get(f"/projects/{made['id']}/runs?limit=2")
    assert [each["id"] for each in page["items"]] == runs[::-1]
    assert page["next"] is None


def test_advance_does_a_phase_at_a_time_to_the_end(client: Client) -> None:
    """The first call begins a run, each further one does one phase, and a run that ended is told apart."""
    made = client.project(workflow_yaml=SHORT, run=False)
    done = []
    for _ in range(2):
        answer = client("POST", f"/projects/{made['id']}/advance")
        assert answer.status_code == 202
        standing = client.standing(answer.json()["id"])
        done.append([phase["status"] for phase in standing["phases"]].count("done"))
    assert done == [1, 2]
    assert standing["run"]["status"] == "completed"
    is_problem(client("POST", f"/projects/{made['id']}/advance"), 409, "run_state")


def test_the_default_workflow_can_be_advanced_to_its_end(client: Client) -> None:
    """Phase by phase all twelve are done; in between the run is paused."""
    made = client.project("By hand", run=False)
    seen = []
    while not seen or seen[-1][0] == "paused":
        standing = client.standing(client.post(f"/projects/{made['id']}/advance")["id"])
        done = sum(phase["status"] == "done" for phase in standing["phases"])
        seen.append((standing["run"]["status"], done))
    assert seen == [*(("paused", number) for number in range(1, 12)), ("completed", 12)]


def test_a_further_run_of_a_project_is_one_of_its_own(client: Client) -> None:
    """`POST /runs` walks the same wish again; both runs are listed, newest first, by keyset."""
    made = client.project(workflow_yaml=SHORT)
    again = client.post(f"/projects/{made['id']}/runs")
    client.ended(again["id"])
    page = client.get(f"/projects/{made['id']}/runs?limit=1")
    assert [each["id"] for each in page["items"]] == [again["id"]]
    page = client.get(f"/projects/{made['id']}/runs?limit=1&before={page['next']}")
    assert [each["id"] for each in page["items"]] == [made["run"]["id"]]


def test_a_request_sent_again_is_done_once(client: Client) -> None:
    """The same key and body give the same project and one run; another body is a conflict."""
    first = client.post("/projects", {"project_name": "Once", "workflow_yaml": SHORT}, Idempotency_Key="once")
    again = client.post("/projects", {"project_name": "Once", "workflow_yaml": SHORT}, Idempotency_Key="once")
    assert (again["id"], again["run"]["id"]) == (first["id"], first["run"]["id"])
    assert len(client.get(f"/projects/{first['id']}/runs")["items"]) == 1
    other = client("POST", "/projects", {"project_name": "Twice"}, Idempotency_Key="once")
    is_problem(other, 409, "conflict")
    run = client.post(f"/projects/{first['id']}/runs", Idempotency_Key="further")
    assert client.post(f"/projects/{first['id']}/runs", Idempotency_Key="further")["id"] == run["id"]
    assert len(client.get(f"/projects/{first['id']}/runs")["items"]) == 2
    other = client.project(run=False)
    is_problem(client("POST", f"/projects/{other['id']}/runs", Idempotency_Key="further"), 409, "conflict")


@pytest.mark.parametrize("what", ["projects", "runs"])
def test_twenty_racing_requests_with_one_key_make_one_thing(client: Client, what: str) -> None:
    """However many arrive at once, all are answered with the one project, or the one run, that was made."""
    path, body = "/projects", {"project_name": "Raced", "workflow_yaml": SHORT}
    if what == "runs":
        path, body = f"/projects/{client.project(run=False)['id']}/runs", None
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client("POST", path, body, Idempotency_Key=f"race-{what}"), range(20)))
    assert {answer.status_code for answer in answers} == {201 if body else 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    if body:
        assert len({answer.json()["run"]["id"] for answer in answers}) == 1
        path = f"/projects/{answers[0].json()['id']}/runs"
    assert len(client.get(path)["items"]) == 1


def test_a_wish_is_checked_before_anything_is_made(client: Client) -> None:
    """What cannot be is refused with words that say what to do, and leaves no project behind."""
    before = client.get("/projects?limit=1")["items"][0]["id"]
    wrong = [
        ({"workflow": "no_such"}, 404, "unknown_name"),
        ({"workflow": "../../etc/passwd"}, 422, "invalid_request"),
        ({"workflow_yaml": "/etc/passwd"}, 400, "invalid_workflow"),
        ({"workflow_yaml": "name: a\nphases: []\n"}, 400, "invalid_workflow"),
        ({"mode": "real"}, 400, "needs_credential"),
        ({"mode": "pretended"}, 422, "invalid_request"),
        ({"budget": -1}, 422, "invalid_request"),
        ({"provider": "no_such", "mode": "real"}, 404, "unknown_name"),
        ({"agent_assignments": {"qa": "no-slash"}}, 400, "invalid_config"),
        ({"agent_assignments": {"no_such": "anthropic/claude-opus-4-8"}}, 404, "unknown_name"),
        ({"brief": "a\x00b"}, 422, "invalid_request"),
        ({"surprise": 1}, 422, "invalid_request"),
        ({"project_name": "  "}, 422, "invalid_request"),
    ]
    for wish, status, code in wrong:
        said = is_problem(client("POST", "/projects", {"project_name": "Wrong", **wish}), status, code)
        assert status == 422 or said["do"] or said["why"], (wish, said)
    assert client.get("/projects?limit=1")["items"][0]["id"] == before


def test_budget_review_and_agents_of_a_wish_reach_its_run(client: Client) -> None:
    """What was wished for stands in the run: its ceiling, who reviews, a workflow of one's own."""
    made = client.project(workflow_yaml=REVIEWED, budget=2.5, parallelism=1, answers={"Which?": "That."})
    standing = client.standing(made["run"]["id"])
    assert (made["budget"], standing["budget_usd"]) == (2.5, 2.5)
    assert (standing["run"]["workflow"], standing["run"]["status"]) == ("reviewed", "waiting_review")
    assert (standing["phases"][0]["id"], standing["phases"][0]["status"]) == ("intake", "waiting_review")
    assert client.get("/runs?status=waiting_review&limit=200")["items"][0]["id"] == made["run"]["id"]
    assert client.get("/runs?status=failed")["items"] == []
    is_problem(client("GET", "/runs?status=no_such"), 422)


def test_an_estimate_makes_nothing(client: Client) -> None:
    """A price range, phase by phase, without a project, a run or a key."""
    before = client.get("/projects?limit=1")["items"][0]["id"]
    told = client.post("/projects/estimate", {"project_name": "How much?"})
    low, high = told["cost_usd"]
    assert 0 < low <= high
    assert 11 <= len(told["phases"]) <= 12
    assert client.get("/projects?limit=1")["items"][0]["id"] == before


def test_what_there_is_to_choose_from(client: Client) -> None:
    """Workflows with their phases, eight agents, the providers with a mark where a key is stored."""
    assert [len(flow["phases"]) for flow in client.get("/workflows") if flow["name"] == "default"] == [12]
    assert len(client.get("/agents")) == 8
    providers = {each["name"]: each for each in client.get("/providers")}
    assert providers["anthropic"]["key_stored"] is False
    assert providers["anthropic"]["models"] > 0


def test_health_readiness_and_figures(client: Client) -> None:
    """The process answers, so does its database, and Prometheus finds figures by route and status."""
    assert client.get("/health")["status"] == "ok"
    assert client.get("/ready")["status"] == "ready"
    client("GET", "/projects/made-up-by-me")
    figures = client("GET", "/metrics").text
    assert 'orchestrator_requests_total{method="GET",route="/projects/{project_id}",status="404"}' in figures
    assert "made-up-by-me" not in figures
    assert "orchestrator_runs_active" in figures


def test_errors_are_problems_whose_correlation_id_is_in_the_log(server: Server, client: Client) -> None:
    """Every way to fail answers in one form; header, body and log line name the request by the same id."""
    answers = [
        (client("GET", "/runs/run_none"), 404),
        (client("GET", "/no/such/page"), 404),
        (client("PUT", "/projects"), 405),
        (client("POST", "/projects", {"project_name": 7}), 422),
        (client.http.post("/projects", content=b"{", headers={"content-type": "application/json"}), 422),
        (client("GET", "/health", Host="elsewhere.example"), 421),
        (client("POST", "/projects", {"project_name": "a"}, Origin="https://elsewhere.example"), 403),
    ]
    ids = [is_problem(answer, status)["correlation_id"] for answer, status in answers]
    time.sleep(0.1)
    logged = {line["correlation"]: line["message"] for line in server.log() if "correlation" in line}
    assert all(ids) and len(set(ids)) == len(ids)
    for (_, status), correlation in zip(answers, ids, strict=True):
        assert str(status) in logged[correlation]
    assert httpx2.get(f"{server.url}/health", trust_env=False).headers["x-correlation-id"]
