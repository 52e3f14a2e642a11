"""Everything that is known of one run, for `orchestrator show`: facts, phases, evidence, notes, history.

The few lines at the end of a run are `summary.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from orchestrator_v2.cli import render
from orchestrator_v2.cli.event_lines import isolation, line_of
from orchestrator_v2.cli.summary import paid, project, receipts, result, usage_of
from orchestrator_v2.cli.text import block, moment
from orchestrator_v2.core.events import Recorded, encode_event
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.text import duration, one_line, with_id
from orchestrator_v2.core.usage import usd
from orchestrator_v2.engine.history import made_how
from orchestrator_v2.engine.replay import REPLAY
from orchestrator_v2.engine.state_models import PhaseState, ProjectState
from orchestrator_v2.engine.telling import mode_of
from orchestrator_v2.parts import Standing


def say(standing: Standing, events: Sequence[Recorded]) -> None:
    """Prints the run in full."""
    state = standing.state
    render.say(f"{state.run_id}  {one_line(state.begun.name)}")
    render.facts(_facts(standing))
    render.heading("Phases")
    render.table(
        ("phase", "agent", "state", "round", "took", "made how", "files", "cost"),
        [_phase(phase.id, phase.agent, state.phase(phase.id)) for phase in state.begun.workflow.phases],
    )
    render.heading("Evidence, measured by the engine")
    render.table(
        ("phase", "check", "verdict", "took", "measured"),
        [
            (phase.id, receipt.check, "passed" if receipt.passed else "failed", _took(receipt), _measured(receipt))
            for phase in state.begun.workflow.phases
            for receipt in state.phase(phase.id).receipts
        ],
        empty="Nothing was measured.",
    )
    notes = list(_notes(state))
    if notes:
        render.heading("Notes")
        for line in notes:
            render.say(f"  {line}")
    for name, receipt in _failures(state):
        render.heading(f"Output of {receipt.check} in {name}")
        render.say(block(receipt.output))
    render.heading("History")
    render.table(
        ("#", "at", "about", "what happened"),
        [(str(entry.seq), moment(entry.at), *line_of(entry.event, state.run_id)) for entry in events],
    )


def _facts(standing: Standing) -> list[tuple[str, str]]:
    state, row = standing.state, standing.row
    begun = state.begun
    return [
        ("status", standing.status),
        ("why", state.stopped),
        ("to do", with_id(state.advice, state.run_id)),
        ("goes on", moment(state.resume_at)),
        ("mode", mode_of(begun)),
        ("workflow", begun.workflow.name),
        ("reviews by", "a person" if begun.review == "human" else "the consensus agent"),
        ("project id", begun.project_id),
        ("replay of" if row.mode == REPLAY else "forked from", begun.forked_from),
        ("started", moment(row.created_at)),
        ("changed", moment(row.updated_at)),
        ("took", duration(row.updated_at - row.created_at)),
        ("cost", f"{paid(standing)}, {state.usage.calls} calls"),
        ("project", project(standing)),
        ("isolation", isolation(receipts(state))),
        ("brief", f"sha256 {begun.brief[:16]}"),
        ("templates", begun.prompts[:16]),
        ("answers", "; ".join(f"{question} {answer}" for question, answer in begun.answers.items())),
    ]


def _phase(name: str, agent: str, entry: PhaseState) -> tuple[str, ...]:
    took = None
    if entry.started_at is not None and entry.ended_at is not None:
        took = entry.ended_at - entry.started_at
    begun = entry.started_at is not None
    return (
        name,
        agent,
        entry.status.value,
        (f"{entry.round}" + (f", attempt {entry.attempt}" if entry.attempt > 1 else "")) if begun else "",
        duration(took),
        made_how(entry) if begun or entry.artifacts else "",
        str(len(entry.artifacts)),
        usd(entry.usage.cost) if begun else "",
    )


def _took(receipt: Receipt) -> str:
    return duration(receipt.duration) if receipt.command else ""


def _measured(receipt: Receipt) -> str:
    parts = [receipt.detail]
    if receipt.command:
        counts = f"{receipt.tests_passed} of {receipt.tests_collected} passed, {receipt.tests_failed} failed"
        # What passed has its numbers in the detail; what did not has its reasons there.
        parts += ["" if receipt.passed else counts, f"exit code {receipt.exit_code}", f"isolation: {receipt.isolation}"]
    return "; ".join(part for part in parts if part)


def _notes(state: ProjectState) -> Iterator[str]:
    for phase in state.begun.workflow.phases:
        entry = state.phase(phase.id)
        for kind, texts in (("reason", entry.reasons), ("note", entry.notes), ("feedback", (entry.feedback,))):
            for text in texts:
                if text:
                    yield f"{phase.id}, {kind}: {one_line(text, 600)}"


def _failures(state: ProjectState) -> Iterator[tuple[str, Receipt]]:
    for phase in state.begun.workflow.phases:
        for receipt in state.phase(phase.id).receipts:
            if not receipt.passed and receipt.output:
                yield phase.id, receipt


def as_data(standing: Standing, events: Sequence[Recorded]) -> dict[str, Any]:
    """The same as plain data."""
    state = standing.state
    return {
        **result(standing),
        "review": state.begun.review,
        "answers": state.begun.answers,
        "phases": [
            {
                "id": phase.id,
                "agent": phase.agent,
                "needs": phase.needs,
                **_phase_data(state.phase(phase.id)),
            }
            for phase in state.begun.workflow.phases
        ],
        "events": [
            {"seq": entry.seq, "at": entry.at, "event": msgspec.Raw(encode_event(entry.event))} for entry in events
        ],
    }


def _phase_data(entry: PhaseState) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return {**fields, "status": entry.status.value, "usage": usage_of(entry.usage)}
