"""One run over HTTP against a real server: its files, cost and checkpoints, and what a person decides about it.

Real runs through a stored key are `test_api_keys.py`; events are `test_api_events.py`.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server_process import REVIEWED, SHORT, Client, Server, is_problem


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture(scope="module")
def whole(client: Client) -> str:
    """The id of a run of the default workflow that is completed."""
    made = client.project("Pomodoro", brief="A pomodoro timer with statistics and CSV export")
    assert client.ended(made["run"]["id"]) == "completed"
    return str(made["run"]["id"])


def waiting(client: Client, **wish: Any) -> tuple[str, Any]:
    """A run whose first phase waits for a person, and the review."""
    run_id = client.short(workflow_yaml=REVIEWED, **wish)
    standing = client.standing(run_id)
    assert standing["run"]["status"] == "waiting_review"
    return run_id, standing["reviews"][0]


def content(client: Client, run_id: str, path: str) -> bytes:
    answer = client("GET", f"/runs/{run_id}/artifacts/{path}")
    assert answer.status_code == 200
    return answer.content


def phase(standing: Any, name: str) -> Any:
    return next(each for each in standing["phases"] if each["id"] == name)


def test_every_file_is_sent_as_it_was_made(client: Client, whole: str) -> None:
    """Bytes, hash and size agree for each artifact, and no file is sent as something a browser would run."""
    listed = client.get(f"/runs/{whole}/artifacts")
    assert len(listed) > 10
    for each in listed:
        answer = client("GET", f"/runs/{whole}/artifacts/{quote(each['path'])}")
        assert hashlib.sha256(answer.content).hexdigest() == each["hash"] == answer.headers["etag"].strip('"')
        assert (len(answer.content), answer.headers["content-type"]) == (each["size"], "application/octet-stream")
        assert answer.headers["content-disposition"].startswith("attachment; ")
    for path in ("no/such.md", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "docs"):
        is_problem(client("GET", f"/runs/{whole}/artifacts/{path}"), 404)


def test_the_zip_unpacks_to_the_same_bytes(client: Client, whole: str) -> None:
    """Every artifact is in the archive, byte for byte, below one folder."""
    answer = client("GET", f"/runs/{whole}/archive")
    assert 'filename="pomodoro.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        found = {name.partition("/")[2]: packed.read(name) for name in packed.namelist() if not name.endswith("/")}
    listed = client.get(f"/runs/{whole}/artifacts")
    assert {each["path"] for each in listed} <= set(found)
    for each in listed:
        assert hashlib.sha256(found[each["path"]]).hexdigest() == each["hash"]


def test_the_bundle_is_a_repository_with_a_commit_for_each_phase(client: Client, whole: str, tmp_path: Path) -> None:
    """`git clone` takes it as it is; its files are the run's, and each phase that made some has a commit."""
    bundle = tmp_path / "it.bundle"
    bundle.write_bytes(client("GET", f"/runs/{whole}/archive?kind=bundle").content)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(bundle), str(clone)], check=True, timeout=30, capture_output=True)
    log = subprocess.run(
        ["git", "-C", str(clone), "log", "--format=%s"], check=True, timeout=30, capture_output=True, text=True
    ).stdout.splitlines()
    made = [each["id"] for each in client.get(f"/runs/{whole}")["phases"] if each["files"]]
    assert len(log) == len(made) == 12
    assert all(any(name in line for line in log) for name in made)
    for each in client.get(f"/runs/{whole}/artifacts"):
        assert hashlib.sha256((clone / each["path"]).read_bytes()).hexdigest() == each["hash"]
    is_problem(client("GET", f"/runs/{whole}/archive?kind=tar"), 422)


def test_a_simulated_run_costs_nothing(client: Client, whole: str) -> None:
    """No call, no token, no money: 0, not unknown; nor does it stand in the user's usage."""
    cost = client.get(f"/runs/{whole}/cost")
    total = cost["total"]
    assert (total["calls"], total["input_tokens"], total["output_tokens"], total["cost_usd"]) == (0, 0, 0, 0)
    assert (cost["phases"], cost["models"], cost["unknown"], cost["budget_usd"]) == ([], [], 0, None)
    assert client.get("/users/me/usage") == []


def test_checkpoints_name_what_can_be_gone_back_to(client: Client, whole: str) -> None:
    """Each phase that is done, in the graph's order, with the event that ended it."""
    found = client.get(f"/runs/{whole}/checkpoints")
    assert [each["phase"] for each in found] == [each["id"] for each in client.get(f"/runs/{whole}")["phases"]]
    events = {each["seq"]: each for each in client.events(whole)}
    assert {events[each["event"]]["type"] for each in found} == {"TaskCompleted"}


def test_rollback_does_a_phase_again_with_the_replaced_file(client: Client) -> None:
    """What was put in a file's place stays, and all that stands on the phase is done again."""
    run_id = client.short()
    assert client.ended(run_id) == "completed"
    body = {"phase": "planning", "files": {"docs/intake.md": "# My own intake\n"}}
    assert client("POST", f"/runs/{run_id}/rollback", body).status_code == 202
    standing = client.standing(run_id)
    assert (standing["run"]["status"], phase(standing, "planning")["round"]) == ("completed", 2)
    assert phase(standing, "intake")["round"] == 1
    assert content(client, run_id, "docs/intake.md") == b"# My own intake\n"
    is_problem(client("POST", f"/runs/{run_id}/rollback", {"phase": "no_such"}), 404)
    for path in ("../outside.md", "/etc/passwd", "docs/none.md", ".git/config"):
        answer = client("POST", f"/runs/{run_id}/rollback", {"phase": "planning", "files": {path: "x"}})
        assert 400 <= answer.status_code < 500, (path, answer.text)
    assert client.ended(run_id) == "completed"


def test_cancel_is_for_good(client: Client) -> None:
    """A run that is cancelled goes on by no means, and says what it is."""
    run_id, review = waiting(client)
    assert client("POST", f"/runs/{run_id}/cancel").status_code == 202
    assert client.standing(run_id, until=lambda it: it["run"]["status"] == "cancelled")["reviews"] == []
    decision = {"decision": "approve", "content": review["content"]}
    for path, body in (("resume", None), ("pause", None), ("cancel", None), ("reviews", decision)):
        is_problem(client("POST", f"/runs/{run_id}/{path}", body), 409, "run_state")


def test_a_paused_run_goes_on_when_it_is_resumed(client: Client) -> None:
    """What is under way ends, nothing more starts; resumed, the run completes and no phase was done twice."""
    run_id = client.project("To be paused")["run"]["id"]
    assert client("POST", f"/runs/{run_id}/pause").status_code == 202
    standing = client.standing(run_id)
    assert standing["run"]["status"] == "paused"
    assert any(each["status"] == "pending" for each in standing["phases"])
    is_problem(client("POST", f"/runs/{run_id}/pause"), 409, "run_state")
    assert client("POST", f"/runs/{run_id}/resume").status_code == 202
    standing = client.standing(run_id)
    assert standing["run"]["status"] == "completed"
    assert {each["round"] for each in standing["phases"]} == {1}


def test_retry_does_one_phase_anew(client: Client) -> None:
    """The phase has a further round, what is before it has none."""
    run_id = client.short()
    client.standing(run_id)
    assert client("POST", f"/runs/{run_id}/retry", {"phase": "planning"}).status_code == 202
    standing = client.standing(run_id)
    assert standing["run"]["status"] == "completed"
    assert [each["round"] for each in standing["phases"]] == [1, 2]
    is_problem(client("POST", f"/runs/{run_id}/retry", {"phase": "no_such"}), 404)


def test_an_approved_review_lets_the_run_go_on(client: Client) -> None:
    """Approved by its content hash the run completes; who decided is in its history."""
    run_id, review = waiting(client)
    answer = client("POST", f"/runs/{run_id}/reviews", {"decision": "approve", "content": review["content"]})
    assert answer.status_code == 202
    ended = client.standing(run_id, until=lambda it: it["run"]["status"] == "completed")
    assert ended["reviews"] == []
    decided = [each["event"] for each in client.events(run_id) if each["type"] == "ReviewDecided"]
    assert [(each["phase"], each["approved"], each["by"]) for each in decided] == [("intake", True, "local")]


def test_the_human_reviews_the_default_workflow_too(client: Client) -> None:
    """`review: human` puts every review of the workflow before a person, one after the other, to the end."""
    run_id = client.project("Reviewed by me", review="human")["run"]["id"]
    seen = []
    while (standing := client.standing(run_id))["run"]["status"] == "waiting_review":
        review = standing["reviews"][0]
        seen.append(review["phase"])
        client.post(f"/runs/{run_id}/reviews", {"decision": "approve", **review})
        client.standing(run_id, until=lambda it, seen=review: seen not in it["reviews"])
    assert standing["run"]["status"] == "completed"
    assert {"design_review", "release_review"} <= set(seen)


def test_a_rejected_review_is_done_again_with_the_reason(client: Client) -> None:
    """The phase has a second round whose work knows the reason, and a decision on the old content is refused."""
    run_id, review = waiting(client)
    reason = "It leaves out the export."
    body = {"decision": "reject", "content": review["content"], "reason": reason}
    client.post(f"/runs/{run_id}/reviews", body)
    again = client.standing(
        run_id, until=lambda it: phase(it, "intake")["round"] == 2 and it["run"]["status"] == "waiting_review"
    )
    assert any(reason in each for each in phase(again, "intake")["reasons"]) or reason in str(client.events(run_id))
    new = again["reviews"][0]
    assert new["content"] != review["content"]
    stale = client("POST", f"/runs/{run_id}/reviews", {"decision": "approve", "content": review["content"]})
    is_problem(stale, 409, "run_state")
    assert client.get(f"/runs/{run_id}")["run"]["status"] == "waiting_review"
    client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": new["content"]})
    assert client.standing(run_id, until=lambda it: it["run"]["status"] != "waiting_review")
    assert client.ended(run_id) == "completed"


def test_a_file_is_edited_in_place_and_then_approved(client: Client) -> None:
    """A person's own text takes the file's place, the review is asked for anew, and the approval is of that text."""
    run_id, review = waiting(client)
    listed = {each["path"]: each["hash"] for each in client.get(f"/runs/{run_id}/artifacts")}
    seen = listed["docs/intake.md"]
    other = client("POST", f"/runs/{run_id}/edit", {"path": "docs/intake.md", "content": "x", "seen": "0" * 64})
    is_problem(other, 409, "run_state")
    client.post(f"/runs/{run_id}/edit", {"path": "docs/intake.md", "content": "# Mine\n", "seen": seen})
    again = client.standing(run_id, until=lambda it: bool(it["reviews"]) and it["reviews"] != [review])
    assert content(client, run_id, "docs/intake.md") == b"# Mine\n"
    stale = client("POST", f"/runs/{run_id}/reviews", {"decision": "approve", "content": review["content"]})
    is_problem(stale, 409, "run_state")
    client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": again["reviews"][0]["content"]})
    ended = client.standing(run_id, until=lambda it: it["run"]["status"] == "completed")
    assert ended["reviews"] == []
    assert content(client, run_id, "docs/intake.md") == b"# Mine\n"
    edit = {"path": "docs/intake.md", "content": "late", "seen": hashlib.sha256(b"# Mine\n").hexdigest()}
    is_problem(client("POST", f"/runs/{run_id}/edit", edit), 409, "run_state")


def test_a_review_that_nobody_asked_for_is_refused(client: Client, whole: str) -> None:
    """A decision on a run that waits for none, or on another phase than the one that waits, changes nothing."""
    decision = {"decision": "approve", "content": "0" * 64}
    is_problem(client("POST", f"/runs/{whole}/reviews", decision), 409, "run_state")
    run_id, review = waiting(client)
    is_problem(client("POST", f"/runs/{run_id}/reviews", {**decision, "phase": "planning"}), 404)
    is_problem(client("POST", f"/runs/{run_id}/reviews", {**decision, "content": review["content"][:-1]}), 422)


def test_agents_of_a_simulated_run_have_no_models(client: Client) -> None:
    """An assignment is kept with the project and used by none of its simulated runs."""
    wish = {"agent_assignments": {"qa": "anthropic/claude-opus-4-8"}, "mode": "simulated", "workflow_yaml": SHORT}
    made = client.project(**wish)
    assert made["agent_assignments"] == wish["agent_assignments"]
    assert client.standing(made["run"]["id"])["assignments"] == {}
