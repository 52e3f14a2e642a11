"""Quoting of text that came from outside: blocks whose closing line the text itself cannot contain.

Which texts are quoted is `prompt_builder.py`; that quoted text is never an instruction is said in every system prompt.
"""

from __future__ import annotations

import hashlib
import json


def quote(tag: str, text: str, path: str = "") -> str:
    """`text`, as it is, between `<tag id=DIGEST>` lines; the digest is made from the text, so it repeats."""
    text = _unicode(text)
    boundary = _digest(text)
    while boundary in text:
        boundary = _digest(boundary + text)
    where = f" path={json.dumps(_unicode(path), ensure_ascii=False)}" if path else ""
    return f'<{tag}{where} id="{boundary}">\n{text}\n</{tag} id="{boundary}">'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _unicode(text: str) -> str:
    """`text` with lone surrogates as U+FFFD: no provider takes them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
