"""How many tokens a text may be, without asking anyone; only to reserve budget and to check the window.

What was really used is what the provider reports, judged in `meter.py`.
"""

from __future__ import annotations

import math

NEWER_CLAUDE = 1.3
_MARGIN = 1.15
_JSON = 1.6


def estimate_tokens(text: str, *, tokenizer: float = NEWER_CLAUDE) -> int:
    """An upper guess: UTF-8 bytes / 4 with 15 % on top, times 1.6 for JSON, times the tokenizer's own factor.

    Bytes of other scripts count double: there a token is nearer to one character than to four bytes.
    """
    total = len(text.encode("utf-8", "surrogatepass"))
    foreign = 0 if text.isascii() else total - sum(map(str.isascii, text))
    weight = (total + foreign) / 4
    shape = _JSON if text.lstrip()[:1] in ("{", "[") else 1.0
    return math.ceil(weight * _MARGIN * shape * tokenizer)
