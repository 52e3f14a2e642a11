"""`approve`, `reject`, `pause` and `cancel`: what a person decides about a run.

A run that nobody drives goes on here after the decision; `driving.py` shows it.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import exit_codes, render
from orchestrator_v2.cli.given import Json, RunId, given, person
from orchestrator_v2.cli.sources import typed
from orchestrator_v2.core.errors import InputError, RunStateError

PhaseOption = Annotated[str, typer.Option(metavar="PHASE", help="Which one, where several wait.", show_default=False)]


def approve(context: typer.Context, run_id: RunId, phase: PhaseOption = "", json: Json = False) -> int:
    """Approve what waits for your review, and go on."""
    return _review(context, run_id, phase, approved=True, reason="", as_json=json)


def reject(
    context: typer.Context,
    run_id: RunId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What is to be done otherwise; it goes into the prompt.")],
    phase: PhaseOption = "",
    json: Json = False,
) -> int:
    """Reject it; it is done again with your reason."""
    if not reason.strip():
        raise InputError("The reason is empty.", "It is what the next round works from.", 'Give --reason "…".')
    words = typed(reason.strip(), "reason")
    return _review(context, run_id, phase, approved=False, reason=words, as_json=json)


def _review(context: typer.Context, run_id: str, phase: str, *, approved: bool, reason: str, as_json: bool) -> int:
    from orchestrator_v2.cli.driving import drive

    async def decide(orchestrator: Any, watching: Any) -> Any:
        state = await orchestrator.state(run_id)
        watching.seed(state)
        return await orchestrator.review(state.run_id, approved=approved, by=person(), phase=phase, reason=reason)

    return drive(given(context), decide, as_json=as_json)


def pause(context: typer.Context, run_id: RunId, json: Json = False) -> int:
    """Let the phases under way end, and start no other."""
    return _wish(context, run_id, "pause", as_json=json)


def cancel(context: typer.Context, run_id: RunId, json: Json = False) -> int:
    """End a run for good; what was made stays."""
    return _wish(context, run_id, "cancel", as_json=json)


def _wish(context: typer.Context, run_id: str, verb: str, *, as_json: bool) -> int:
    async def asked(orchestrator: Any) -> Any:
        row = await orchestrator.row(run_id)
        return await getattr(orchestrator, verb)(row.run_id, by=person())

    state = given(context).ask(asked, models=False)
    wished, status = _WISHED[verb], state.status.value
    if status not in {wished, "running"}:
        raise RunStateError(f"Run {state.run_id} was {status} before it could be {wished}.", do="It stays as it is.")
    if as_json:
        render.json_line({"type": "Result", "run_id": state.run_id, "status": status})
    elif status == wished:
        render.say(f"{state.run_id} is {status}.")
    else:
        render.say(f"{state.run_id} will be {wished} when the phases under way have ended.")
    return exit_codes.DONE


_WISHED = {"pause": "paused", "cancel": "cancelled"}
