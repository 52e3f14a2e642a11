"""`cost`, `artifacts` and `export`: what a run paid for, and what it made.

How runs stand is `read_commands.py`.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Json, RunId, given, out_path


def cost(context: typer.Context, run_id: RunId, json: Json = False) -> int:
    """Say what a run cost, by phase, model and call."""
    from orchestrator_v2.cli import ledger_tables

    async def found(orchestrator: Any) -> Any:
        row = await orchestrator.row(run_id)
        return await orchestrator.state(row.run_id), await orchestrator.calls(row.run_id)

    state, calls = given(context).ask(found, models=False)
    if json:
        render.json_document(ledger_tables.as_data(state, calls))
    else:
        ledger_tables.say(state, calls)
    return 0


def artifacts(
    context: typer.Context,
    run_id: RunId,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Print this one.", show_default=False)] = "",
    json: Json = False,
) -> int:
    """List the files a run has made, or print one."""
    if path:
        _print(given(context).ask(lambda orchestrator: orchestrator.read(run_id, path), models=False))
        return 0
    tree = given(context).ask(lambda orchestrator: orchestrator.artifacts(run_id), models=False)
    listed = [tree[name] for name in sorted(tree)]
    if json:
        render.json_document(
            [
                {
                    "path": a.path,
                    "size": a.size,
                    "hash": a.hash,
                    "made_how": str(a.provenance),
                }
                for a in listed
            ]
        )
        return 0
    render.table(
        ("path", "bytes", "sha256", "made how"),
        [(a.path, str(a.size), a.hash[:12], str(a.provenance)) for a in listed],
        empty="The run has made no file yet.",
    )
    return 0


def _print(content: bytes) -> None:
    """Byte for byte into a pipe; on a terminal without what would steer it."""
    if sys.stdout.isatty():
        from orchestrator_v2.cli.text import block

        sys.stdout.write(block(content.decode("utf-8", "replace")))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def export(
    context: typer.Context,
    run_id: RunId,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the project is laid out.")],
    json: Json = False,
) -> int:
    """Lay a run's project out as a git repository."""
    from orchestrator_v2.cli.text import folder

    where = out_path(out)
    tree = given(context).ask(lambda orchestrator: orchestrator.export(run_id, where), models=False)
    if json:
        render.json_line({"type": "Exported", "out": str(where), "tree": tree})
    else:
        render.say(f"The project lies in {folder(str(where))} (tree {tree[:12]}).")
    return 0
