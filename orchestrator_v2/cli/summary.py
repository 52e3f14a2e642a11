"""How a run came out, said at the end of a command: where the project lies, evidence, cost, what to do next.

Everything that is known of a run is `orchestrator show` (`read_commands.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestrator_v2.cli import render, terminal
from orchestrator_v2.cli.event_lines import measured, mode_of
from orchestrator_v2.cli.text import count, folder, money, one_line, tokens
from orchestrator_v2.cli.words import NEXT, PHASE, RUN
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.state_models import PhaseStatus, ProjectState


def say_result(state: ProjectState, row: RunRow, *, code: int, drained: bool, as_json: bool) -> None:
    """The last lines of a command that drove a run, or the last JSON object."""
    if as_json:
        render.json_line({"type": "Result", "exit_code": code, **result(state, row)})
        return
    look = RUN[state.status.value]
    words = "stopped here; nothing is lost" if drained else look.words
    render.say()
    render.say(_coloured(f"{look.mark if terminal.has_unicode(sys.stdout) else look.ascii} {words}", look.style))
    render.facts(
        [
            ("run", f"{state.run_id}  {state.begun.name}"),
            ("mode", mode_of(state.begun)),
            ("project", folder(row.out) if row.out else ""),
            *waiting(state),
            ("why", state.stopped),
            ("to do", advice(state)),
            ("evidence", measured(receipts(state)) or "nothing was measured"),
            ("cost", f"{money(state.usage.cost, state.budget)}, {tokens(state.usage)}"),
        ]
    )
    for label, command in zip(["next", "or", "or"], next_steps(state, row, drained=drained), strict=False):
        render.say(f"  {label.ljust(8)}  {command}")


_SGR = {"green": "32", "red": "31", "yellow": "33", "cyan": "36", "bright_black": "90"}


def _coloured(text: str, style: str) -> str:
    return f"\x1b[1;{_SGR[style]}m{text}\x1b[0m" if terminal.can_colour(sys.stdout) else text


def next_steps(state: ProjectState, row: RunRow, *, drained: bool = False) -> list[str]:
    """Up to three commands that make sense now."""
    status = state.status.value
    commands = [line.format(run=state.run_id) for line in NEXT[status]]
    if drained:
        return [f"orchestrator resume {state.run_id}"]
    if status == "completed":
        look = f"cd {_quoted(folder(row.out))} && less RUN.md" if row.out else ""
        commands.insert(0, look or f"orchestrator export {state.run_id} --out DIR")
    return commands[:3]


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)


def receipts(state: ProjectState) -> list[Any]:
    """Every measurement that stands, in the order of the phases."""
    return [receipt for phase in state.begun.workflow.phases for receipt in state.phase(phase.id).receipts]


def waiting(state: ProjectState) -> list[tuple[str, str]]:
    """What a person has to look at, and what went wrong, by phase."""
    told = []
    for phase in state.begun.workflow.phases:
        entry = state.phase(phase.id)
        if entry.status is PhaseStatus.WAITING_REVIEW:
            files = ", ".join(artifact.path for artifact in entry.artifacts[:3])
            told.append(("review", f"{phase.id} waits for you" + (f": {files}" if files else "")))
        elif entry.status is PhaseStatus.FAILED:
            told.append(("failed", f"{phase.id}: {one_line('; '.join(entry.reasons), 400)}"))
    return told


def advice(state: ProjectState) -> str:
    """What the engine advises; a bare command is left out, for `next` says it with the run's id."""
    return "" if state.advice.startswith("`orchestrator") else state.advice


def usage_of(usage: Usage) -> dict[str, Any]:
    """Plain data; `cost_nano_usd` is null where the price is unknown."""
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost_nano_usd": usage.cost,
    }


def result(state: ProjectState, row: RunRow) -> dict[str, Any]:
    """A run in few facts, as plain data: what `status --json` and the last line of `run --json` say."""
    begun, found = state.begun, receipts(state)
    return {
        "run_id": state.run_id,
        "project_id": begun.project_id,
        "name": begun.name,
        "workflow": begun.workflow.name,
        "mode": begun.mode,
        "provider": begun.provider,
        "model": begun.model,
        "status": state.status.value,
        "stopped": state.stopped,
        "advice": state.advice,
        "resume_at": state.resume_at,
        "out": str(Path(row.out)) if row.out else None,
        "forked_from": begun.forked_from or None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "budget_nano_usd": state.budget,
        "usage": usage_of(state.usage),
        "evidence": {
            "tests_passed": sum(receipt.tests_passed for receipt in found),
            "tests_failed": sum(receipt.tests_failed for receipt in found),
            "checks_passed": sum(1 for receipt in found if receipt.passed),
            "checks_failed": sum(1 for receipt in found if not receipt.passed),
        },
        "phases": {phase.id: state.phase(phase.id).status.value for phase in begun.workflow.phases},
        "waiting_for_review": [
            phase.id for phase in begun.workflow.phases if state.phase(phase.id).status is PhaseStatus.WAITING_REVIEW
        ],
        "next": next_steps(state, row),
    }


def progress_of(state: ProjectState) -> str:
    """`9 of 12 phases done` and what is not."""
    settled = count(state.settled, "phase")
    rest = [
        f"{phase.id} {PHASE[state.phase(phase.id).status.value].words}"
        for phase in state.begun.workflow.phases
        if state.phase(phase.id).status in {PhaseStatus.RUNNING, PhaseStatus.FAILED, PhaseStatus.WAITING_REVIEW}
    ]
    return "; ".join([f"{settled} of {len(state.begun.workflow.phases)} settled", *rest])
