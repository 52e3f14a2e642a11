"""What `op` is handed on the command line, read and refused early: the data as JSON, and the time that it may take.

What a request may say is `operations/types.py`; briefs and amounts of money are `sources.py`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator_v2.core.errors import InputError
from orchestrator_v2.core.text import one_line

_DO = "Quote it in ' ', or give @file.json."


def read_data(given: str) -> dict[str, Any]:
    """The JSON object that `--data` gives: in words, as @FILE, or - for standard input. Raises `InputError`."""
    text = _text(given)
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"{error.msg} (line {error.lineno}, column {error.colno})."
        raise InputError("--data is not JSON.", where, _DO) from None
    except RecursionError:
        raise InputError("--data cannot be read.", "It is nested too deeply.", "Give it flatter.") from None
    except ValueError:
        # Python turns no more than some thousand digits into a number.
        raise InputError(
            "--data cannot be read.", "A number in it has too many digits.", "Write it shorter, or as text."
        ) from None
    if not isinstance(found, dict):
        raise InputError("--data is not a JSON object.", do="Give one, such as '{\"pillars\": […]}'.")
    return found


def read_milliseconds(seconds: float | None) -> int | None:
    """`--timeout` as a request has it. Raises `InputError`."""
    if seconds is None:
        return None
    if not math.isfinite(seconds):
        raise InputError(f"The timeout '{seconds}' is no number of seconds.", do="Write it as 90 or 0.5.")
    return round(seconds * 1_000)


def _text(given: str) -> str:
    if given == "@":
        raise InputError("--data @ names no file.", do="Write it as @file.json, or - for standard input.")
    if given != "-" and not given.startswith("@"):
        return given
    source = "Standard input" if given == "-" else f"'{given[1:]}'"
    try:
        content = sys.stdin.buffer.read() if given == "-" else Path(given[1:]).expanduser().read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{source} cannot be read.", "It is not UTF-8 text.", "Give JSON in UTF-8.") from None
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{source} cannot be read.", f"{why}.", "Give a JSON file.") from None


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(
                f"--data has '{one_line(name, 60)}' twice in one object.",
                "Which of the two is meant cannot be told.",
                "Leave one out.",
            )
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise InputError(f"--data holds {name}.", "JSON has no such number.", "Leave it out, or write it as text.")
