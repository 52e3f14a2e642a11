"""The options that stand before every command, the settings they lead to, and the orchestrator on those settings.

Options of one command are with the command.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar, cast, overload

import typer

from orchestrator_v2.core.errors import InputError, MissingExtraError
from orchestrator_v2.core.secrets import Secret

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for machines.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or a beginning of it.", show_default=False)]


class Given:
    """`--data-dir`, `--database-url` and `--debug`, and once they were read, the settings."""

    def __init__(self) -> None:
        self.data_dir: str | None = None
        self.database_url: str | None = None
        self.debug = False
        self.flags: dict[str, Any] = {}
        self.serve: Callable[[Any, Callable[[str], None]], Awaitable[None]] = _no_server
        self.secrets: list[Secret] = []
        self._loaded: Any = None
        self._log_dir: Path | None = None

    def settings(self, *, models: bool = True) -> Any:
        """The `LoadedSettings` of this process, read once.

        Raises `ConfigError`; what is wrong with the user's models only where `models` are asked.
        """
        from orchestrator_v2.config.loader import problems_error

        if self._loaded is None:
            loaded, problems = self.inspected()
            if problems:
                raise problems_error([*problems, *loaded.model_problems])
            self._loaded = loaded
        if models and self._loaded.model_problems:
            raise problems_error(self._loaded.model_problems)
        return self._loaded

    def inspected(self, project: Path | None = None) -> Any:
        """(the settings with defaults for what is wrong, what is wrong), for the commands that show and check them.

        `project` is a project's configuration in place of the one that is found.
        """
        from orchestrator_v2.config.display import live_secrets
        from orchestrator_v2.config.loader import inspect_settings

        flags = {
            "data_dir": self.data_dir,
            "database_url": self.database_url,
            "log_level": "debug" if self.debug else None,
            **self.flags,
        }
        loaded, problems = inspect_settings(flags, os.environ, Path.cwd(), Path.home(), project_path=project)
        self.secrets = live_secrets(loaded)
        self._log_dir = Path(loaded.settings.log_dir or loaded.settings.data_dir / "logs")
        return loaded, problems

    def log(self) -> Path:
        """Where the log goes, and the traceback of a fault of ours: a terminal is no place for it."""
        folder = self._log_dir or Path.home() / ".local/state/orchestrator"
        return folder / "orchestrator.log"

    async def open(self, *, models: bool = True, **seams: Any) -> Any:
        """The `Orchestrator` on these settings; an async context manager. Raises `StoreError` classes.

        `models` False: nothing will be asked of a model, so what is wrong with these does not matter.
        """
        from orchestrator_v2.bootstrap import open_orchestrator

        return await open_orchestrator(self._logged(models=models), **seams)

    async def open_operations(self, **seams: Any) -> Any:
        """The `LLMOrchestrator` on these settings; an async context manager. Raises `StoreError` classes."""
        from orchestrator_v2.operation_bootstrap import open_operations

        return await open_operations(self._logged(), **seams)

    def _logged(self, *, models: bool = True) -> Any:
        """The settings, once the log goes where it belongs."""
        from orchestrator_v2.bootstrap import set_up_logging

        loaded = self.settings(models=models)
        set_up_logging(loaded, cast(TextIO, _Log(None if self.debug else self.log())))
        return loaded

    async def open_service(self, *, json_log: bool = False) -> Any:
        """The `Service` on these settings; close it. A server logs to standard error, as JSON lines."""
        try:
            from orchestrator_v2.bootstrap import set_up_logging
            from orchestrator_v2.server_bootstrap import open_service
        except ImportError as error:
            raise missing_server(error) from error
        loaded = self.settings()
        log = sys.stderr if json_log else cast(TextIO, _Log(None if self.debug else self.log()))
        set_up_logging(loaded, log, json=json_log)
        return await open_service(loaded)

    def ask(self, question: Callable[[Any], Awaitable[T]], *, models: bool = True) -> T:
        """Opens the orchestrator, asks it one thing and closes it; `models` as for `open`."""
        import asyncio

        async def asked() -> T:
            async with await self.open(models=models) as orchestrator:
                return await question(orchestrator)

        return asyncio.run(asked())


async def _no_server(service: Any, ready: Callable[[str], None]) -> None:
    """Where nobody handed in how it is served."""
    raise InputError("There is no server in this program.", do="Start it with `orchestrator serve`.")


def missing_server(error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"A server needs {error.name or 'packages that are not installed'}.",
        "It is not part of the plain installation.",
        "pip install 'orchestrator-v2[server]'",
    )


class _Log:
    """A stream that makes its file when something is written, and writes to standard error where it cannot.

    With `path` None it is standard error as it is at that moment: a live view stands in for it while it is drawn.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, text: str) -> int:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8", errors="replace") as file:
                    return file.write(text)
            except OSError:
                self._path = None
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Each write goes out at once."""


def given(context: typer.Context) -> Given:
    found = context.find_object(Given)
    return found if found is not None else Given()


def person() -> str:
    """Who decides: the name of the account, `person` where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "person"


@overload
def out_path(out: str) -> Path: ...


@overload
def out_path(out: None) -> None: ...


def out_path(out: str | None) -> Path | None:
    """`--out` as an absolute path. Raises `InputError` on an empty one."""
    if out is None:
        return None
    if not out.strip():
        raise InputError("--out is empty.", do="Give a directory, such as ./project.")
    return Path(out).expanduser().absolute()
