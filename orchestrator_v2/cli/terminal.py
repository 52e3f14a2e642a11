"""What kind of place output goes to: a terminal that can be drawn on, one that can be coloured, or a pipe.

The views themselves are `live_view.py` and `plain_view.py`.
"""

from __future__ import annotations

import os
import sys
from shutil import get_terminal_size
from typing import TextIO

_SIMPLE = frozenset({"", "dumb", "unknown"})


def can_draw(stream: TextIO) -> bool:
    """Whether the cursor may be moved there."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in _SIMPLE


def can_colour(stream: TextIO) -> bool:
    return can_draw(stream) and not os.environ.get("NO_COLOR")


def has_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def width_of(stream: TextIO) -> int | None:
    """Columns of a terminal; None for a pipe, where nothing is wrapped unless COLUMNS asks for it."""
    asked = os.environ.get("COLUMNS", "")
    if not stream.isatty() and not (asked.isascii() and asked.isdigit() and int(asked)):
        return None
    return max(20, get_terminal_size((80, 24)).columns)


def soften() -> None:
    """A character that the terminal's encoding lacks is replaced, not an error; each line goes out at once."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace", line_buffering=True)


def drop_output() -> None:
    """Sends what is still to be written nowhere: its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
