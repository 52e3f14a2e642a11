"""Many calls race for a small budget: the ceiling holds, whoever wins, and raising it finishes the run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from real_mode import against, request, stopped_as

from orchestrator_v2 import Orchestrator
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import asked, worked_reply

WIDE = PhaseGraph(
    Workflow("wide", tuple(Phase(f"part{n}", "documentarian", outputs=(f"docs/part{n}.md",)) for n in range(24)))
)


def _dear(seen: Seen) -> Reply:
    """A good answer that says it used nearly all the tokens it was allowed, and takes a moment."""
    reply = worked_reply(seen)
    used = {**reply.usage, "output_tokens": int(seen.body["max_tokens"]) - 1}
    return Reply(reply.text, usage=used, silence=0.005)


@pytest.mark.parametrize("dollars", [0.3, 0.7, 1.9])
def test_a_race_for_the_budget_never_overspends(dollars: float, tmp_path: Path) -> None:
    """24 phases at once: what is charged stays under the ceiling, something was bought, and the run says it waits."""
    budget = nano_usd(dollars)
    counted: Counter[object] = Counter()

    def answer(seen: Seen) -> Reply:
        counted[asked(seen.prompt)] += 1
        return _dear(seen)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=WIDE, budget=budget, parallelism=24))
        assert await stopped_as(orchestrator, state) == "waiting_budget"
        rows = await orchestrator.calls(state.run_id)
        assert {row.outcome for row in rows} == {"done"}
        charged = sum(row.charged or 0 for row in rows)
        assert 0 < charged <= budget
        assert len(server.requests) == len(rows) > 0
        again = await orchestrator.resume(state.run_id, budget=nano_usd(100))
        assert await stopped_as(orchestrator, again) == "completed"
        assert len(counted) == 48
        assert set(counted.values()) == {1}

    against(tmp_path, work, default=answer)


def test_a_failed_call_keeps_its_reservation_and_counts(tmp_path: Path) -> None:
    """A broken stream may have been billed: it is charged its worst case, so retries eat the budget and stop in it."""
    budget = nano_usd(0.5)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(workflow=WIDE, budget=budget, parallelism=24))
        assert state.status in {"waiting_budget", "waiting_provider"}
        rows = await orchestrator.calls(state.run_id)
        assert {row.outcome for row in rows} == {"failed"}
        assert all(row.charged == row.reserved for row in rows)
        assert 0 < sum(row.charged or 0 for row in rows) <= budget
        assert len(server.requests) == len(rows)

    against(tmp_path, work, default=Reply("x" * 400, cut_at=900))
