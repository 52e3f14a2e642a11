"""What a program printed, read as hostile bytes: the answer in it, or the one error that says why there is none.

How it was run is `command_process.py`; whether the answer fits a schema is `answer_schema.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import (
    EmptyOutputError,
    InvalidOutputError,
    OrchestratorError,
    ProviderError,
    ProviderUnavailableError,
)
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.text import one_line
from orchestrator_v2.llm.structured import parse_json
from orchestrator_v2.tasks.command import Answer, Command, Sign
from orchestrator_v2.tasks.command_process import Ran

MAX_LINES = 20_000
SHOWN = 400
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MISSING = object()


class CommandFault(Exception):
    """Why there is no answer: a word for machines (`exit_code`, `timeout`, `output_too_large`, `not_text`, `not_json`,
    `no_answer`, `empty`, `reported`), and the error for people."""

    def __init__(self, word: str, error: OrchestratorError) -> None:
        super().__init__(word)
        self.word = word
        self.error = error


def read_answer(command: Command, ran: Ran, secrets: Sequence[Secret] = ()) -> str:
    """The answer's text, without `secrets`. Raises `CommandFault`, and nothing else, whatever was printed."""
    name = command.argv[0]
    if ran.ending != "exit":
        raise CommandFault(ran.ending, _cut_short(command, ran))
    if ran.exit_code != 0:
        said = stderr_of(ran, secrets) or _last_words(ran.stdout, secrets)
        why = f"It said: {said}" if said else "It said nothing."
        raise CommandFault(
            "exit_code", ProviderError(f"'{name}' ended with exit code {ran.exit_code}.", why, "Try it by hand.")
        )
    text = ran.stdout.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    found = _CONTROLS.search(text)
    if found:
        raise _no_answer("not_text", name, f"It holds the control character U+{ord(found[0]):04X}.")
    for secret in secrets:
        text = secret.hidden_from(text)
    answer = _READERS[command.answer.form](name, text, command.answer).strip()
    if not answer:
        raise CommandFault(
            "empty", EmptyOutputError(f"'{name}' gave an empty answer.", "Its exit code was 0.", "Try it by hand.")
        )
    return answer


def stderr_of(ran: Ran, secrets: Sequence[Secret] = ()) -> str:
    """The end of what it said on stderr, harmless and on one line."""
    return _last_words(ran.stderr, secrets)


def _last_words(printed: bytes, secrets: Sequence[Secret]) -> str:
    # Redacted before it is cut, so that no half of a key is left; of much, no more than can matter.
    return one_line(redact(printed[-16_384:].decode("utf-8", "replace"), secrets)[-SHOWN:])


def _cut_short(command: Command, ran: Ran) -> OrchestratorError:
    name = command.argv[0]
    if ran.ending == "timeout":
        return ProviderUnavailableError(
            f"'{name}' did not end in time.", "It and what it had started were ended.", "Raise the timeout."
        )
    return InvalidOutputError(
        f"'{name}' printed too much.",
        f"More than {command.max_stdout} bytes, or {command.max_stderr} on stderr; it was ended.",
        "Have it print less, or raise max_stdout or max_stderr.",
    )


def _whole_text(name: str, text: str, answer: Answer) -> str:
    return text


def _one_object(name: str, text: str, answer: Answer) -> str:
    found = _object(name, text.strip())
    _check(name, [found], answer)
    return _field(name, found, answer.field)


def _last_object(name: str, text: str, answer: Answer) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > MAX_LINES:
        raise _no_answer("not_json", name, f"It has more than {MAX_LINES} lines.")
    objects = [_object(name, line.strip()) for line in lines]
    _check(name, objects, answer)
    meant = [one for one in objects if all(_holds(sign, one) for sign in answer.where)]
    if not meant:
        raise _no_answer("no_answer", name, "No line of it is the answer.")
    return _field(name, meant[-1], answer.field)


_READERS: Mapping[str, Callable[[str, str, Answer], str]] = {
    "text": _whole_text,
    "json": _one_object,
    "json_lines": _last_object,
}


def _object(name: str, text: str) -> dict[str, Any]:
    """The one JSON object that the text is. The gate alone would also take one out of prose, or out of a torn text."""
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
        found = parse_json(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _no_answer("not_json", name, f"It is not JSON: {error}.") from None
    except InvalidOutputError as error:
        raise _no_answer("not_json", name, error.why) from None
    if not isinstance(found, dict):
        raise _no_answer("not_json", name, "It is no JSON object.")
    return found


def _check(name: str, objects: Sequence[dict[str, Any]], answer: Answer) -> None:
    """Raises where the program itself says that it failed, or does not say that it came to its end."""
    for sign in answer.failed:
        failed = next((one for one in objects if _holds(sign, one)), None)
        if failed is not None:
            said = " / ".join(one_line(text, SHOWN) for text in _texts(failed))
            error = ProviderError(f"'{name}' says that it failed.", one_line(said, SHOWN), "Try it by hand.")
            raise CommandFault("reported", error)
    if answer.ended is not None and not any(_holds(answer.ended, one) for one in objects):
        raise _no_answer("no_answer", name, "It breaks off before its end.")


def _field(name: str, found: dict[str, Any], path: str) -> str:
    value = _at(found, path)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if not isinstance(value, str):
        raise _no_answer("no_answer", name, f"There is no text at '{path}'.")
    return value


def _holds(sign: Sign, found: dict[str, Any]) -> bool:
    value = _at(found, sign.path)
    if sign.value is None:
        return value is not _MISSING and value is not None
    # In Python 1 == True, in JSON not.
    return type(value) is type(sign.value) and bool(value == sign.value)


def _at(found: object, path: str) -> Any:
    for part in path.split("."):
        found = found.get(part, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def _texts(value: object) -> Iterator[str]:
    """All texts in a JSON value, in their order; it is at most 64 deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _no_answer(word: str, name: str, why: str) -> CommandFault:
    error = InvalidOutputError(f"What '{name}' printed is no answer.", why, "Try it by hand, and check its `answer`.")
    return CommandFault(word, error)
