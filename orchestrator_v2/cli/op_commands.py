"""`op`: typed operations on the command line: asked, listed, looked at, gone on with.

How one is asked and drained is `op_asking.py`, how it is answered `operations/orchestrator.py`; projects are
`run_commands.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli import run_options as o
from orchestrator_v2.cli.given import Json, given
from orchestrator_v2.cli.help_text import Command, Group
from orchestrator_v2.cli.op_data import read_data, read_milliseconds
from orchestrator_v2.cli.op_views import say_handlers, say_response, say_runs
from orchestrator_v2.cli.sources import read_budget
from orchestrator_v2.core.errors import InputError
from orchestrator_v2.core.usage import NANO

Name = Annotated[str, typer.Argument(metavar="FEATURE.OPERATION", help="What is asked.", show_default=False)]


class _Operations(Group):
    """`op pillars.validate` is short for `op run pillars.validate`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and "." in args[0]:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


op = typer.Typer(
    name="op",
    cls=_Operations,
    help="Ask one typed operation, such as pillars.validate.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)


@op.command("run", cls=Command)
def run_operation(
    context: typer.Context,
    name: Name,
    *,
    data: Annotated[
        str,
        typer.Option(metavar="JSON|@FILE|-", help="The data, from a file with @, or from standard input with -."),
    ],
    agentic: Annotated[bool, typer.Option("--agentic", help="Several specialists, and one who sums up.")] = False,
    model: Annotated[
        str, typer.Option(help="A model, an alias, or provider/model; then the mode is real.", show_default=False)
    ] = "",
    prefer: Annotated[str, typer.Option(metavar="WHERE", help="local, cloud or auto.")] = "auto",
    mode: o.Mode = "",
    real_llm: o.RealLlm = False,
    budget: o.Budget = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For the whole operation.", show_default=False)
    ] = None,
    cache: Annotated[str, typer.Option(metavar="POLICY", help="use, refresh or bypass earlier answers.")] = "use",
    key: Annotated[
        str, typer.Option(metavar="KEY", help="An idempotency key: sent twice, done once.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Ask an operation, and print its answer: results on standard output, the rest on standard error."""
    from orchestrator_v2.cli.op_asking import ask

    fields: dict[str, Any] = {
        "data": read_data(data),
        "mode": "agentic" if agentic else "monolithic",
        "model_id": model,
        "model_preference": prefer,
        "run_mode": _mode(mode, real_llm),
        "budget_usd": _dollars(budget),
        "timeout_ms": read_milliseconds(timeout),
        "cache_policy": cache,
        "idempotency_key": key,
    }
    request = _request(name, fields)
    return ask(given(context), lambda operations: operations.execute(request), as_json=json)


@op.command("list", cls=Command)
def list_operations(context: typer.Context, json: Json = False) -> int:
    """List the operations there are."""
    from orchestrator_v2.operations.registry import load_registry

    registry = load_registry()
    say_handlers(list(registry.all().values()), registry.broken, as_json=json)
    return 0


@op.command("show", cls=Command)
def show_operation(context: typer.Context, name: Name) -> int:
    """Print the JSON Schemas of an operation's data and answer."""
    from orchestrator_v2.agents.schemas import answer_schema
    from orchestrator_v2.operations.registry import load_registry

    handler = load_registry().named(name)
    render.json_document(
        {
            "id": handler.operation_id,
            "summary": handler.summary,
            "modes": handler.modes(),
            "data": handler.request_schema.model_json_schema(),
            "answer": answer_schema(handler.response_schema),
        }
    )
    return 0


@op.command("runs", cls=Command)
def list_runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    json: Json = False,
) -> int:
    """List what was asked, the newest first."""
    from orchestrator_v2.cli.op_asking import look

    say_runs(look(given(context), lambda operations: operations.history(limit=limit)), as_json=json)
    return 0


@op.command("result", cls=Command)
def show_result(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)],
    json: Json = False,
) -> int:
    """Print the answer of an earlier operation, or why there is none."""
    from orchestrator_v2.cli.op_asking import look

    return say_response(look(given(context), lambda operations: operations.response(run_id)), as_json=json)


@op.command("resume", cls=Command)
def resume_operation(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)],
    budget: o.Budget = None,
    json: Json = False,
) -> int:
    """Go on with an operation that was cut off; what was paid for is kept."""
    from orchestrator_v2.cli.op_asking import ask

    amount = read_budget(budget)
    return ask(given(context), lambda operations: operations.resume(run_id, budget=amount), as_json=json)


def _request(name: str, fields: dict[str, Any]) -> Any:
    """Raises `InputError` with each thing that is wrong with what was given."""
    from pydantic import ValidationError

    from orchestrator_v2.operations.types import LLMRequest

    feature, dot, operation = name.partition(".")
    if not dot:
        raise InputError(
            f"'{name}' names no operation.", "It has a feature and a name.", "Write feature.operation; see `op list`."
        )
    try:
        return LLMRequest(feature=feature, operation=operation, **fields)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in found)
        raise InputError(
            "The request does not fit.", f"{told}.", "`orchestrator op run --help` shows what can."
        ) from None


def _mode(mode: str, real_llm: bool) -> str:
    if real_llm and mode not in {"", "real"}:
        raise InputError(f"--real-llm and --mode {mode} contradict each other.", do="Give one of them.")
    return "real" if real_llm else mode


def _dollars(budget: str | None) -> float | None:
    amount = read_budget(budget)
    return None if amount is None else amount / NANO
