"""`CommandClient`: a program in the place of a model, so that what stands around a model can stand around it too.

How it is called is `command.py`; which task it is given is `command_way.py`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, OrchestratorError, WorkspaceError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.tasks.command import Command, arguments, environment
from orchestrator_v2.tasks.command_answer import CommandFault, read_answer, stderr_of
from orchestrator_v2.tasks.command_process import Limits, run_command
from orchestrator_v2.tasks.secret_variables import secrets_in


class CommandClient:
    """One for each task. `facts` say after `invoke`, and after its error, how the program ended.

    `provider` is the program's name; `seconds` is a ceiling beside the command's own.
    """

    def __init__(
        self, command: Command, model: str, *, environ: Mapping[str, str], credential: Secret | None,
        seconds: float, clock: Clock,
    ) -> None:  # fmt: skip
        self.provider = Path(command.argv[0]).name
        self.model = model
        self.facts: dict[str, Any] = {}
        self.secrets = _secrets(command, environ, credential)
        self._command = command
        self._path = environ.get("PATH", "")
        self._environ = environment(command, environ, credential)
        self._seconds = min(seconds, command.timeout)
        self._clock = clock

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The program's answer to the messages' text; what it cost is not known. Raises `OrchestratorError` classes."""
        prompt = "\n\n".join(message.content for message in messages)
        if options.system_prompt and "{system}" not in self._command.argv:
            prompt = f"{options.system_prompt}\n\n{prompt}"
        begun = self._clock.monotonic()
        try:
            text = await self._answer(prompt, options.system_prompt)
        except CommandFault as fault:
            self.facts["fault"] = fault.word
            raise fault.error from None
        sink(text)
        provenance = Provenance("real", self.provider, self.model)
        taken = self._clock.monotonic() - begun
        return Completion(text, usage=Usage(calls=1, cost=None), provenance=provenance, latency=taken)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _answer(self, prompt: str, system: str) -> str:
        command = self._command
        argv = arguments(command, {"{prompt}": prompt, "{model}": self.model, "{system}": system}, self._path)
        if any(secret.hidden_from(word) != word for secret in self.secrets for word in argv):
            raise ConfigError(
                f"A key stands in the arguments of '{command.argv[0]}'.",
                "Everybody on the machine can read them.",
                "Let the program read it from its variable; if it is no key, say which are by `secret_variables`.",
            )
        limits = Limits(self._seconds, command.max_stdout, command.max_stderr, command.grace)
        stdin = "" if "{prompt}" in command.argv else prompt
        folder = command.folder or _own_folder()
        try:
            self.facts["started"] = 1
            ran = await run_command(argv, stdin=stdin, environ=self._environ, folder=folder, limits=limits)
        except OrchestratorError:
            self.facts["started"] = 0
            raise
        finally:
            if not command.folder:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        self.facts |= {"exit_code": ran.exit_code, "stderr": stderr_of(ran, self.secrets)}
        # As much as a program may print takes the parser long enough to hold up everybody else.
        return await asyncio.to_thread(read_answer, command, ran, self.secrets)


def _own_folder() -> str:
    try:
        return tempfile.mkdtemp(prefix="orchestrator-task-")
    except OSError as error:
        raise WorkspaceError(
            "There is no folder for a program to work in.", f"{error}.", "Make room, or set TMPDIR or `folder`."
        ) from None


def _secrets(command: Command, environ: Mapping[str, str], credential: Secret | None) -> tuple[Secret, ...]:
    found = secrets_in(command.environ, command.secret_variables, environ)
    return tuple(dict.fromkeys([*found, *([credential] if credential else [])]))
