"""SIGTERM to a server that has twenty calls in flight: it is gone in time, and nobody pays for one of them again.

That of a single command is `test_draining.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from big_database import beside
from driver_cases import slowly
from model_server import ModelServer
from reliability_report import Tell
from server_process import SHORT

RUNS = 20
# Two phases, each with a plan and one step.
CALLS = 4 * RUNS
WITHIN = 32.0
# Longer than it takes to begin twenty runs on a busy machine.
SECONDS = 6


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_a_server_with_twenty_calls_in_flight_ends_in_time_and_pays_none_twice(
    stored_url: str, tmp_path: Path, tell: Tell
) -> None:
    """What was asked is answered and kept, nothing more is asked; the next server makes each other call once."""
    wide = {"ORCHESTRATOR_RUNS_AT_ONCE": str(RUNS), "ORCHESTRATOR_DATABASE_URL": stored_url}
    with ModelServer() as provider, provider.server(tmp_path, **wide) as server:
        provider.answers = slowly(SECONDS)
        user = server.user("drained")
        provider.stored(user)
        ids = [user.project(workflow_yaml=SHORT, mode="real")["run"]["id"] for _ in range(RUNS)]
        deadline = time.monotonic() + 30
        while len(provider.keys) < RUNS and time.monotonic() < deadline:
            time.sleep(0.01)
        asked = len(provider.keys)
        code, took = server.terminate(within=WITHIN + 5)
        sent = len(provider.keys)
        with beside(stored_url) as database:
            kept = Counter(outcome for (outcome,) in database.rows("SELECT outcome FROM model_calls"))
        provider.answers = slowly(0.0)
        server.start()
        user = server.client(user.token)
        ended = Counter(user.ended(run_id) for run_id in ids)
        with beside(stored_url) as database:
            twice = database.rows("SELECT run_no, key FROM model_calls GROUP BY run_no, key HAVING count(*) > 1")
        tell(
            "promises",
            "SIGTERM with 20 calls in flight",
            where="PostgreSQL" if stored_url.startswith("postgres") else "SQLite",
            seconds_of_a_call=SECONDS,
            asked_before=asked,
            asked_after=sent - asked,
            kept=kept["done"],
            ended_in_s=f"{took:.1f}",
            exit_code=code,
            extra_paid=len(provider.keys) - CALLS,
            completed=ended["completed"],
        )
        assert asked >= RUNS, "too few calls were in flight"
        assert took < WITHIN
        assert kept == Counter(done=sent)
        assert ended == Counter(completed=RUNS)
        assert twice == []
        assert len(provider.keys) == CALLS
