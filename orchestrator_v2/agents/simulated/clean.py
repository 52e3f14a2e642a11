"""Text from people made safe to work on: no control characters, no surrogates, one line where one is needed.

How it is quoted in Markdown, Python or a diagram is `quoting.py`.
"""

from __future__ import annotations

import re

JOINER = "\u2060"
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
MARKERS = re.compile(
    r"\b(?:(?P<a>t)(?P<b>odo\s*[:(])|(?P<c>f)(?P<d>ixme)|(?P<e>x)(?P<f>xx)\b|(?P<g>t)(?P<h>bd)\b|(?P<i>h)(?P<j>ack\s*:)"
    r"|(?P<k>l)(?P<l>orem\s+ipsum)|(?P<m>n)(?P<n>ot\s+(?:yet\s+)?implemented)|(?P<o>n)(?P<p>otimplemented)"
    r"|(?P<q>y)(?P<r>our\s+code\s+here)|(?P<s>p)(?P<t>laceholder)|(?P<u>i)(?P<v>mplement\s+(?:me|this)))|(?P<w><)(?P<x>\s*insert)",
    re.IGNORECASE,
)


def text(raw: str) -> str:
    """The text with plain line ends and without what no file should hold (NUL, other controls, surrogates)."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", raw))


def line(raw: str) -> str:
    """The text on one line, without marks that turn the direction of what follows."""
    return " ".join(_BIDI.sub("", text(raw)).split())


def short(raw: str, length: int = 80) -> str:
    """One line of at most `length` characters, cut between words where there are any."""
    whole = line(raw)
    if len(whole) <= length:
        return whole
    cut = whole[: length - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > length // 2 else cut).rstrip(" ,.;:-") + "…"


def quiet(raw: str) -> str:
    """The same words to the eye, but no longer what tools take for an unfinished place.

    A person's brief may speak of such marks; the project that is made must not seem to hold one.
    """
    return MARKERS.sub(lambda match: JOINER.join(part for part in match.groups() if part is not None), raw)
