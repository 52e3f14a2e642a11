"""Glob patterns over artifact paths: `*` within a name, `**` across folders.

Which paths are safe to write at all is `workspace/names.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANING = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_MEANING.get(part) or re.escape(part) for part in _PARTS.findall(pattern)))


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern fits the whole path."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)
