"""Words without their Markdown, and back: the very stretch of a text that such words were taken from.

Cutting a brief into phrases is `reading.py`.
"""

from __future__ import annotations

import re

from orchestrator_v2.agents.simulated import clean

# Underscores and backticks that belong to code (`a.__class__`, `__import__('os')`) are no emphasis.
_EMPHASIS = re.compile(r"(?<![\w.'\"])(\*{1,3}|_{1,3}|`{1,3})(\S(?:[^*_`]*[^*_`\s])?)\1(?![\w('\"])")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = r"(?:[*_`!\[\]]|\]\([^)\n]{0,500}\)){0,4}"
LONGEST = 400
"""Longer words are not looked for mark by mark."""


def plain(text: str) -> str:
    """The text on one line, links as their words, without marks of emphasis."""
    return clean.line(_EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text)))


def said_in(raw: str, words: str) -> str:
    """The stretch of `raw` that `plain` made `words` of, marks and all; empty where there is none."""
    text = clean.line(raw)
    if words in text:
        return _with_marks(text, text.index(words), text.index(words) + len(words))
    if len(words) > LONGEST:
        return ""
    match = re.search(_MARKS.join(re.escape(sign) for sign in words), text)
    return _with_marks(text, match.start(), match.end()) if match else ""


def _with_marks(text: str, start: int, end: int) -> str:
    """The stretch with the marks that open right before it and close right behind it."""
    while start and end < len(text) and text[start - 1] in "*_`" and text[end] == text[start - 1]:
        start, end = start - 1, end + 1
    return text[start:end]
