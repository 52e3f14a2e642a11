"""From a run's events back to the response: the same answer now, after a crash, and next week.

What was asked is `record.py`; why there is no answer is `failures.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator_v2.agents.base_agent import telling
from orchestrator_v2.core.accounts import LOCAL
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import UnknownNameError
from orchestrator_v2.core.events import Recorded, event_type
from orchestrator_v2.core.operation_errors import OperationError, RunNotFoundError
from orchestrator_v2.core.usage import NANO, Usage
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.state_models import PhaseState, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.engine.transitions import fold
from orchestrator_v2.operations.failures import failure_of
from orchestrator_v2.operations.ports import Runs
from orchestrator_v2.operations.record import OperationRecord, decode_record
from orchestrator_v2.operations.steps import RESULT, step_of
from orchestrator_v2.operations.types import LLMResponse, Moment, Problem, ResponseMetadata, Spent

_DETAILS = ("result", "reason", "what", "by")
_LONGEST_DETAIL = 300


class ResponseReader:
    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock

    async def row(self, run_id: str, owner_id: str | None) -> RunRow:
        """Raises `RunNotFoundError`, for another owner's run and for one that answers no operation as for none."""
        try:
            row = await self._runs.row(run_id, owner_id=owner_id)
        except UnknownNameError as error:
            raise _not_found(run_id) from error
        if not row.operation:
            raise _not_found(run_id)
        return row

    async def cache_key(self, state: ProjectState) -> str:
        """Under which digest an equal request finds this answer; empty: under none."""
        return decode_record((await self._runs.contents([state.begun.brief]))[state.begun.brief]).cache_key

    async def read(self, run_id: str, *, owner_id: str | None = LOCAL) -> LLMResponse:
        """The response as the run stands; not a success where it has no answer (yet)."""
        row = await self.row(run_id, owner_id)
        events = await self._runs.events(row.run_id)
        state = fold(row.run_id, events)
        results = _result_hash(state)
        contents = await self._runs.contents([hashed for hashed in (state.begun.brief, results) if hashed])
        record = decode_record(contents[state.begun.brief])
        done = state.status is RunStatus.COMPLETED
        return LLMResponse(
            success=done,
            results=json.loads(contents[results]) if done else None,
            errors=() if done else (_problem(failure_of(state, events, self._clock.now())),),
            warnings=_warnings(state, record),
            metadata=_metadata(state, events, record, row),
        )


def _not_found(run_id: str) -> RunNotFoundError:
    return RunNotFoundError(
        f"There is no operation's run '{run_id}'.", do="List the runs of operations to see what there is."
    )


def _result_hash(state: ProjectState) -> str:
    return next((a.hash for entry in state.phases.values() for a in entry.artifacts if a.path == RESULT), "")


def _problem(error: OperationError) -> Problem:
    message = " ".join(part for part in (error.what, error.why) if part)
    return Problem(code=error.code, message=message, suggestion=error.suggestion, context=error.context)


def _in_order(state: ProjectState) -> list[tuple[str, PhaseState]]:
    return [(name, state.phase(name)) for name in PhaseGraph(state.begun.workflow).order if name in state.phases]


def _warnings(state: ProjectState, record: OperationRecord) -> tuple[str, ...]:
    told = list(record.warnings)
    for name, entry in _in_order(state):
        step = step_of(name)
        who = f"{step.agent} ({step.kind} round)" if step.agent else name
        told += [f"{who}: {reason}" for reason in entry.reasons if entry.status is PhaseStatus.SKIPPED]
        told += [f"{who}: {note}" for note in entry.notes]
    return tuple(dict.fromkeys(told))


def _metadata(
    state: ProjectState, events: Sequence[Recorded], record: OperationRecord, row: RunRow
) -> ResponseMetadata:
    answered = [(step_of(name), entry) for name, entry in _in_order(state) if entry.status is PhaseStatus.DONE]
    made = [entry.provenance for _, entry in answered]
    asked = record.asked
    return ResponseMetadata(
        operation=state.begun.operation,
        run_id=state.run_id,
        status=state.status.value,
        execution_time_ms=round((state.changed_at - state.started_at) * 1_000),
        execution_mode=asked.mode,
        provenance=telling(made).kind if made else state.begun.mode,
        models_used=tuple(dict.fromkeys(f"{it.provider}/{it.model}" for it in made if it.model)),
        agents_used=tuple(dict.fromkeys(step.agent for step, _ in answered if step.agent)),
        usage=_spent(state.usage, row.spent),
        cost_usd=_dollars(row.spent),
        cache="bypass" if asked.cache_policy == "bypass" else "miss",
        routing=record.routing,
        events=tuple(_moment(it, state.started_at) for it in events),
        request=asked.metadata,
    )


def _spent(usage: Usage, cost: int | None) -> Spent:
    return Spent(
        calls=usage.calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=_dollars(cost),
    )


def _dollars(cost: int | None) -> float | None:
    return None if cost is None else cost / NANO


def _moment(recorded: Recorded, began: float) -> Moment:
    event: Any = recorded.event
    detail = next((text for name in _DETAILS if (text := getattr(event, name, ""))), "")
    return Moment(
        at_ms=round((recorded.at - began) * 1_000),
        what=event_type(event),
        step=getattr(event, "phase", ""),
        detail=str(detail)[:_LONGEST_DETAIL],
    )
