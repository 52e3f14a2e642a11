"""`status`, `list` and `show`: what is known of runs. Nothing is changed.

Costs, artifacts and exports are `record_commands.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Json, RunId, given
from orchestrator_v2.core.errors import InputError, UnknownNameError

_START = 'Start one: orchestrator run "…".'


def status(
    context: typer.Context,
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run's id; else the newest run.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Say in a few lines how a run stands."""
    from orchestrator_v2.cli.summary import result

    async def found(orchestrator: Any) -> Any:
        return await orchestrator.standing(run_id or (await _newest(orchestrator)).run_id)

    standing = given(context).ask(found, models=False)
    if json:
        render.json_document(result(standing))
    else:
        _say_status(standing)
    return 0


def _say_status(standing: Any) -> None:
    from orchestrator_v2.cli.event_lines import isolation
    from orchestrator_v2.cli.summary import advice, next_steps, paid, progress_of, project, receipts, waiting
    from orchestrator_v2.cli.text import moment
    from orchestrator_v2.cli.words import STATUSES
    from orchestrator_v2.engine.telling import measured, mode_of

    state = standing.state
    render.say(f"{state.run_id}  {STATUSES[standing.status].words}")
    render.facts(
        [
            ("name", state.begun.name),
            ("replay of", standing.row.forked_from if standing.row.mode == "replay" else ""),
            ("mode", mode_of(state.begun)),
            ("progress", progress_of(state)),
            *waiting(state),
            ("why", state.stopped),
            ("to do", advice(state)),
            ("goes on", moment(state.resume_at)),
            ("evidence", measured(receipts(state))),
            ("isolation", isolation(receipts(state))),
            ("cost", paid(standing)),
            ("project", project(standing)),
            ("changed", moment(standing.row.updated_at)),
        ]
    )
    render.say_commands(next_steps(standing)[:1])


async def _newest(orchestrator: Any) -> Any:
    rows = await orchestrator.rows(limit=1)
    if not rows:
        raise InputError("There is no run yet.", do=_START)
    return rows[0]


def list_(
    context: typer.Context,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Only runs in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many, newest first.")] = 20,
    json: Json = False,
) -> int:
    """List runs, newest first."""
    from orchestrator_v2.cli.words import STATUSES

    for word in status or ():
        if word not in STATUSES:
            raise UnknownNameError("status", word, STATUSES)
    if not 1 <= limit <= 10_000:
        raise InputError(f"The limit {limit} is not possible.", do="Use 1 to 10000.")
    rows = given(context).ask(lambda orchestrator: _listed(orchestrator, status or (), limit), models=False)
    if json:
        render.json_document(rows)
        return 0
    import time

    from orchestrator_v2.cli.text import folder
    from orchestrator_v2.core.text import age, one_line

    now = time.time()
    render.table(
        ("run", "status", "mode", "age", "name", "project"),
        [
            (row.run_id, row.status, row.mode, age(now - row.created_at), _name(row), one_line(folder(row.out)))
            for row in rows
        ],
        empty=f"No run is {' or '.join(status)}." if status else f"There is no run yet. {_START}",
    )
    return 0


def _name(row: Any) -> str:
    from orchestrator_v2.core.text import one_line

    return f"replay of {row.forked_from}" if row.mode == "replay" else one_line(row.name, 32)


async def _listed(orchestrator: Any, wanted: Sequence[str], limit: int) -> list[Any]:
    """The newest rows in the wanted states; those that nobody drives say so in place of `running`."""
    from msgspec.structs import replace

    from orchestrator_v2.engine.telling import INTERRUPTED, QUEUED

    # Whether a run is driven stands in no row, so those that may be are asked for, one page after the other.
    asked = tuple(dict.fromkeys("running" if word in (INTERRUPTED, QUEUED) else word for word in wanted))
    found: list[Any] = []
    before = None
    while len(found) < limit:
        page = await orchestrator.rows(statuses=asked, before=before, limit=limit)
        if not page:
            break
        before = page[-1].run_no
        rows = [replace(row, status=await orchestrator.status(row)) for row in page]
        found += [row for row in rows if not wanted or row.status in wanted]
        if len(page) < limit:
            break
    return found[:limit]


def show(context: typer.Context, run_id: RunId, json: Json = False) -> int:
    """Show everything about a run, its history too."""
    from orchestrator_v2.cli import full_story

    async def found(orchestrator: Any) -> Any:
        standing = await orchestrator.standing(run_id)
        return standing, await orchestrator.events(standing.row.run_id)

    standing, events = given(context).ask(found, models=False)
    if json:
        render.json_document(full_story.as_data(standing, events))
    else:
        full_story.say(standing, events)
    return 0
