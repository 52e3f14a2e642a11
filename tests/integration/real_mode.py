"""Real-mode runs through the whole stack against a local server, for the tests of this folder."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from orchestrator_v2 import Orchestrator, RunRequest, open_orchestrator
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.core.events import TaskCompleted
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.fake_server import FakeServer
from orchestrator_v2.testing.worked_answers import BRIEF, worked_reply

# Long and odd, so that a hit in any sink is no accident.
KEY = "sk-ant-canary-4f1d0b7e2a9c6835-DoNotWriteThisAnywhere"

# Where the settings look for it, whatever the provider.
VARIABLES = ("ANTHROPIC_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "GEMINI_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY")

Work = Callable[[Orchestrator, Any], Awaitable[Any]]


def settings(home: Path, server: FakeServer[Any] | None = None, *, key: str = KEY, **more: object) -> LoadedSettings:
    """Real mode against `server`, with waits that a test can bear; `more` are further settings."""
    values: dict[str, object] = {
        "data_dir": str(home / "data"),
        "mode": "real",
        "retry_initial": 0.01,
        "retry_max_delay": 0.05,
        "durability": "normal",
        "base_url": server.base_url if server else "http://127.0.0.1:9",
        **more,
    }
    return load_settings(values, dict.fromkeys(VARIABLES, key) if key else {}, home, home)


# Two phases, four calls, nothing to run: what a fault leads to is seen without the whole workflow.
SHORT = PhaseGraph(
    Workflow(
        "short",
        (
            Phase("first", "architect", outputs=("docs/first.md",)),
            Phase("second", "developer", needs=("first",), outputs=("docs/second.md",)),
        ),
    )
)


def against(
    home: Path,
    work: Work,
    *,
    default: Any = worked_reply,
    serve: Callable[..., FakeServer[Any]] = FakeAnthropic,
    **more: Any,
) -> Any:
    """What `work` gives, done with an orchestrator whose provider is a local server; the wire's rules are kept."""

    async def go() -> Any:
        async with serve(default=default) as server:
            async with opened(home, server, **more) as orchestrator:
                result = await work(orchestrator, server)
            assert server.problems == []
            return result

    return asyncio.run(go())


@asynccontextmanager
async def opened(
    home: Path, server: FakeServer[Any], *, key: str = KEY, parts: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[Orchestrator]:
    """An orchestrator as a process of its own would have it: `parts` are for `open_orchestrator`."""
    given = {"random": Random(1), **(parts or {})}
    async with await open_orchestrator(settings(home, server, key=key, **more), **given) as orchestrator:
        yield orchestrator


def simulated(home: Path, work: Callable[[Orchestrator], Awaitable[Any]], **more: Any) -> Any:
    """What `work` gives, done with an orchestrator in simulated mode."""

    async def go() -> Any:
        loaded = settings(home, key="", mode="simulated", base_url=None, **more)
        async with await open_orchestrator(loaded) as orchestrator:
            return await work(orchestrator)

    return asyncio.run(go())


def request(**more: Any) -> RunRequest:
    return RunRequest(**{"brief": BRIEF, **more})


def git(out: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(out), *arguments], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


async def completions(orchestrator: Orchestrator, run_id: str) -> list[TaskCompleted]:
    return [entry.event for entry in await orchestrator.events(run_id) if isinstance(entry.event, TaskCompleted)]


async def done_calls(orchestrator: Orchestrator, run_id: str) -> list[CallRow]:
    return [row for row in await orchestrator.calls(run_id) if row.outcome == "done"]


async def stopped_as(orchestrator: Orchestrator, state: ProjectState) -> str:
    """The status in the journal's row, after making sure that row, events and returned state agree."""
    row, told = await orchestrator.row(state.run_id), await orchestrator.state(state.run_id)
    assert row.status == told.status == state.status
    return row.status
