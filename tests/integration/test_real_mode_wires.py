"""A real run through each wire, from the brief to the git repository.

What such a run proves besides, on one wire, is `test_real_mode_run.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from real_mode import KEY, SHORT, against, done_calls, git, request, stopped_as

from orchestrator_v2 import Orchestrator
from orchestrator_v2.core.events import TaskCompleted
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.fake_bedrock import FakeBedrock
from orchestrator_v2.testing.fake_google import FakeGoogle
from orchestrator_v2.testing.fake_openai import FakeOpenAI
from orchestrator_v2.testing.fake_server import Seen
from orchestrator_v2.testing.google_rules import text_of
from orchestrator_v2.testing.worked_answers import STEPS, Asked, asked, call_count, worked_answer


class Wire(msgspec.Struct, frozen=True):
    provider: str
    model: str
    serve: Callable[..., Any]
    prompt_of: Callable[[Seen], str] = lambda seen: seen.prompt
    is_priced: bool = True


WIRES = {
    "anthropic": Wire("anthropic", "claude-haiku-5-5", FakeAnthropic),
    "anthropic elsewhere": Wire("anthropic", "glm-5.3-of-my-own", FakeAnthropic, is_priced=False),
    "bedrock": Wire("bedrock", "global.anthropic.claude-sonnet-5-5", FakeBedrock),
    "google": Wire("google", "gemini-3.8-flash", FakeGoogle, text_of),
    "openai": Wire("openai", "gpt-6.1-terra", FakeOpenAI),
    "groq": Wire("groq", "openai/gpt-oss-120b", FakeOpenAI),
}


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return WIRES[request.param]


def over(home: Path, wire: Wire, work: Callable[..., Any], default: Callable[[Seen], Any]) -> Any:
    return against(home, work, default=default, serve=wire.serve, provider=wire.provider, model=wire.model)


def test_a_run_goes_from_the_brief_to_the_repository(wire: Wire, tmp_path: Path) -> None:
    """Every step asked once and done by that provider's model, each call settled, the tests run, the work committed."""
    out = tmp_path / "out"

    async def work(orchestrator: Orchestrator, server: Any) -> None:
        state = await orchestrator.run(request(out=out))
        assert (await stopped_as(orchestrator, state), state.stopped) == ("completed", "")
        counted = Counter(asked(wire.prompt_of(seen)) for seen in server.requests)
        assert counted == {Asked(phase, step): 1 for phase, steps in STEPS.items() for step in range(len(steps) + 1)}
        for phase in state.phases.values():
            made = {str(artifact.provenance) for artifact in phase.artifacts}
            assert made <= {f"real ({wire.provider}/{wire.model})", "engine"}
            assert made or not phase.artifacts
        done = [entry.event for entry in await orchestrator.events(state.run_id)]
        assert {each.phase for each in done if isinstance(each, TaskCompleted)} >= set(STEPS)
        rows = await done_calls(orchestrator, state.run_id)
        assert len(rows) == call_count() == state.usage.calls
        assert {(row.provider, row.model) for row in rows} == {(wire.provider, wire.model)}
        costs = [row.charged for row in rows]
        assert all(costs) if wire.is_priced else set(costs) == {None}
        assert state.usage.cost == (sum(filter(None, costs)) if wire.is_priced else None)
        assert KEY not in repr(rows) + repr(done)

    over(tmp_path, wire, work, lambda seen: worked_answer(wire.prompt_of(seen)))
    assert git(out, "status", "--porcelain") == ""
    assert int(git(out, "rev-list", "--count", "HEAD")) >= len(STEPS)
    assert "src/tally/counting.py" in git(out, "ls-files").splitlines()
    assert f"made by {wire.provider}/{wire.model}" in (out / "RUN.md").read_text("utf-8")


def test_an_answer_of_the_wrong_form_is_mended_by_one_corrective_turn(wire: Wire, tmp_path: Path) -> None:
    """Valid JSON that does not fit is shown back with what is wrong; both are paid for, and the run completes."""
    met: list[str] = []

    def answer(seen: Seen) -> str:
        met.append(wire.prompt_of(seen))
        return '{"success": true, "odd": 4711}' if len(met) == 1 else worked_answer(met[-1])

    async def work(orchestrator: Orchestrator, server: Any) -> None:
        state = await orchestrator.run(request(workflow=SHORT))
        assert await stopped_as(orchestrator, state) == "completed"
        assert len(await done_calls(orchestrator, state.run_id)) == len(met) == 5
        assert "4711" in met[1]

    over(tmp_path, wire, work, answer)
