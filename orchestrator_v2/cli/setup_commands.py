"""`agents`, `workflows` and `config`: who works, by which graph, on which settings. No database is opened.

What can be set, and where it is looked for, is the `config` floor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import Json, given
from orchestrator_v2.cli.help_text import Command, Group

_HELP = {"help_option_names": ["-h", "--help"]}
workflows = typer.Typer(name="workflows", cls=Group, help="List, show and check workflows.", context_settings=_HELP)
config = typer.Typer(name="config", cls=Group, help="Show, check and begin the configuration.", context_settings=_HELP)
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
def show_config(
    context: typer.Context,
    agent: Annotated[
        str, typer.Option(metavar="NAME", help="The model of this agent, word by word.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Show every setting with its value and where that came from; keys are masked."""
    from orchestrator_v2.config.display import agent_rows, rows
    from orchestrator_v2.config.loader import problems_error

    loaded, problems = given(context).inspected()
    found = agent_rows(loaded, agent) if agent else rows(loaded)
    if json:
        render.json_document([{"name": name, "value": value, "source": source} for name, value, source in found])
    else:
        render.table(("word" if agent else "setting", "value", "source"), found)
    if problems or loaded.model_problems:
        raise problems_error([*problems, *loaded.model_problems])
    return 0


@config.command("validate", cls=Command)
def validate_config(
    context: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The file; without it the one that is found.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Check a project's configuration; each fault is told with its file, line and key."""
    from orchestrator_v2.config.loader import problems_error
    from orchestrator_v2.config.project_config import ProjectConfig
    from orchestrator_v2.core.secrets import redact

    loaded, of_settings = given(context).inspected(Path(path).absolute() if path else None)
    config = ProjectConfig(loaded)
    found = config.problems()
    if json:
        render.json_document([_as_json(problem) for problem in found])
    else:
        for problem in found:
            render.say(f"{problem.place}: {redact(problem.what)} {problem.why}")
    if found:
        raise _as_error(found)
    if of_settings or loaded.model_problems:
        raise problems_error([*of_settings, *loaded.model_problems])
    if not json:
        shown = "There is no project configuration; `orchestrator config init` writes one."
        render.say(shown if config.project is None else f"{_names_of(config)} can be used.")
    return 0


@config.command("init", cls=Command)
def init_config(
    json: Annotated[bool, typer.Option("--json", help="Write JSON in place of YAML, and answer in it.")] = False,
) -> int:
    """Write a .bmad/project-config.yaml to begin with, in this folder; one that is there is left as it is."""
    from orchestrator_v2.config.new_file import write_new

    path = write_new(Path.cwd(), as_json=json)
    if json:
        render.json_line({"type": "Written", "path": str(path)})
    else:
        render.say(f"Wrote {path.relative_to(Path.cwd())}; `orchestrator config validate` checks it.")
    return 0


@config.command("schema", cls=Command)
def schema_of_config(
    json: Annotated[bool, typer.Option("--json", help="Print the schema itself in place of its path.")] = False,
) -> int:
    """Print where the JSON Schema of a project's configuration lies, for editors."""
    from orchestrator_v2.config.schema import load_schema, schema_path

    if json:
        render.json_document(load_schema())
    else:
        render.say(str(schema_path()))
    return 0


def _as_json(problem: Any) -> dict[str, Any]:
    from orchestrator_v2.core.secrets import redact

    return {
        "file": problem.file,
        "line": problem.line,
        "key": redact(problem.key),
        "what": redact(problem.what),
        "reason": redact(problem.reason),
        "valid": list(problem.valid),
    }


def _as_error(problems: list[Any]) -> Exception:
    """The error that ends a check; what is wrong was told line by line."""
    from orchestrator_v2.core.errors import ConfigError

    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError(
        f"The configuration has {count}.", do=problems[0].do if len(problems) == 1 else "Edit the lines above."
    )


def _names_of(config: Any) -> str:
    return " and ".join(document.shown for document in config.project.documents())


def _names() -> list[str]:
    from orchestrator_v2.bootstrap import workflow_names

    return workflow_names()


def _load(name: str) -> Any:
    from orchestrator_v2.bootstrap import load_workflow_named

    return load_workflow_named(name)
