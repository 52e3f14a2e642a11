"""Texts for a terminal: foreign text made harmless, and times, sizes and money in few characters.

Tables and errors are `render.py`; what stands on a line about an event is `event_lines.py`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from orchestrator_v2.core.usage import Usage, usd

# A brief's or a model's text must not move the cursor, recolour the screen or reverse a line (bidi controls).
_CONTROLS = dict.fromkeys(
    [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F], " "
)
_BLOCK = {code: blank for code, blank in _CONTROLS.items() if code not in {9, 10}}


def one_line(text: str, limit: int = 0) -> str:
    """`text` on one line, blanks joined, controls gone; cut with an ellipsis at `limit` characters (0: never)."""
    line = " ".join(text.translate(_CONTROLS).split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def with_id(text: str, run_id: str) -> str:
    """`text` with the run's id in each command that says RUN, so that it can be typed as it stands."""
    return re.sub(r"(`orchestrator [a-z]+) RUN\b", rf"\1 {run_id}", text) if run_id else text


def block(text: str) -> str:
    """`text` with its lines kept and all other control characters blanked."""
    return text.translate(_BLOCK)


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3:07`, `1:02:03`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_AGES = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


def age(seconds: float) -> str:
    """`42 s`, `7 min`, `5 h`, `12 d`."""
    whole = max(0, int(seconds))
    return next(f"{whole // unit} {word}" for least, unit, word in _AGES if whole >= least)


def moment(at: float | None) -> str:
    """An epoch time as local `2026-03-01 14:05:09`; empty for None."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def tokens(usage: Usage) -> str:
    """`12.3k tokens`; input and output together."""
    count = usage.input_tokens + usage.output_tokens
    return (
        f"{count} tokens"
        if count < 1000
        else f"{count / 1000:.1f}k tokens"
        if count < 1_000_000
        else (f"{count / 1_000_000:.2f}M tokens")
    )


def money(cost: int | None, budget: int | None) -> str:
    """`$0.0123 of $2.00`; the ceiling only where there is one."""
    return usd(cost) if budget is None else f"{usd(cost)} of {usd(budget)}"


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def folder(path: str) -> str:
    """A path as short as it can be typed here: relative to the current directory where it is below it."""
    here = Path(path)
    try:
        return f"./{here.relative_to(Path.cwd())}"
    except (ValueError, OSError):
        return path
