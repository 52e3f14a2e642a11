"""Which paths a phase may write, and why a path is refused.

Writing files safely is `workspace/files.py`; this is the earlier look that gives a model the chance to correct itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from orchestrator_v2.engine.patterns import matches

_UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]')

_JOINERS = frozenset("\u200c\u200d")  # parts of ordinary words in Indic scripts, and of emoji


def clean_path(path: str) -> str:
    """The path in NFC, without leading `./` and without bidi controls and other invisible marks."""
    path = unicodedata.normalize("NFC", path.strip())
    return "".join(char for char in path if char in _JOINERS or unicodedata.category(char) != "Cf").removeprefix("./")


def path_problem(path: str, outputs: Sequence[str], taken: Collection[str]) -> str:
    """Why the path may not be written, as a sentence; empty when it may.

    It must be safe, fit one of `outputs` where there are any, and be none of `taken`, the other phases' files.
    """
    parts = path.split("/")
    if _UNSAFE.search(path) or any(part in {"", ".", ".."} for part in parts):
        return f"{path!r} is not a plain relative path"
    if outputs and not matches(path, outputs):
        return f"{path!r} is not among the paths this phase may write ({', '.join(outputs)})"
    if path in taken:
        return f"{path!r} belongs to another phase"
    return ""
