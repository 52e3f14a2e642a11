"""Two processes on one PostgreSQL with one key, and a provider that asks one of them to wait."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_process import Cli
from model_server import OPERATORS, ModelServer

from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.worked_answers import worked_reply

PHASES = 2
CALLS = 2 * PHASES
WORKFLOW = "name: chain\nphases:\n" + "".join(
    f'  - {{id: p{n}, agent: architect, needs: [{f"p{n - 1}" if n else ""}], outputs: ["docs/p{n}.md"]}}\n'
    for n in range(PHASES)
)
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5")
WAIT = 2.0
# How long an answer takes, and how long while the other process has not called yet.
TAKES, ALONE = 0.3, 1.5


class Busy:
    """A provider that says 429 once, to one process while a call of the other one is far from its answer."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str]] = []
        self.answered: dict[str, float] = {}
        self.refused = 0.0

    def __call__(self, seen: Any) -> Reply:
        now, model = time.monotonic(), str(seen.body["model"])
        self.arrivals.append((now, model))
        others = [moment for whose, moment in self.answered.items() if whose != model]
        # Who waits for an answer cannot be about to send.
        if not self.refused and others and others[0] > now + 0.1:
            self.refused = now
            return Reply(status=429, headers={"retry-after": f"{WAIT:g}"})
        takes = TAKES if others else ALONE
        self.answered[model] = now + takes
        return msgspec.structs.replace(worked_reply(seen), silence=takes)


@pytest.mark.postgres
def test_a_429_of_one_process_holds_the_calls_of_the_other(tmp_path: Path, postgres_url: str) -> None:
    """For the two seconds that the provider asked for no call of either arrives; then both go on, and both finish."""
    busy = Busy()
    (tmp_path / "chain.yaml").write_text(WORKFLOW)
    with ModelServer() as provider:
        provider.fresh(busy)
        cli = Cli(
            tmp_path,
            ANTHROPIC_API_KEY=OPERATORS,
            ORCHESTRATOR_BASE_URL=provider.url,
            ORCHESTRATOR_DATABASE_URL=postgres_url,
        )
        running = [_running(cli, model) for model in MODELS]
        said = [process.communicate(timeout=90)[1].decode() for process in running]
        assert provider.fake.problems == []
    assert [process.returncode for process in running] == [0, 0], said
    at = sorted(moment - busy.refused for moment, _ in busy.arrivals)
    assert busy.refused, "the two never called at the same time"
    assert [moment for moment in at if 0.0 < moment < WAIT] == []
    # One by one, a gap apart; what a process needs between being let through and sending makes it a little uneven.
    after = [moment for moment in at if moment >= WAIT]
    assert min(later - before for before, later in itertools.pairwise(after)) > 0.1
    assert [sum(whose == model for _, whose in busy.arrivals) for model in MODELS] in (
        [CALLS + 1, CALLS],
        [CALLS, CALLS + 1],
    )


def _running(cli: Cli, model: str) -> subprocess.Popen[bytes]:
    words = ("run", "A tally counter", "--workflow", "chain.yaml", "--real-llm", "--model", model)
    return subprocess.Popen(
        cli.command(*words), cwd=cli.folder, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
