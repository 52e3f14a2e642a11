"""How a run came out, said at the end of a command: where the project lies, evidence, cost, what to do next.

Everything that is known of a run is `orchestrator show` (`read_commands.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestrator_v2.cli import render, terminal
from orchestrator_v2.cli.event_lines import isolation
from orchestrator_v2.cli.text import folder
from orchestrator_v2.cli.words import NEXT, PHASE, STATUSES
from orchestrator_v2.core.text import money, one_line, tokens, with_id
from orchestrator_v2.core.usage import Usage, usd
from orchestrator_v2.engine.replay import REPLAY, reach
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.engine.telling import counted, measured, mode_of
from orchestrator_v2.parts import Standing


def say_result(standing: Standing, *, code: int, drained: bool, as_json: bool) -> None:
    """The last lines of a command that drove a run, or the last JSON object."""
    state = standing.state
    if as_json:
        render.json_line({"type": "Result", "exit_code": code, **result(standing)})
        return
    look = STATUSES[standing.status]
    words = "stopped here; nothing is lost" if drained else look.words
    render.say()
    render.say(_coloured(f"{look.mark if terminal.has_unicode(sys.stdout) else look.ascii} {words}", look.style))
    render.facts(
        [
            ("run", f"{state.run_id}  {state.begun.name}"),
            ("mode", mode_of(state.begun)),
            ("project", project(standing)),
            *waiting(state),
            ("why", state.stopped),
            ("to do", advice(state)),
            ("evidence", measured(receipts(state)) or "nothing was measured"),
            ("isolation", isolation(receipts(state))),
            ("cost", paid(standing)),
        ]
    )
    render.say_commands(next_steps(standing))


def paid(standing: Standing) -> str:
    """What the run has cost by its ledger, where failed calls and those that are out count too, and its tokens."""
    state, row = standing.state, standing.row
    if row.mode != "real" or row.spent == state.usage.cost:
        return f"{money(state.usage.cost, state.budget)}, {tokens(state.usage)}"
    ceiling = "" if state.budget is None else f" of {usd(state.budget)}"
    return f"{usd(row.spent)} charged or reserved{ceiling}, {tokens(state.usage)}"


def project(standing: Standing) -> str:
    """Where the project lies, and whether all of it does."""
    row, done = standing.row, standing.state.status is RunStatus.COMPLETED
    if not row.out:
        return ""
    return folder(row.out) + ("" if standing.laid or not done else " (not there, or not all of it)")


_SGR = {"green": "32", "red": "31", "yellow": "33", "cyan": "36", "bright_black": "90"}


def _coloured(text: str, style: str) -> str:
    return f"\x1b[1;{_SGR[style]}m{text}\x1b[0m" if terminal.can_colour(sys.stdout) else text


def next_steps(standing: Standing) -> list[str]:
    """Up to three commands that make sense now."""
    state, row = standing.state, standing.row
    if row.mode == REPLAY:
        return [f"orchestrator show {state.run_id}", f"orchestrator show {row.forked_from}"]
    if standing.interrupted:
        return [f"orchestrator resume {state.run_id}"]
    commands = [line.format(run=state.run_id) for line in NEXT[state.status.value]]
    if state.status is RunStatus.COMPLETED and not row.out:
        commands.insert(0, f"orchestrator export {state.run_id} --out DIR")
    elif state.status is RunStatus.COMPLETED:
        look = f"cd {_quoted(folder(row.out))} && less RUN.md"
        commands.insert(0, look if standing.laid else f"orchestrator resume {state.run_id}")
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
        if phase.id in for_review(state):
            files = ", ".join(artifact.path for artifact in entry.artifacts[:3])
            told.append(("review", f"{phase.id} waits for you" + (f": {files}" if files else "")))
        elif entry.status is PhaseStatus.FAILED:
            told.append(("failed", f"{phase.id}: {one_line('; '.join(entry.reasons), 400)}"))
    return told


def for_review(state: ProjectState) -> list[str]:
    """The phases that wait for a person's word; none once the run has ended."""
    if state.status in TERMINAL:
        return []
    phases = (phase.id for phase in state.begun.workflow.phases)
    return [name for name in phases if state.phase(name).status is PhaseStatus.WAITING_REVIEW]


def advice(state: ProjectState) -> str:
    """What the engine advises; a bare command is left out, for `next` says it with the run's id."""
    return "" if state.advice.startswith("`orchestrator") else with_id(state.advice, state.run_id)


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


def result(standing: Standing) -> dict[str, Any]:
    """A run in few facts, as plain data: what `status --json` and the last line of `run --json` say."""
    state, row = standing.state, standing.row
    begun, found = state.begun, counted(receipts(state))
    return {
        "run_id": state.run_id,
        "project_id": begun.project_id,
        "name": begun.name,
        "workflow": begun.workflow.name,
        "mode": row.mode,
        "provider": begun.provider,
        "model": begun.model,
        "status": standing.status,
        "stopped": state.stopped,
        "advice": state.advice,
        "resume_at": state.resume_at,
        "spent_nano_usd": row.spent,
        "out": str(Path(row.out)) if row.out else None,
        "laid_out": standing.laid,
        "forked_from": begun.forked_from or None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "budget_nano_usd": state.budget,
        "usage": usage_of(state.usage),
        "evidence": {
            "tests_passed": found.passed,
            "tests_failed": found.failed,
            "checks_passed": found.checks,
            "checks_failed": len(found.broken),
            "isolation": sorted({receipt.isolation for receipt in receipts(state) if receipt.isolation}),
        },
        "phases": {phase.id: state.phase(phase.id).status.value for phase in begun.workflow.phases},
        "waiting_for_review": for_review(state),
        "next": next_steps(standing),
    }


def progress_of(state: ProjectState) -> str:
    """`9 of 12 phases done` and what is not."""
    rest = [
        f"{phase.id} {PHASE[state.phase(phase.id).status.value].words}"
        for phase in state.begun.workflow.phases
        if state.phase(phase.id).status in {PhaseStatus.RUNNING, PhaseStatus.FAILED} or phase.id in for_review(state)
    ]
    return "; ".join([reach(state), *rest])
