"""What `op` prints: the operations, their runs, an answer, and the steps while they are taken.

Which commands there are is `op_commands.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_v2.cli import exit_codes, render, terminal
from orchestrator_v2.cli.text import moment
from orchestrator_v2.core.events import Recorded, TaskCompleted, TaskFailed, TaskStarted
from orchestrator_v2.core.text import one_line
from orchestrator_v2.core.usage import nano_usd, usd


def say_handlers(handlers: Sequence[Any], broken: Mapping[str, str], *, as_json: bool) -> None:
    """What there is on standard output; what is set aside, and why, on standard error."""
    if as_json:
        render.json_document([{"id": it.operation_id, "summary": it.summary, "modes": it.modes()} for it in handlers])
    else:
        render.table(
            ("operation", "modes", "what it does"),
            [(it.operation_id, ", ".join(it.modes()), it.summary) for it in handlers],
        )
    for name, why in broken.items():
        render.note(f"warning: {name} is set aside. {why}.")


def say_runs(rows: Sequence[Any], *, as_json: bool) -> None:
    if as_json:
        render.json_document(rows)
        return
    render.table(
        ("run", "operation", "mode", "status", "cost", "asked"),
        [(row.run_id, row.operation, row.mode, row.status, usd(row.spent), moment(row.created_at)) for row in rows],
        empty="No operation was asked yet.",
    )


def say_response(response: Any, *, as_json: bool) -> int:
    """The whole response as JSON, or its results on standard output and how it came to be on standard error."""
    metadata = response.metadata
    if as_json:
        render.json_document(response.model_dump(mode="json"))
    elif response.success:
        render.json_document(response.results)
    for warning in () if as_json else response.warnings:
        render.note(f"warning: {warning}")
    for problem in () if as_json else response.errors:
        render.note(f"{problem.code}: {problem.message} {problem.suggestion}".strip())
    if not as_json:
        render.note(_how(metadata))
    return exit_codes.DONE if response.success else exit_codes.OF_STATUS.get(metadata.status, exit_codes.FAILED)


def say_left(response: Any, go_on: str, *, as_json: bool) -> None:
    """What a signal has left: the response as it stands (None: nothing was begun), and how to go on with it."""
    if response is None:
        render.note("Stopped: nothing was begun here.")
        return
    if as_json:
        render.json_document(response.model_dump(mode="json"))
    render.note(f"Stopped; what was answered is kept. Go on: {go_on} {response.metadata.run_id}")


def _how(metadata: Any) -> str:
    made = ", ".join(metadata.models_used) or metadata.provenance
    agents = f", {len(metadata.agents_used)} agents" if metadata.agents_used else ""
    known = "an earlier answer, " if metadata.cache == "hit" or metadata.replayed else ""
    cost = usd(None if metadata.cost_usd is None else nano_usd(metadata.cost_usd))
    seconds = metadata.execution_time_ms / 1_000
    return f"{known}{made}{agents}, {metadata.usage.calls} calls, {cost}, {seconds:.1f} s, run {metadata.run_id}"


class OperationSteps:
    """A line on a terminal's standard error for each step of an agentic operation, as it ends.

    `run_id` is that of the run, empty as long as nothing of it was recorded here.
    """

    def __init__(self) -> None:
        self.run_id = ""

    def remark(self, text: str) -> None:
        render.note(text)

    def close(self) -> None:
        """Each line stands as it was written."""

    def __call__(self, run_id: str, recorded: Sequence[Recorded]) -> None:
        self.run_id = run_id
        if not terminal.can_draw(sys.stderr):
            return
        for entry in recorded:
            event = entry.event
            step = getattr(event, "phase", "")
            if step in ("", "answer"):
                continue
            if isinstance(event, TaskStarted) and step == "aggregate":
                render.note("  putting the answers together …")
            elif isinstance(event, TaskCompleted) and step != "aggregate":
                render.note(f"  {step}: {one_line(event.result, 100)}")
            elif isinstance(event, TaskFailed):
                render.note(f"  {step}: no answer, {one_line(event.what, 100)}")
