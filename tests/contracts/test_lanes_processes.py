"""Two processes on one PostgreSQL with one key, and a provider that asks one of them to wait."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_process import Cli
from model_server import OPERATORS, ModelServer

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.llm.lane_board import Ask
from orchestrator_v2.llm.lane_state import RateLimits
from orchestrator_v2.persistence.journal import open_journal
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


# A worker that does nothing but ask for one lane: it is always in a transaction, or in line for its lock.
EAGER = """
import asyncio, sys
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.llm.lane_board import Ask
from orchestrator_v2.llm.lane_state import NO_LIMITS
from orchestrator_v2.persistence.journal import open_journal

async def main():
    lanes = (await open_journal(sys.argv[1], clock=SystemClock())).lanes()
    print("ready", flush=True)
    while True:
        await lanes.ask("a-lane", Ask(1, NO_LIMITS, 10.0))

asyncio.run(main())
"""


@pytest.mark.chaos
@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_a_machine_that_is_paused_holds_a_worker_elsewhere_once_and_not_for_each_of_its_workers(
    postgres_url: str,
) -> None:
    """Three workers stop while they ask for a lane: another one's next question is answered within its lease of 30 s.

    The server ends the transaction of the one that has the lock after 10 s; the others have left the line by then.
    """

    async def asked() -> float:
        journal = await open_journal(postgres_url, clock=SystemClock())
        began = time.monotonic()
        await journal.lanes().ask("a-lane", Ask(1, RateLimits(requests_per_minute=1000), 10.0))
        waited = time.monotonic() - began
        await journal.close()
        return waited

    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(3):
            worker = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", EAGER, postgres_url], stdout=subprocess.PIPE)
            )
            stack.callback(worker.kill)
            workers.append(worker)
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        assert asyncio.run(asked()) < 18.0
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        # They go on where they were, on new connections.
        assert [worker.poll() for worker in workers] == [None] * 3
