"""Whole real runs of one user, side by side under the user's daily ceiling: together they stay in it, and say so.

Races of single calls are `test_budget_races.py`, one run's own budget `test_real_mode_budget.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from big_database import beside
from model_server import ModelServer
from reliability_report import Tell
from server_process import SHORT

from orchestrator_v2.core.usage import NANO
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.worked_answers import worked_reply

RUNS = 8
DOLLARS = 2


def dear(seen: Seen) -> Reply:
    """A good answer that used nearly all the tokens it was allowed, and takes a moment."""
    reply = worked_reply(seen)
    used = {**reply.usage, "output_tokens": int(seen.body["max_tokens"]) - 1}
    return Reply(reply.text, usage=used, silence=0.1)


@pytest.mark.chaos
def test_runs_side_by_side_stay_under_their_users_ceiling(stored_url: str, tmp_path: Path, tell: Tell) -> None:
    """Eight runs that would cost several times the ceiling: some calls are let through, the rest waits for money."""
    wide = {"ORCHESTRATOR_RUNS_AT_ONCE": str(RUNS), "ORCHESTRATOR_DATABASE_URL": stored_url}
    with ModelServer() as provider, provider.server(tmp_path, **wide) as server:
        provider.answers = dear
        user = server.user("thrifty", daily_budget=DOLLARS)
        provider.stored(user)
        ids = [user.project(workflow_yaml=SHORT, mode="real")["run"]["id"] for _ in range(RUNS)]
        ended = Counter(user.ended(run_id) for run_id in ids)
        with beside(stored_url) as database:
            calls = database.rows("SELECT outcome, reserved, charged FROM model_calls")
    charged = sum(charged for _, _, charged in calls)
    tell(
        "promises",
        "whole runs under one user's daily ceiling",
        where="PostgreSQL" if stored_url.startswith("postgres") else "SQLite",
        runs=RUNS,
        calls_sent=len(provider.keys),
        waiting_for_money=ended["waiting_budget"],
        charged_USD=f"{charged / NANO:.2f}",
        ceiling_USD=DOLLARS,
    )
    assert len(provider.keys) == len(calls) > 0
    assert {outcome for outcome, _, _ in calls} == {"done"}
    assert 0 < charged <= DOLLARS * NANO
    # It was the ceiling that stopped them: one more would not have fitted.
    assert charged + min(reserved for _, reserved, _ in calls) > DOLLARS * NANO
    assert ended["waiting_budget"] > RUNS // 2
    assert ended["waiting_budget"] + ended["completed"] == RUNS
