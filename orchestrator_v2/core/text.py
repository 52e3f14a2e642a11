"""Texts for people, wherever they read them: foreign text on one harmless line, and times, money and counts.

What only a terminal or only a page needs is in `cli/text.py` and `api/web/text.py`.
"""

from __future__ import annotations

import re

from orchestrator_v2.core.usage import Usage, usd

# A brief's or a model's text must not move the cursor, reverse a line (bidi controls) or hide in it.
HIDDEN = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0x061C, 0xFEFF)
CONTROLS = (*range(32), *range(127, 160))
_BLANKED = dict.fromkeys([*CONTROLS, *HIDDEN], " ")


def whole(text: str) -> str:
    """`text` without halves of characters, which cannot be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, limit: int = 0) -> str:
    """`text` on one line, blanks joined, controls gone; cut with an ellipsis at `limit` characters (0: never)."""
    line = " ".join(whole(text).translate(_BLANKED).split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def with_id(text: str, run_id: str) -> str:
    """`text` with the run's id in each command that says RUN, so that it can be typed as it stands."""
    return re.sub(r"(`orchestrator [a-z]+) RUN\b", rf"\1 {run_id}", text) if run_id else text


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3:07`, `1:02:03`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    rounded = int(seconds)
    if rounded < 60:
        return f"{rounded} s"
    minutes, rest = divmod(rounded, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_AGES = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))


def age(seconds: float) -> str:
    """`42 s`, `7 min`, `5 h`, `12 d`."""
    passed = max(0, int(seconds))
    return next(f"{passed // unit} {word}" for least, unit, word in _AGES if passed >= least)


def short_number(number: int) -> str:
    """`999`, `12.3k`, `4.56M`."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1_000_000:.2f}M"


def tokens(usage: Usage) -> str:
    """`12.3k tokens`; input and output together."""
    return f"{short_number(usage.input_tokens + usage.output_tokens)} tokens"


def money(cost: int | None, budget: int | None = None) -> str:
    """`$0.0123 of $2.00`; the ceiling only where there is one."""
    return usd(cost) if budget is None else f"{usd(cost)} of {usd(budget)}"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
