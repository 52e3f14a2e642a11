"""Errors as one paragraph, tables and JSON: everything that is printed once and stands still.

What moves is `live_view.py`; the words for states are `words.py`.
"""

from __future__ import annotations

import sys
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from orchestrator_v2.cli import terminal
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.text import one_line

# A column with no longer cell than this is not broken into lines, where there is room.
_NARROW = 18
# A longer column needs at least so much room to be read.
_LEAST = 12


def say(text: str = "", stream: TextIO | None = None) -> None:
    """One line on standard output, or on `stream`."""
    (stream or sys.stdout).write(text + "\n")


def note(text: str) -> None:
    """A remark for the person, not for the pipe: on standard error, wrapped to a terminal's width."""
    _paragraph("", text)


def say_error(error: OrchestratorError, secrets: Iterable[Secret] = ()) -> None:
    """What happened, why, what to do: one paragraph on standard error, with no key in it."""
    _paragraph("error: ", redact(str(error), secrets))


def say_usage_error(message: str, command: str) -> None:
    said = one_line(message)
    ended = said if said.endswith(("?", "!", ".")) else f"{said}."
    _paragraph("error: ", f"{ended} `{command} --help` shows what can be given.")


def say_fault(error: BaseException, log: Path, secrets: Iterable[Secret] = ()) -> None:
    """A fault of this program: its traceback goes to `log`, a paragraph to the person."""
    details = redact("".join(traceback.format_exception(error)), secrets)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(details + "\n")
        where = f"The details are in {log}."
    except OSError:
        where = "Run it again with `orchestrator --debug …` to see the details."
    said = redact(one_line(str(error), 200), secrets)
    _paragraph(
        "error: ",
        f"A fault of this program stopped the command: {type(error).__name__}{': ' + said if said else ''}. "
        f"{where} Runs that were recorded are kept; `orchestrator list` shows them.",
    )


def _paragraph(label: str, text: str) -> None:
    stream = sys.stderr
    line = one_line(text)
    width = terminal.width_of(stream)
    shown = label + line if width is None else textwrap.fill(label + line, width, break_on_hyphens=False)
    if label and terminal.can_colour(stream):
        shown = shown.replace(label, f"\x1b[1;31m{label}\x1b[0m", 1)
    say(shown, stream)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "Nothing.") -> None:
    """Columns on a terminal; the same, uncut and with no decoration, in a pipe."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
    elif terminal.can_draw(sys.stdout):
        _rich_table(headers, cells)
    else:
        _plain_table([header.upper() for header in headers], cells)


def _plain_table(headers: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [headers, *rows]) for i in range(len(headers))]
    columns = terminal.width_of(sys.stdout)
    if columns is not None and sum(widths) + 2 * len(widths) - 2 > columns:
        _as_records(headers, rows)
        return
    for line in [headers, *rows]:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich_table(headers: Sequence[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    longest = [max(len(row[i]) for row in rows) for i in range(len(headers))]
    least = sum((length if length <= _NARROW else _LEAST) + 2 for length in longest) - 2
    if least > (terminal.width_of(sys.stdout) or 0):
        _as_records(headers, rows)
        return
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header, length in zip(headers, longest, strict=True):
        drawn.add_column(header.upper(), overflow="fold", no_wrap=length <= _NARROW)
    for row in rows:
        drawn.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    Console().print(drawn)


def _as_records(headers: Sequence[str], rows: list[list[str]]) -> None:
    """Where the columns do not fit side by side, each row is a few lines."""
    for row in rows:
        say(row[0])
        facts(zip((header.lower() for header in headers[1:]), row[1:], strict=True))


def _style(cell: str) -> str:
    from orchestrator_v2.cli.words import PHASE, STATUSES

    look = STATUSES.get(cell) or PHASE.get(cell)
    return look.style if look else ""


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """`label  value` lines, those without a value left out."""
    shown = [(label, one_line(value)) for label, value in pairs if value]
    width = max((len(label) for label, _ in shown), default=0)
    columns = terminal.width_of(sys.stdout)
    for label, value in shown:
        start = f"  {label.ljust(width)}  "
        say(start + value if columns is None else _hanging(start, value, columns))


def _hanging(start: str, value: str, columns: int) -> str:
    hang = " " * len(start) if columns >= 60 else "    "
    filled = textwrap.fill(
        value, columns, initial_indent=start, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False
    )
    return filled if filled.strip() else start


def say_commands(commands: Iterable[str]) -> None:
    """`next  command`, `or  command`; on a narrow terminal no word of a command is broken."""
    columns = terminal.width_of(sys.stdout)
    for label, command in zip(("next", "or", "or"), commands, strict=False):
        start = f"  {label.ljust(8)}  "
        fits = columns is None or len(start + command) <= columns
        say(start + command if fits else _hanging(f"  {label}  ", command, columns or 0))


def heading(text: str) -> None:
    """A title over a part of a longer answer."""
    say()
    say(f"\x1b[1m{text}\x1b[0m" if terminal.can_colour(sys.stdout) else text)


def json_line(value: Any) -> None:
    """One value as one line of JSON."""
    say(_encoded(value).decode())


def json_document(value: Any) -> None:
    """One value as indented JSON."""
    import msgspec

    say(msgspec.json.format(_encoded(value), indent=2).decode())


def _encoded(value: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    return dict(value.items()) if hasattr(value, "items") else str(value)
