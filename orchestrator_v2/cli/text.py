"""Texts for a terminal alone: lines kept and controls blanked, local times, paths as they are typed here.

What every reader is shown alike is `core/text.py`; what stands on a line about an event is `event_lines.py`.
"""

from __future__ import annotations

import time
from pathlib import Path

from orchestrator_v2.core.text import CONTROLS, HIDDEN

_BLOCK = dict.fromkeys([code for code in (*CONTROLS, *HIDDEN) if code not in {9, 10}], " ")


def block(text: str) -> str:
    """`text` with its lines kept and all other control characters blanked."""
    return text.translate(_BLOCK)


def moment(at: float | None) -> str:
    """An epoch time as local `2026-03-01 14:05:09`; empty for None."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def folder(path: str) -> str:
    """A path as short as it can be typed here: relative to the current directory where it is below it."""
    here = Path(path)
    try:
        return f"./{here.relative_to(Path.cwd())}"
    except (ValueError, OSError):
        return path
