"""`replay`, `fork` and `rollback`: doing a recorded run again, or another way from one phase on.

How a run is driven and shown is `driving.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import exit_codes, render
from orchestrator_v2.cli.given import Json, RunId, given, out_path
from orchestrator_v2.cli.sources import read_replacements
from orchestrator_v2.cli.text import folder
from orchestrator_v2.core.text import count

Out = Annotated[str | None, typer.Option(metavar="DIR", help="Where the project is laid out.")]
Replaced = Annotated[
    list[str] | None, typer.Option("--with", metavar="PATH=FILE", help="Put a file in an artifact's place.")
]


def fork(
    context: typer.Context,
    *,
    run_id: RunId,
    phase: Annotated[str, typer.Option("--from", metavar="PHASE", help="The first phase that is done anew.")],
    replaced: Replaced = None,
    out: Out = None,
    json: Json = False,
) -> int:
    """Start a new run that keeps all upstream of a phase."""
    files, where = read_replacements(replaced or ()), out_path(out)
    from orchestrator_v2.cli.driving import drive

    async def branch(orchestrator: Any, watching: Any) -> Any:
        row = await orchestrator.row(run_id)
        return await orchestrator.drive(await orchestrator.fork(row.run_id, phase, files, out=where))

    return drive(given(context), branch, as_json=json)


def rollback(
    context: typer.Context,
    run_id: RunId,
    phase: Annotated[str, typer.Option("--to", metavar="PHASE", help="The first phase that is done anew.")],
    replaced: Replaced = None,
    json: Json = False,
) -> int:
    """Put a run back to before a phase, and work on."""
    files = read_replacements(replaced or ())
    from orchestrator_v2.cli.driving import drive

    async def back(orchestrator: Any, watching: Any) -> Any:
        state = await orchestrator.state(run_id)
        watching.seed(state)
        return await orchestrator.rollback(state.run_id, phase, files)

    return drive(given(context), back, as_json=json)


def replay(context: typer.Context, run_id: RunId, out: Out = None, json: Json = False) -> int:
    """Do a recorded run again, offline, and compare."""
    where = out_path(out)
    found = given(context).ask(lambda orchestrator: orchestrator.replay(run_id, out=where))
    code = exit_codes.FAILED if found.different else exit_codes.DONE
    if json:
        render.json_line({"type": "Replayed", "exit_code": code, **_fields(found)})
        return code
    render.say(f"Replayed {count(found.tasks, 'task')} as run {found.run_id}; nothing was sent, $0.00.")
    render.facts(
        [
            ("the same", f"{count(len(found.same), 'file')}, byte for byte"),
            ("different", ", ".join(found.different) or "none"),
            ("recording", found.unfinished),
            ("reports", f"{', '.join(found.reports)} (they name the mode)" if found.reports else ""),
            ("project", folder(str(where)) if where else ""),
        ]
    )
    return code


def _fields(replayed: Any) -> dict[str, Any]:
    return {name: getattr(replayed, name) for name in replayed.__struct_fields__}
