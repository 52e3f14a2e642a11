"""Texts for the page alone: what hides in foreign text made visible, UTC times, sizes, ids of elements.

What every reader is shown alike is `core/text.py`; escaping for HTML is the template engine's (`render.py`).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from orchestrator_v2.core.text import CONTROLS, HIDDEN, whole
from orchestrator_v2.core.usage import usd

_SHOWN = {code: f"⟦U+{code:04X}⟧" for code in (*CONTROLS, *HIDDEN) if code not in {9, 10}}
_CONTROL_PATTERN = re.compile("[" + re.escape("".join(map(chr, _SHOWN))) + "\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with its lines kept and every other control or bidi character shown by its number."""
    return whole(text.replace("\r\n", "\n")).translate(_SHOWN)


def has_hidden(text: str) -> bool:
    """Whether there is a control, bidi or broken character in it that a text field would not keep."""
    return bool(_CONTROL_PATTERN.search(text.replace("\r\n", "\n")))


def moment(at: float | None) -> str:
    """An epoch time as `2026-03-01 14:05:09 UTC`; empty for None. The page's script makes local time of it."""
    return "" if at is None else f"{_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def stamp(at: float) -> str:
    """An epoch time as a `datetime` attribute has it."""
    return _utc(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def price_range(low: int | None, high: int | None) -> str:
    """`$0.10 to $0.90` of nano-dollars; `unknown price` as soon as one end is unknown."""
    return "unknown price" if low is None or high is None else f"{usd(low)} to {usd(high)}"


def size(number: int) -> str:
    """`812 B`, `3.4 KiB`, `1.2 MiB`."""
    if number < 1024:
        return f"{number} B"
    return f"{number / 1024:.1f} KiB" if number < 1 << 20 else f"{number / (1 << 20):.1f} MiB"


def slug(text: str) -> str:
    """`text` as a part of an element's id: letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", whole(text)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower() or "x"
