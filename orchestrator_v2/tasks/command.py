"""`Command`: how an agent that is a program is called, and where in its output the answer stands; all of it data.

Starting it is `command_process.py`, reading what it printed `command_answer.py`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestrator_v2.core.errors import ConfigError, InputError, MissingExtraError, PromptTooLargeError
from orchestrator_v2.core.secrets import Secret, redact

PLACEHOLDERS = ("{prompt}", "{model}", "{system}")
# Linux takes no argument of 128 KiB or more; what is longer goes by stdin.
MAX_ARGUMENT = 131_071
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Sign(msgspec.Struct, frozen=True):
    """A value somewhere in an object: at the dotted `path` stands `value`, or anything but null where it is None."""

    path: str
    value: Any = None


class Answer(msgspec.Struct, frozen=True):
    """Where the answer is. `text`: all that was printed; `json`: at `field` of one object; `json_lines`: at `field` of
    the last object that all of `where` holds for.

    An object in which one of `failed` holds makes the task fail; where `ended` is set, it must hold for some object.
    """

    form: Literal["text", "json", "json_lines"] = "text"
    field: str = ""
    where: tuple[Sign, ...] = ()
    failed: tuple[Sign, ...] = ()
    ended: Sign | None = None


class Command(msgspec.Struct, frozen=True):
    """`argv` is the program and its arguments; no shell reads them. An argument that is `{prompt}`, `{model}` or
    `{system}`, and nothing beside, becomes that text. Without `{prompt}` the prompt goes in by stdin.

    `model` is what the program calls its model (empty: as the agent's, where it has no API beside).
    `environ` are the names of the only variables that the program is given, `credential_variable` the one in which it
    finds the agent's credential. `secret_variables` are those of `environ` that hold keys, which are taken out of all
    that is said (None: whichever seem to, by name or content). `folder` is where it works (empty: a folder of its own
    that is removed). `timeout` is in seconds, `max_stdout` and `max_stderr` in bytes; TERM is followed by KILL after
    `grace` seconds.
    """

    argv: tuple[str, ...]
    answer: Answer = Answer()
    model: str = ""
    environ: tuple[str, ...] = ("PATH", "HOME", "LANG")
    credential_variable: str = ""
    folder: str = ""
    timeout: float = 600.0
    max_stdout: int = 4 * 1024 * 1024
    max_stderr: int = 64 * 1024
    grace: float = 2.0
    secret_variables: tuple[str, ...] | None = None


# By what each program's own documentation says; each uses its own login, found by HOME. Another is a value like these.
CLAUDE_CODE = Command(
    ("claude", "-p", "--output-format", "json"),
    Answer("json", "result", failed=(Sign("is_error", True),)),
)
CODEX = Command(
    ("codex", "exec", "--json", "--skip-git-repo-check", "-"),
    Answer(
        "json_lines",
        "item.text",
        where=(Sign("type", "item.completed"), Sign("item.type", "agent_message")),
        failed=(Sign("type", "turn.failed"),),
        ended=Sign("type", "turn.completed"),
    ),
)
GEMINI = Command(
    ("gemini", "--output-format", "json"),
    Answer("json", "response", failed=(Sign("error"),)),
)


def checked_command(agent: str, command: Command | Sequence[str]) -> Command:
    """The command, from a bare argv too. Raises `ConfigError` naming every fault at once."""
    if isinstance(command, str):
        raise _no_command(agent, ["a command is a list of words, as no shell would split a line"])
    if not isinstance(command, Command):
        command = Command(command)  # type: ignore[arg-type]
    try:
        # Read anew as what it is declared to be, so that each type is right: nobody has checked those that were given.
        command = msgspec.convert(msgspec.to_builtins(command), Command)
    except (msgspec.ValidationError, TypeError, RecursionError) as error:
        raise _no_command(agent, [redact(f"{error}")]) from None
    faults = [fault for fault, holds in _faults(command) if holds]
    if faults:
        raise _no_command(agent, faults)
    return command


def _faults(command: Command) -> list[tuple[str, bool]]:
    argv, answer = command.argv, command.answer
    names = [*command.environ, *([command.credential_variable] if command.credential_variable else [])]
    inside = [word for word in argv if word not in PLACEHOLDERS and any(each in word for each in PLACEHOLDERS)]
    program = argv[0] if argv else ""
    return [
        ("argv is empty", not program),
        ("argv[0] must be the program itself", program in PLACEHOLDERS),
        (f"a placeholder is a whole argument, unlike in {inside[:1]}", bool(inside)),
        ("a program with a / in it needs its whole path", "/" in program and not program.startswith("/")),
        ("an argument holds NUL", any("\0" in word for word in argv)),
        ("environ is a list of variables' names", not all(map(_VARIABLE.fullmatch, names))),
        ("secret_variables are some of environ", not set(command.secret_variables or ()) <= set(command.environ)),
        ("timeout is a number of seconds over 0", not _is_time(command.timeout) or command.timeout == 0),
        ("grace is a number of seconds, not below 0", not _is_time(command.grace)),
        ("max_stdout and max_stderr are over 0", min(command.max_stdout, command.max_stderr) < 1),
        ("the field of the answer is not named", answer.form != "text" and not answer.field),
        ("folder must be a whole path", bool(command.folder) and not Path(command.folder).is_absolute()),
    ]


def _is_time(seconds: float) -> bool:
    """False for what is no number, and for times that never end."""
    return 0 <= seconds <= 1e7


def _no_command(agent: str, faults: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"The command of '{agent}' cannot be used.", f"{'; '.join(faults)}.", "See docs/how-to/run-tasks.md."
    )


def arguments(command: Command, texts: Mapping[str, str], path: str) -> list[str]:
    """The whole argv; `texts` stand for the placeholders, `path` is the PATH in which the program is looked for.

    Raises `MissingExtraError` for a program that is not there, `InputError` for a text that can be no argument.
    """
    program = shutil.which(command.argv[0], path=path)
    if program is None:
        error = MissingExtraError(
            f"There is no program '{command.argv[0]}'.",
            "It is in no folder of PATH, or may not be run.",
            "Install it, or give its whole path.",
        )
        error.unbilled = True
        raise error
    given, options_end = [program], False
    for before, word in zip(command.argv, command.argv[1:], strict=False):
        options_end = options_end or before == "--"
        given.append(_filled(word, texts[word], options_end) if word in texts else word)
    return given


def _filled(name: str, text: str, options_end: bool) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_ARGUMENT:
        error = PromptTooLargeError(
            f"The {name} of {size} bytes is too long for an argument.",
            "",
            f"Leave {name} out of argv: stdin takes all.",
        )
        error.unbilled = True
        raise error
    if "\0" in text:
        raise InputError(f"The {name} holds NUL.", "No argument can.", f"Take it out, or leave {name} out of argv.")
    if text.startswith("-") and not options_end:
        raise InputError(
            f"The {name} begins with '-'.",
            "The program would take it for an option.",
            f"Put '--' before {name} in argv, or leave it out: the prompt then goes in by stdin.",
        )
    return text


def environment(command: Command, environ: Mapping[str, str], credential: Secret | None) -> dict[str, str]:
    """All that the program is given: what the list names and is set, and the credential under its own name."""
    given = {name: environ[name] for name in command.environ if name in environ}
    if credential is not None and command.credential_variable:
        given[command.credential_variable] = credential.reveal()
    return given
