"""A provider that asks for a day's pause, and a server with room for one run: the room is free for another at once."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from raw_faults import ROWS
from raw_provider import RawProvider, hosted
from reliability_report import Tell
from server_process import SHORT, Server

PARKED = 5


@pytest.mark.chaos
def test_runs_that_wait_for_a_provider_hold_no_slot(tmp_path: Path, tell: Tell) -> None:
    """Several real runs wait for a day; on the only slot a simulated one is done in the meantime."""
    row = ROWS["429, retry after a day"]
    with (
        hosted(RawProvider(row.attack)) as provider,
        Server(tmp_path, ORCHESTRATOR_MODEL_ORIGINS=provider.base_url, ORCHESTRATOR_RUNS_AT_ONCE="1") as server,
    ):
        user = server.user("patient")
        key = {"llm_provider": "anthropic", "api_key": "sk-ant-api03-patient-0123456789", "base_url": provider.base_url}
        user.post("/users/me/provider-settings", key)
        ids = [user.project(workflow_yaml=SHORT, mode="real")["run"]["id"] for _ in range(PARKED)]
        ended = [user.standing(run_id)["run"] for run_id in ids]
        began = time.monotonic()
        status = user.ended(user.short())
        took = time.monotonic() - began
        due = [datetime.fromisoformat(run["resume_at"]).timestamp() - time.time() for run in ended]
        tell(
            "providers",
            "a pause of a day holds no slot",
            where="the server's process with one slot",
            parked=sum(run["status"] == row.status for run in ended),
            requests_of_the_parked=provider.spoilt,
            another_run=f"{status} in {took:.1f} s",
        )
        assert [run["status"] for run in ended] == [row.status] * PARKED
        # One was sent; the others heard of the pause, as it is the key's.
        assert provider.spoilt == 1
        assert all(abs(seconds - row.waits) < 60 for seconds in due), due
        assert status == "completed"
