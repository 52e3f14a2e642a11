"""`estimate`: what a real run may cost, before it is started.

How the range comes about is `agents/estimating.py`; what a run did cost is `cost` in `record_commands.py`.
"""

from __future__ import annotations

from typing import Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli import run_options as o
from orchestrator_v2.cli.given import Json, given
from orchestrator_v2.cli.sources import read_brief
from orchestrator_v2.core.usage import Usage, usd


def estimate(
    context: typer.Context,
    *,
    words: o.Words = None,
    brief: o.Brief = None,
    workflow: o.WorkflowName = "default",
    provider: o.Provider = "",
    model: o.Model = "",
    json: Json = False,
) -> int:
    """Say what a real run may cost, phase by phase; nothing is started, no key is needed."""
    from orchestrator_v2.parts import RunRequest

    request = RunRequest(read_brief(words or (), brief), workflow=workflow, provider=provider, model=model)
    name, lines = given(context).ask(lambda orchestrator: orchestrator.estimate(request))
    low, high = _total(lines)
    if json:
        render.json_document({"model": name, "low": low, "high": high, "phases": lines})
        return 0
    render.say(f"A run with {name}: {_range(low.cost, high.cost)}")
    render.say()
    render.table(
        ("phase", "agent", "calls", "tokens in", "tokens out", "cost", "from"),
        [
            (
                line.phase,
                line.agent,
                f"{line.low.calls} to {line.high.calls}",
                f"{line.low.input_tokens:,} to {line.high.input_tokens:,}",
                f"{line.low.output_tokens:,} to {line.high.output_tokens:,}",
                _range(line.low.cost, line.high.cost),
                line.basis,
            )
            for line in lines
        ],
    )
    render.say()
    render.say("An estimate, without the provider's prompt cache. A ceiling that holds: run … --budget USD.")
    return 0


def _range(low: int | None, high: int | None) -> str:
    return "unknown price" if low is None or high is None else f"{usd(low)} to {usd(high)}"


def _total(lines: Any) -> tuple[Usage, Usage]:
    from orchestrator_v2.agents.estimating import total

    return total(lines)
