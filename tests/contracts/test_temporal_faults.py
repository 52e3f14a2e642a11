"""What Temporal, its workers and the settings can do to a run, each for real: nothing is lost, and the words help.

What holds for every driver is `test_driver_contract.py`; what stands in Temporal's history `test_temporal_history.py`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("temporalio")

from driver_cases import DIAMOND, REVIEWED, Driven, driven, names, slowly, wait_for
from model_server import ModelServer
from postgres_server import PostgresServer
from temporal_server import TemporalServer
from temporalio.client import Client

from orchestrator_v2.durable.temporal_messages import LOOK, VERSION, WORKFLOW, Start

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def own_temporal() -> Iterator[TemporalServer]:
    """One that the tests of this file may stop."""
    with tempfile.TemporaryDirectory(prefix="temporal_") as folder:
        server = TemporalServer(Path(folder))
        try:
            server.start()
        except OSError as error:
            pytest.skip(f"Temporal could not be started here: {error}")
        yield server
        server.stop()


@pytest.fixture
def it(
    tmp_path: Path, provider: ModelServer, postgres: PostgresServer, own_temporal: TemporalServer
) -> Iterator[Driven]:
    if not own_temporal.answers():
        own_temporal.start()
    with driven(tmp_path, provider, postgres.fresh_url(), own_temporal) as found:
        yield found


def command(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **settings}
    return subprocess.run(
        [sys.executable, "-m", "orchestrator_v2", *words],
        cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_database_of_one_machine_is_refused(tmp_path: Path) -> None:
    """Workers elsewhere could not reach it; the settings are named, and nothing is started."""
    for words in (("run", "A counter"), ("worker",)):
        done = command(tmp_path, *words, ORCHESTRATOR_DURABLE="temporal")
        assert done.returncode == 3
        assert "postgresql://" in done.stderr and "ORCHESTRATOR_DATABASE_URL" in done.stderr
    assert not list(tmp_path.rglob("*.db"))


def test_a_worker_says_which_of_the_two_does_not_answer(tmp_path: Path, postgres: PostgresServer) -> None:
    """Temporal or PostgreSQL: its address, and what to try."""
    done = command(tmp_path, "worker", "--temporal", "127.0.0.1:9", ORCHESTRATOR_DATABASE_URL=postgres.fresh_url())
    assert done.returncode == 1
    assert "Temporal at 127.0.0.1:9 does not answer" in done.stderr and "ORCHESTRATOR_TEMPORAL_ADDRESS" in done.stderr
    done = command(tmp_path, "worker", ORCHESTRATOR_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr and "9" in done.stderr and "database" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.chaos
def test_a_namespace_that_is_not_there_is_named(
    tmp_path: Path, postgres: PostgresServer, own_temporal: TemporalServer
) -> None:
    """Temporal answers and does not know it: another sentence than for one that does not answer."""
    done = command(
        tmp_path, "worker", "--temporal", own_temporal.address, "--namespace", "nowhere",
        ORCHESTRATOR_DATABASE_URL=postgres.fresh_url(),
    )  # fmt: skip
    assert done.returncode == 3
    assert "no namespace 'nowhere'" in done.stderr


@pytest.mark.chaos
def test_a_run_of_the_command_line_is_kept_while_temporal_is_away(tmp_path: Path, postgres: PostgresServer) -> None:
    """It is recorded, says so, and the words name the address."""
    settings = {"ORCHESTRATOR_DATABASE_URL": postgres.fresh_url(), "ORCHESTRATOR_DURABLE": "temporal"}
    done = command(tmp_path, "run", "A counter", ORCHESTRATOR_TEMPORAL_ADDRESS="127.0.0.1:9", **settings)
    assert done.returncode == 1
    assert "Temporal at 127.0.0.1:9 does not answer" in done.stderr
    assert "is kept" in done.stderr
    (line,) = [line for line in command(tmp_path, "list", **settings).stdout.splitlines() if "A counter" in line]
    assert "queued" in line
    assert "A counter" in command(tmp_path, "list", "--status", "queued", **settings).stdout
    assert "A counter" not in command(tmp_path, "list", "--status", "interrupted", **settings).stdout
    assert "waits for its turn" in command(tmp_path, "status", **settings).stdout


@pytest.mark.chaos
def test_what_is_decided_while_temporal_is_away_is_done_when_it_is_back(it: Driven) -> None:
    """The server answers 503 at /ready and takes the approval; the journal has it, so the lost signal costs nothing."""
    assert it.temporal is not None
    run_id = it.begin(REVIEWED)
    review = it.until(run_id, "waiting_review")["reviews"][0]
    it.temporal.stop()
    problem = it.client("GET", "/ready")
    assert problem.status_code == 503
    assert problem.json()["code"] == "driver_unavailable" and "Temporal" in problem.json()["detail"]
    assert it.temporal.address not in problem.text
    body = {"decision": "approve", "content": review["content"]}
    assert it.client("POST", f"/runs/{run_id}/reviews", body).status_code == 202
    it.temporal.start()
    wait_for(lambda: it.client("GET", "/ready").status_code == 200)
    it.until(run_id, "completed")
    assert names(it.events(run_id)).count("ReviewDecided top") == 1


@pytest.mark.chaos
def test_a_temporal_that_forgets_everything_loses_no_run(it: Driven) -> None:
    """Its disk is gone: the run that waited goes on with its decision, one nobody was told of is found."""
    assert it.temporal is not None
    run_id = it.begin(REVIEWED)
    review = it.until(run_id, "waiting_review")["reviews"][0]
    it.temporal.forget()
    untold = it.unstarted(DIAMOND)
    it.temporal.start()
    it.client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": review["content"]})
    it.until(run_id, "completed")
    it.until(untold, "completed")
    it.events(untold)


@pytest.mark.chaos
def test_a_run_of_another_version_is_refused_and_says_so(it: Driven) -> None:
    """The worker leaves it alone and logs why; when no other has come for long, the run says it, and a resume helps."""
    assert it.temporal is not None
    run_id = it.unstarted(DIAMOND)
    sentence = f"version {VERSION + 1} of the workflow; this worker speaks version {VERSION}"

    async def begin(refused: int) -> Any:
        assert it.temporal is not None
        client = await Client.connect(it.temporal.address)
        start = Start(run_id, version=VERSION + 1, refused=refused)
        queue = it.server.environment["ORCHESTRATOR_TEMPORAL_TASK_QUEUE"]
        handle = await client.start_workflow(
            WORKFLOW, start, id=run_id, task_queue=queue, start_signal=LOOK, start_signal_args=["driven"]
        )
        if refused:
            return await asyncio.wait_for(handle.result(), 60)
        await asyncio.sleep(3)
        await handle.terminate()
        return ""

    asyncio.run(begin(0))
    assert sentence in it.log()
    assert names(it.events(run_id)) == ["RunStarted"]
    assert asyncio.run(begin(1_000)) == "needs_attention"
    assert sentence in it.until(run_id, "needs_attention")["run"]["stopped"]
    it.client.post(f"/runs/{run_id}/resume")
    it.until(run_id, "completed")


@pytest.mark.chaos
def test_a_worker_that_is_asked_to_end_drains(it: Driven, provider: ModelServer) -> None:
    """SIGTERM: the call under way ends and is kept, nothing more is begun, another worker goes on, nothing is paid
    twice."""
    provider.fresh(slowly(1.5))
    run_id = it.begin(mode="real")
    wait_for(lambda: len(provider.fake.requests) == 1)
    leaving = it.driving
    it.worker()
    began = time.monotonic()
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(32) == 0
    assert time.monotonic() - began < 32
    it.until(run_id, "completed")
    assert len(provider.fake.requests) == 8
    assert it.paid() == {"done": 8}
    it.events(run_id)


@pytest.mark.chaos
def test_a_worker_that_was_paused_past_its_lease_writes_nothing(it: Driven, provider: ModelServer) -> None:
    """SIGSTOP with calls in flight: another worker goes on when the lease is over; awake again, the first gives up."""
    provider.fresh(slowly(1.0))
    run_id = it.begin(mode="real")
    wait_for(lambda: len(provider.fake.requests) == 1)
    paused = it.driving
    paused.send_signal(signal.SIGSTOP)
    it.worker()
    wait_for(lambda: "RunResumed" in names(it.client.events(run_id)), within=90)
    paused.send_signal(signal.SIGCONT)
    it.until(run_id, "completed")
    time.sleep(3)
    assert paused.poll() is None
    it.events(run_id)
    assert it.paid()["done"] == 8


@pytest.mark.chaos
def test_a_worker_holds_no_more_runs_than_it_has_room_for(it: Driven, provider: ModelServer) -> None:
    """Two workers with room for one each, four runs: at no time does one hold two, and both are at work."""
    provider.fresh(slowly(0.2))
    it.kill()
    for _ in range(2):
        it.worker("--runs-at-once", "1")
    runs = [it.begin(mode="real") for _ in range(4)]
    most: set[tuple[int, ...]] = set()

    def done() -> bool:
        held = it.rows("SELECT count(*) FROM runs WHERE lease_until > 0 AND status = 'running' GROUP BY lease_owner")
        most.add(tuple(sorted(count for (count,) in held)))
        return all(it.client.get(f"/runs/{run_id}")["run"]["status"] == "completed" for run_id in runs)

    wait_for(done, within=120)
    assert (1, 1) in most
    for run_id in runs:
        it.events(run_id)
