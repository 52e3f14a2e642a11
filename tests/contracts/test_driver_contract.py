"""The contract of drivers, over HTTP and real processes: the same tests for each driver and database.

What only Temporal can do to us is `test_temporal_faults.py`; crash points of the embedded driver are `tests/chaos`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from driver_cases import REVIEWED, Driven, died, driven, names, slowly, wait_for
from model_server import ModelServer

from orchestrator_v2.testing.fake_anthropic import Reply

DRIVERS = [
    pytest.param("embedded on sqlite"),
    pytest.param("embedded on postgres", marks=(pytest.mark.postgres, pytest.mark.chaos)),
    pytest.param("temporal on postgres", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="module", params=DRIVERS)
def it(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    home = tmp_path_factory.mktemp("driven")
    of_postgres = request.param.endswith("postgres")
    database = request.getfixturevalue("postgres").fresh_url() if of_postgres else f"sqlite:///{home}/journal.db"
    temporal = request.getfixturevalue("temporal") if request.param.startswith("temporal") else None
    with driven(home, request.getfixturevalue("provider"), database, temporal) as found:
        yield found


@pytest.fixture(autouse=True)
def _fresh(provider: ModelServer) -> None:
    provider.fresh()


def reviewed(it: Driven) -> tuple[str, Any]:
    """A run that waits for a person, and the review."""
    run_id = it.begin(REVIEWED)
    return run_id, it.until(run_id, "waiting_review")["reviews"][0]


def test_a_run_that_is_started_is_driven_to_its_end(it: Driven) -> None:
    """Each phase is started and completed once, in the graph's order, and the events have no gap."""
    run_id = it.begin()
    it.until(run_id, "completed")
    told = names(it.events(run_id))
    assert (told[0], told[-1]) == ("RunStarted", "RunCompleted")
    assert sorted(told[1:-1]) == sorted(
        f"Task{what} {phase}" for phase in ("top", "left", "right", "bottom") for what in ("Started", "Completed")
    )
    assert told.index("TaskCompleted top") < told.index("TaskStarted left")
    assert told.index("TaskStarted bottom") > max(told.index("TaskCompleted left"), told.index("TaskCompleted right"))


def test_real_calls_are_sent_once_each(it: Driven, provider: ModelServer) -> None:
    """Eight calls, eight requests, each recorded as done; the keys of the run's owner were used."""
    before = it.paid().get("done", 0)
    run_id = it.begin(mode="real")
    it.until(run_id, "completed")
    assert len(provider.fake.requests) == it.paid()["done"] - before == 8
    assert it.client.get(f"/runs/{run_id}/cost")["total"]["calls"] == 8


def test_an_operation_is_answered_and_one_in_the_background_too(it: Driven) -> None:
    """Whoever waits has the answer, whoever does not finds it at its place; both are driven like any run."""
    asked = {"data": {"pillars": [{"name": "Swift", "description": "The player never waits."}]}, "mode": "agentic"}
    asked |= {"run_mode": "simulated", "cache_policy": "bypass"}
    said = it.client.post("/operations/pillars.validate", asked)
    assert said["success"] and len(said["metadata"]["agents_used"]) > 2
    begun = it.client.post("/operations/pillars.validate", asked, Prefer="respond-async")
    wait_for(lambda: it.client.get(begun["location"])["success"])
    assert it.client.get(begun["location"])["results"] == said["results"]


def test_phases_that_need_not_wait_for_each_other_overlap(it: Driven, provider: ModelServer) -> None:
    """Both sides of the diamond are under way at once, and with a parallelism of one they are not."""
    provider.fresh(slowly(0.3))
    told = {}
    for parallelism in (4, 1):
        run_id = it.begin(mode="real", parallelism=parallelism)
        it.until(run_id, "completed")
        told[parallelism] = names(it.events(run_id))
    for parallelism, overlaps in ((4, True), (1, False)):
        each = told[parallelism]
        started = max(each.index("TaskStarted left"), each.index("TaskStarted right"))
        assert (started < min(each.index("TaskCompleted left"), each.index("TaskCompleted right"))) is overlaps


def test_a_pause_lets_tasks_end_and_a_resume_goes_on(it: Driven, provider: ModelServer) -> None:
    """What is under way ends, nothing more starts; resumed, the run completes and no call is sent again."""
    provider.fresh(slowly(0.4))
    run_id = it.begin(mode="real")
    wait_for(lambda: "TaskStarted top" in names(it.client.events(run_id)))
    it.client.post(f"/runs/{run_id}/pause")
    it.until(run_id, "paused")
    told = names(it.events(run_id))
    assert told.count("TaskCompleted top") == 1
    assert "TaskStarted left" not in told
    it.client.post(f"/runs/{run_id}/resume")
    it.until(run_id, "completed")
    assert len(provider.fake.requests) == 8
    it.events(run_id)


def test_a_cancel_ends_what_is_under_way_for_good(it: Driven, provider: ModelServer) -> None:
    """The run is cancelled long before its task could end, and nothing of it is started after."""
    provider.fresh(slowly(20.0))
    run_id = it.begin(mode="real")
    wait_for(lambda: len(provider.fake.requests) > 0)
    it.client.post(f"/runs/{run_id}/cancel")
    it.until(run_id, "cancelled", within=10)
    assert names(it.events(run_id))[-1] == "RunCancelled"
    assert it.client("POST", f"/runs/{run_id}/resume").status_code == 409


def test_a_run_that_waits_for_a_person_can_be_cancelled(it: Driven) -> None:
    """Nobody drives it then; the cancel is taken all the same."""
    run_id, _ = reviewed(it)
    it.client.post(f"/runs/{run_id}/cancel")
    assert it.until(run_id, "cancelled", within=10)["reviews"] == []


def test_an_approval_lets_the_run_go_on(it: Driven) -> None:
    """Approved by its content the run completes; who decided is in its events, once."""
    run_id, review = reviewed(it)
    it.client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": review["content"]})
    it.until(run_id, "completed")
    assert names(it.events(run_id)).count("ReviewDecided top") == 1


def test_a_rejection_is_done_again_with_its_reason(it: Driven) -> None:
    """The phase has a second round, which waits again; approved then, the run completes."""
    run_id, review = reviewed(it)
    body = {"decision": "reject", "content": review["content"], "reason": "It leaves out the export."}
    it.client.post(f"/runs/{run_id}/reviews", body)
    again = it.client.standing(run_id, until=lambda now: bool(now["reviews"]) and now["reviews"] != [review])
    it.until(run_id, "waiting_review")
    content = again["reviews"][0]["content"]
    it.client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": content})
    standing = it.until(run_id, "completed")
    assert {each["id"]: each["round"] for each in standing["phases"]} == {"top": 2, "bottom": 1}
    it.events(run_id)


def test_a_retry_does_one_phase_and_what_stands_on_it_anew(it: Driven) -> None:
    """The phase and its successor have a second round, the others none."""
    run_id = it.begin()
    it.until(run_id, "completed")
    it.client.post(f"/runs/{run_id}/retry", {"phase": "left"})
    wait_for(lambda: names(it.client.events(run_id)).count("RunCompleted") == 2)
    standing = it.until(run_id, "completed")
    assert {each["id"]: each["round"] for each in standing["phases"]} == {"top": 1, "left": 2, "right": 1, "bottom": 2}
    it.events(run_id)


def test_a_rollback_goes_on_from_the_replaced_file(it: Driven) -> None:
    """A person's file takes the place of the phase's, and what stands on it is done again."""
    run_id = it.begin()
    it.until(run_id, "completed")
    it.client.post(f"/runs/{run_id}/rollback", {"phase": "left", "files": {"docs/top.md": "# Mine\n"}})
    wait_for(lambda: names(it.client.events(run_id)).count("RunCompleted") == 2)
    assert it.client("GET", f"/runs/{run_id}/artifacts/docs/top.md").content == b"# Mine\n"
    it.events(run_id)


def test_a_budget_stops_the_run_and_a_larger_one_lets_it_go_on(it: Driven, provider: ModelServer) -> None:
    """What does not fit is not sent; with a new ceiling the run completes below it."""
    run_id = it.begin(mode="real", budget=0.000001)
    it.until(run_id, "waiting_budget")
    assert provider.fake.requests == []
    it.client.post(f"/runs/{run_id}/resume", {"budget": 5})
    standing = it.until(run_id, "completed")
    assert 0 < standing["run"]["spent_usd"] < 5


def test_a_wait_that_the_provider_asks_for_ends_by_itself(it: Driven, provider: ModelServer) -> None:
    """The run says until when it waits, sends nothing meanwhile, and goes on without a hand."""
    provider.fresh(Reply(status=429, headers={"retry-after": "3"}))
    run_id = it.begin(mode="real")
    waiting = it.until(run_id, "waiting_provider")
    assert waiting["run"]["resume_at"]
    sent = len(provider.fake.requests)
    provider.answers = slowly(0.0)
    it.until(run_id, "completed")
    assert len(provider.fake.requests) == sent + 8
    it.events(run_id)


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_kills_of_the_driver_lose_nothing_and_repeat_nothing(it: Driven, provider: ModelServer) -> None:
    """Four runs at once, three kills with calls in flight: all complete, and what was answered is not asked again."""
    provider.fresh(slowly(0.25))
    before = it.paid()
    runs = [it.begin(mode="real") for _ in range(4)]
    in_flight = 0
    for kill in range(3):
        if it.temporal is not None:
            it.start()  # another worker, which takes over
        done = before.get("done", 0) + 4 + 8 * kill
        wait_for(lambda done=done: it.paid().get("done", 0) >= done)
        it.kill()
        in_flight += it.paid().get("intent", 0)
        it.start()
    for run_id in runs:
        it.until(run_id, "completed", within=150)
        it.events(run_id)
    paid = it.paid()
    assert in_flight > 0
    assert paid["done"] - before.get("done", 0) == 8 * len(runs)
    lost = paid.get("outcome_unknown", 0) - before.get("outcome_unknown", 0)
    assert len(provider.fake.requests) <= 8 * len(runs) + lost


@pytest.mark.chaos
@pytest.mark.timeout(200)
@pytest.mark.parametrize("point", ["claimed", "intent-committed", "request-sent", "parsed-before-commit", "recovery"])
def test_a_death_at_a_named_point_is_survived(it: Driven, provider: ModelServer, point: str) -> None:
    """Who drives is killed, the next dies exactly there, a third goes on: the run completes, and nothing is answered
    twice."""
    provider.fresh(slowly(0.3))
    run_id = it.begin(mode="real")
    wait_for(lambda: len(provider.fake.requests) > 0)
    it.kill_all()
    assert died(it.doomed(point)), f"{point} was not reached"
    it.start()
    it.until(run_id, "completed", within=120)
    it.events(run_id)
    of_run = f"SELECT run_no FROM runs WHERE run_id = '{run_id}'"
    calls = it.rows(f"SELECT outcome FROM model_calls WHERE run_no = ({of_run})")
    assert sum(outcome == "done" for (outcome,) in calls) == 8
