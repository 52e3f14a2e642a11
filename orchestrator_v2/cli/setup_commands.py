"""`agents`, `workflows` and `config`: who works, by which graph, on which settings. No database is opened.

What can be set, and where it is looked for, is the `config` floor.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Json, given
from orchestrator_v2.cli.help_text import Command, Group

_HELP = {"help_option_names": ["-h", "--help"]}
workflows = typer.Typer(name="workflows", cls=Group, help="List, show and check workflows.", context_settings=_HELP)
config = typer.Typer(name="config", cls=Group, help="Show the settings.", context_settings=_HELP)
Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A built-in workflow or a YAML file.")]


def agents(json: Json = False) -> int:
    """List the agents, what each answers for, and its other names."""
    from orchestrator_v2.agents.roles import ROLES, resolve_role

    places: dict[str, list[str]] = {name: [] for name in ROLES}
    for phase in _load("default").workflow.phases:
        if phase.agent != "engine":
            places[resolve_role(phase.agent).name].append(phase.id)
    if json:
        render.json_document(
            [
                {
                    "name": role.name,
                    "title": role.title,
                    "charge": role.charge,
                    "responsibilities": role.responsibilities,
                    "works_in": places[role.name],
                    "aliases": role.aliases,
                }
                for role in ROLES.values()
            ]
        )
        return 0
    render.table(
        ("agent", "title", "works in", "other names"),
        [(role.name, role.title, ", ".join(places[role.name]), ", ".join(role.aliases)) for role in ROLES.values()],
    )
    return 0


@workflows.callback(invoke_without_command=True)
def _workflows(context: typer.Context) -> int:
    return list_workflows() if context.invoked_subcommand is None else 0


@workflows.command("list", cls=Command)
def list_workflows(json: Json = False) -> int:
    """List the built-in workflows."""
    graphs = [_load(name) for name in _names()]
    if json:
        render.json_document([graph.workflow for graph in graphs])
        return 0
    render.table(
        ("workflow", "phases", "description"),
        [(graph.workflow.name, str(len(graph.phases)), graph.workflow.description) for graph in graphs],
    )
    return 0


@workflows.command("show", cls=Command)
def show_workflow(name: Name, json: Json = False) -> int:
    """Show a workflow's phases in the order they can go on."""
    graph = _load(name)
    if json:
        render.json_document(graph.workflow)
        return 0
    render.say(graph.workflow.name)
    render.facts([("description", graph.workflow.description)])
    render.say()
    render.table(
        ("step", "phase", "agent", "needs", "evidence", "review", "on fail"),
        [
            (
                str(step),
                name,
                graph.phases[name].agent,
                ", ".join(graph.phases[name].needs),
                ", ".join(graph.phases[name].gate.evidence),
                graph.phases[name].gate.review,
                graph.phases[name].on_fail,
            )
            for step, layer in enumerate(graph.layers(), 1)
            for name in layer
        ],
    )
    return 0


@workflows.command("validate", cls=Command)
def validate_workflow(file: Name, json: Json = False) -> int:
    """Check a workflow; each mistake is named with its line."""
    graph = _load(file)
    if json:
        render.json_line({"type": "Valid", "workflow": graph.workflow.name, "phases": list(graph.order)})
    else:
        render.say(f"{graph.workflow.name} can be walked: {len(graph.phases)} phases, {' -> '.join(graph.order)}.")
    return 0


@config.callback(invoke_without_command=True)
def _config(context: typer.Context) -> int:
    return show_config(context) if context.invoked_subcommand is None else 0


@config.command("show", cls=Command)
def show_config(context: typer.Context, json: Json = False) -> int:
    """Show every setting with its value and where that came from; keys are masked."""
    from orchestrator_v2.config.display import rows
    from orchestrator_v2.config.loader import problems_error

    loaded, problems = given(context).inspected()
    found = rows(loaded)
    if json:
        render.json_document([{"name": name, "value": value, "source": source} for name, value, source in found])
    else:
        render.table(("setting", "value", "source"), found)
    if problems or loaded.model_problems:
        raise problems_error([*problems, *loaded.model_problems])
    return 0


def _names() -> list[str]:
    from orchestrator_v2.bootstrap import workflow_names

    return workflow_names()


def _load(name: str) -> Any:
    from orchestrator_v2.bootstrap import load_workflow_named

    return load_workflow_named(name)
