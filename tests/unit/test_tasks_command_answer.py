"""What a program printed becomes an answer only where it is whole: any bytes, cut anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import InputError, InvalidOutputError, MissingExtraError, PromptTooLargeError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.tasks.answer_schema import answer_schema
from orchestrator_v2.tasks.command import CLAUDE_CODE, CODEX, GEMINI, Command, arguments
from orchestrator_v2.tasks.command_answer import MAX_LINES, CommandFault, read_answer
from orchestrator_v2.tasks.command_process import Ran

TEXT = Command(("tool",))
KEY = Secret("planted-canary-0123456789")
CLAUDE_SAYS = {"type": "result", "subtype": "success", "is_error": False, "result": "Four.", "session_id": "s"}
CODEX_SAYS = [
    {"type": "thread.started", "thread_id": "t"},
    {"type": "item.completed", "item": {"id": "1", "type": "reasoning", "text": "Hm."}},
    {"type": "item.completed", "item": {"id": "2", "type": "agent_message", "text": "Three."}},
    {"type": "item.completed", "item": {"id": "3", "type": "agent_message", "text": "Four."}},
    {"type": "turn.completed", "usage": {"input_tokens": 3, "output_tokens": 1}},
]


def lines(objects: list) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def read(command: Command, stdout: bytes, *, exit_code: int | None = 0, stderr: bytes = b"", ending="exit") -> str:
    """The answer, or the word of the fault in angle brackets."""
    try:
        return read_answer(command, Ran(ending, exit_code, stdout, stderr), [KEY])
    except CommandFault as fault:
        assert fault.error.what
        assert fault.error.do
        assert KEY.reveal() not in str(fault.error)
        return f"<{fault.word}>"


@pytest.mark.parametrize(
    ("command", "printed", "answer"),
    [
        (TEXT, b"\xef\xbb\xbf Four.\r\nReally.\n", "Four.\nReally."),
        (TEXT, b"caf\xe9", "caf\ufffd"),
        (TEXT, b"the key is planted-canary-0123456789", "the key is [redacted]"),
        (CLAUDE_CODE, json.dumps(CLAUDE_SAYS, indent=2).encode(), "Four."),
        (CODEX, lines(CODEX_SAYS), "Four."),
        (GEMINI, b'{"response": "Four.", "stats": {}}', "Four."),
        (GEMINI, b'{"response": {"sum": 4}, "stats": {}}', '{"sum":4}'),
    ],
)
def test_the_answer_is_found_where_the_program_puts_it(command: Command, printed: bytes, answer: str) -> None:
    """Plain text, one object and lines of objects, as the known programs print them."""
    assert read(command, printed) == answer


FAULTS = {
    "a failed exit": (TEXT, b"Four.", {"exit_code": 3}, "exit_code"),
    "ended by a signal": (TEXT, b"Four.", {"exit_code": -9}, "exit_code"),
    "too slow": (TEXT, b"Four.", {"exit_code": None, "ending": "timeout"}, "timeout"),
    "too much": (TEXT, b"Four.", {"exit_code": None, "ending": "output_too_large"}, "output_too_large"),
    "nothing": (TEXT, b"", {}, "empty"),
    "white space": (TEXT, b" \n\t ", {}, "empty"),
    "NUL": (TEXT, b"Fo\0ur.", {}, "not_text"),
    "colours": (TEXT, b"\x1b[31mFour.", {}, "not_text"),
    "delete": (TEXT, b"Four\x7f", {}, "not_text"),
    "NUL around JSON": (GEMINI, b'{"response": "Four."}\0', {}, "not_text"),
    "an empty field": (GEMINI, b'{"response": "  "}', {}, "empty"),
    "no field": (GEMINI, b'{"stats": {}}', {}, "no_answer"),
    "a number in the field": (GEMINI, b'{"response": 4}', {}, "no_answer"),
    "a list": (GEMINI, b'["Four."]', {}, "not_json"),
    "prose before JSON": (GEMINI, b'Here: {"response": "Four."}', {}, "not_json"),
    "two objects": (GEMINI, b'{"response": "Four."} {"response": "Five."}', {}, "not_json"),
    "a key twice": (GEMINI, b'{"response": "Four.", "response": "Five."}', {}, "not_json"),
    "too deep": (GEMINI, b'{"response": ' + b"[" * 100 + b"]" * 100 + b"}", {}, "not_json"),
    "far too deep": (GEMINI, b"[" * 200_000, {}, "not_json"),
    "it says that it failed": (CLAUDE_CODE, b'{"is_error": true, "result": "Limit."}', {}, "reported"),
    "an error beside the answer": (GEMINI, b'{"response": "Four.", "error": {"message": "No."}}', {}, "reported"),
    "a failed turn": (
        CODEX,
        lines([*CODEX_SAYS, {"type": "turn.failed", "error": {"message": "No."}}]),
        {},
        "reported",
    ),
    "a turn that does not end": (CODEX, lines(CODEX_SAYS[:-1]), {}, "no_answer"),
    "no message": (CODEX, lines([CODEX_SAYS[0], CODEX_SAYS[-1]]), {}, "no_answer"),
    "a line that is no JSON": (CODEX, lines(CODEX_SAYS) + b"done\n", {}, "not_json"),
    "too many lines": (CODEX, b"{}\n" * (MAX_LINES + 1), {}, "not_json"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_answer_is_never_a_success(name: str) -> None:
    """Each way to fail has its word, and an error that says what happened and what to do."""
    command, printed, how, word = FAULTS[name]
    assert read(command, printed, **how) == f"<{word}>"


def test_one_is_not_true() -> None:
    """A sign is compared as JSON compares: the number 1 is not the truth."""
    assert read(CLAUDE_CODE, b'{"is_error": 1, "result": "Four."}') == "Four."


@given(st.integers(0, len(lines(CODEX_SAYS)) - 2))
def test_lines_that_were_cut_anywhere_are_no_answer(at: int) -> None:
    """A program that was torn away in the middle of its output has not answered."""
    assert read(CODEX, lines(CODEX_SAYS)[:at]).startswith("<")


@given(st.integers(0, len(json.dumps(CLAUDE_SAYS)) - 1))
def test_an_object_that_was_cut_anywhere_is_no_answer(at: int) -> None:
    """Half of a JSON object is never taken for the whole, though a part of it may be JSON."""
    assert read(CLAUDE_CODE, json.dumps(CLAUDE_SAYS).encode()[:at]).startswith("<")


@given(st.binary(max_size=200), st.sampled_from([TEXT, CLAUDE_CODE, CODEX, GEMINI]))
def test_any_bytes_give_clean_text_or_a_fault(printed: bytes, command: Command) -> None:
    """Nothing that a program may print breaks the reader, or passes it with a control character."""
    found = read(command, printed)
    found.encode()
    assert found.strip()
    assert not any(ord(sign) < 32 and sign not in "\t\n\r" for sign in found)


def test_what_a_failing_program_said_is_told_harmlessly() -> None:
    """The error shows the end of stderr on one line, without the key and without the terminal's controls."""
    said = b"x" * 5000 + b"\x1b[2J boom: planted-canary-0123456789\nline two"
    with pytest.raises(CommandFault) as caught:
        read_answer(TEXT, Ran("exit", 1, b"", said), [KEY])
    assert caught.value.error.why.endswith("boom: [redacted] line two")
    assert len(caught.value.error.why) < 500
    with pytest.raises(CommandFault) as caught:
        read_answer(TEXT, Ran("exit", 1, b"on stdout", b""), [KEY])
    assert "on stdout" in caught.value.error.why


PATH = "/usr/bin:/bin"


def test_placeholders_become_whole_arguments() -> None:
    """No text is split, quoted or run, whatever it holds."""
    command = Command(("echo", "-m", "{model}", "--", "{prompt}"))
    nasty = "--help; $(id) `id` 'a' \"b\"\n*"
    given = arguments(command, {"{prompt}": nasty, "{model}": "m", "{system}": ""}, PATH)
    assert given[1:] == ["-m", "m", "--", nasty]
    assert given[0].endswith("/echo")


@pytest.mark.parametrize(
    ("text", "kind"), [("--dangerous", InputError), ("a\0b", InputError), ("x" * 131_072, PromptTooLargeError)]
)
def test_a_text_that_would_be_something_else_as_an_argument_is_refused(text: str, kind: type[Exception]) -> None:
    """A prompt never becomes an option of the program, and what the system would refuse is told before."""
    with pytest.raises(kind):
        arguments(Command(("echo", "{prompt}")), {"{prompt}": text}, PATH)


def test_a_program_that_is_not_there_is_told() -> None:
    """The error is one that a second way can mend, and nothing was spent."""
    with pytest.raises(MissingExtraError) as caught:
        arguments(Command(("no-such-program",)), {}, PATH)
    assert caught.value.unbilled


@pytest.mark.parametrize("schema", [7, "object", {"type": "nonsense"}, {"type": "string"}, {"properties": 3}, int])
def test_a_schema_that_nothing_could_fit_is_refused(schema: object) -> None:
    """Before anything is sent."""
    with pytest.raises(InputError, match="response_schema cannot be used"):
        answer_schema(schema)


def test_all_that_does_not_fit_a_schema_is_told_at_once() -> None:
    """Each fault has its path."""
    schema = answer_schema(
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": [1]}}, "required": ["a", "c"]}
    )
    assert schema is not None
    assert schema.read('Sure: {"a": 1, "b": 1, "c": 0}') == {"a": 1, "b": 1, "c": 0}
    with pytest.raises(InvalidOutputError) as caught:
        schema.read('{"a": "x", "b": 2}')
    assert all(word in caught.value.why for word in ("$.a", "$.b", "'c'"))


def test_a_pydantic_model_is_a_schema_too() -> None:
    """The value is what the model makes of the answer, as plain JSON values."""
    from pydantic import BaseModel

    class Verdict(BaseModel):
        passed: bool
        score: int = 3

    schema = answer_schema(Verdict)
    assert schema is not None
    assert schema.read('{"passed": true}') == {"passed": True, "score": 3}
    with pytest.raises(InvalidOutputError, match="passed"):
        schema.read('{"score": 1}')
