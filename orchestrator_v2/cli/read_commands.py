"""`status`, `list` and `show`: what is known of runs. Nothing is changed.

Costs, artifacts and exports are `record_commands.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Json, RunId, given
from orchestrator_v2.core.errors import InputError, UnknownNameError


def status(
    context: typer.Context,
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run's id; else the newest run.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Say in a few lines how a run stands."""
    from orchestrator_v2.cli.summary import advice, next_steps, progress_of, receipts, result, waiting

    async def found(orchestrator: Any) -> Any:
        row = await orchestrator.row(run_id) if run_id else await _newest(orchestrator)
        return await orchestrator.state(row.run_id), row

    state, row = given(context).ask(found)
    if json:
        render.json_document(result(state, row))
        return 0
    from orchestrator_v2.cli.event_lines import measured, mode_of
    from orchestrator_v2.cli.text import folder, moment, money, tokens
    from orchestrator_v2.cli.words import RUN

    render.say(f"{state.run_id}  {RUN[state.status.value].words}")
    render.facts(
        [
            ("name", state.begun.name),
            ("mode", mode_of(state.begun)),
            ("progress", progress_of(state)),
            *waiting(state),
            ("why", state.stopped),
            ("to do", advice(state)),
            ("goes on", moment(state.resume_at)),
            ("evidence", measured(receipts(state))),
            ("cost", f"{money(state.usage.cost, state.budget)}, {tokens(state.usage)}"),
            ("project", folder(row.out) if row.out else ""),
            ("changed", moment(row.updated_at)),
            ("next", next_steps(state, row)[0]),
        ]
    )
    return 0


async def _newest(orchestrator: Any) -> Any:
    rows = await orchestrator.rows(limit=1)
    if not rows:
        raise InputError("There is no run yet.", do='Start one: orchestrator run "…".')
    return rows[0]


def list_(
    context: typer.Context,
    status: Annotated[list[str] | None, typer.Option(help="Only runs in this state; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 20,
    json: Json = False,
) -> int:
    """List runs, newest first."""
    from orchestrator_v2.cli.words import RUN

    for word in status or ():
        if word not in RUN:
            raise UnknownNameError("status", word, RUN)
    if not 1 <= limit <= 10_000:
        raise InputError(f"The limit {limit} is not possible.", do="Use 1 to 10000.")
    rows = given(context).ask(lambda orchestrator: orchestrator.rows(statuses=tuple(status or ()), limit=limit))
    if json:
        render.json_document(rows)
        return 0
    import time

    from orchestrator_v2.cli.text import age, folder, one_line

    now = time.time()
    render.table(
        ("run", "status", "mode", "age", "name", "project"),
        [
            (row.run_id, row.status, row.mode, age(now - row.created_at), one_line(row.name, 32), folder(row.out))
            for row in rows
        ],
        empty="There is no such run yet.",
    )
    return 0


def show(context: typer.Context, run_id: RunId, json: Json = False) -> int:
    """Show everything about a run, its history too."""
    from orchestrator_v2.cli import full_story

    async def found(orchestrator: Any) -> Any:
        row = await orchestrator.row(run_id)
        return await orchestrator.state(row.run_id), row, await orchestrator.events(row.run_id)

    state, row, events = given(context).ask(found)
    if json:
        render.json_document(full_story.as_data(state, row, events))
    else:
        full_story.say(state, row, events)
    return 0
