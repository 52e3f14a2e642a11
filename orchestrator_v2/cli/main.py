"""The command line's table of contents: which commands there are, and how every way of ending is said.

What a command does is in the files named `…_commands.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from orchestrator_v2.cli import (
    branch_commands,
    control_commands,
    estimate_command,
    exit_codes,
    model_commands,
    op_commands,
    read_commands,
    record_commands,
    render,
    run_commands,
    server_commands,
    setup_commands,
    terminal,
    worker_command,
)
from orchestrator_v2.cli.given import Given, given
from orchestrator_v2.cli.help_text import Command, Group
from orchestrator_v2.core.errors import OrchestratorError

PROGRAM = "orchestrator"
Serve = Callable[[Any, Callable[[str], None]], Awaitable[None]]
_PANELS = {
    "Start and go on": (run_commands.run, run_commands.resume, run_commands.retry, estimate_command.estimate),
    "Look": (
        read_commands.status,
        read_commands.list_,
        read_commands.show,
        record_commands.cost,
        record_commands.artifacts,
        record_commands.export,
    ),
    "Decide": (
        control_commands.approve,
        control_commands.reject,
        control_commands.pause,
        control_commands.cancel,
    ),
    "Branch and repeat": (branch_commands.fork, branch_commands.rollback, branch_commands.replay),
    "Serve": (server_commands.serve, worker_command.worker),
    "Set up": (
        setup_commands.agents,
        model_commands.models,
    ),
}


def build_app() -> typer.Typer:
    """The Typer application with every command."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Group,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_global_options)
    for panel, commands in _PANELS.items():
        for command in commands:
            app.command(command.__name__.rstrip("_"), cls=Command, rich_help_panel=panel)(command)
    app.add_typer(op_commands.op, rich_help_panel="Start and go on")
    app.add_typer(server_commands.users, rich_help_panel="Serve")
    app.add_typer(server_commands.keys, rich_help_panel="Serve")
    app.add_typer(model_commands.providers, rich_help_panel="Set up")
    app.add_typer(model_commands.llm, rich_help_panel="Set up")
    app.add_typer(setup_commands.workflows, rich_help_panel="Set up")
    app.add_typer(setup_commands.config, rich_help_panel="Set up")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from orchestrator_v2 import __version__

        render.say(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _global_options(
    context: typer.Context,
    data_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where runs are kept.", show_default=False)
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="sqlite:/// or postgresql:// address of the journal.", show_default=False),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A brief goes in; eight agents hand back a tested project in a git repository.

    Begin with: orchestrator run "A pomodoro timer with statistics" --out ./timer
    """
    options = given(context)
    options.data_dir, options.database_url, options.debug = data_dir, database_url, debug
    if context.invoked_subcommand is None:
        render.say(context.get_help())


def run_cli(arguments: Sequence[str], serve: Serve | None = None) -> int:
    """Runs one command and gives its exit code; every failure is one paragraph on standard error.

    `serve` is how a server's service is served, until a signal ends it.
    """
    terminal.soften()
    options = Given()
    if serve is not None:
        options.serve = serve
    try:
        code = build_app()(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=options)
        sys.stdout.flush()
    except OrchestratorError as error:
        render.say_error(error, options.secrets)
        _show_traceback(options)
        return error.exit_code
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        render.say_usage_error(error.format_message(), command)
        return exit_codes.BAD_INPUT
    except (BrokenPipeError, SystemExit):
        # Typer and Rich end the process by SystemExit when nobody reads standard output any more; nothing else does.
        terminal.drop_output()
        return exit_codes.READER_GONE
    except (KeyboardInterrupt, typer.Abort):
        render.say(stream=sys.stderr)  # past the terminal's own ^C
        render.note("Stopped by Ctrl-C. Runs that were recorded are kept; `orchestrator list` shows them.")
        return exit_codes.SIGNALLED + 2
    except Exception as error:  # noqa: BLE001 - the last word of the process: a paragraph, and the details in a file
        render.say_fault(error, options.log(), options.secrets)
        _show_traceback(options)
        return exit_codes.FAILED
    return code if isinstance(code, int) else exit_codes.DONE


def _show_traceback(options: Given) -> None:
    if options.debug:
        import traceback

        from orchestrator_v2.core.secrets import redact

        render.say(redact(traceback.format_exc(), options.secrets), sys.stderr)
