"""Finding many words of many meanings in a text in one pass, whatever the length of the text.

Which words mean what is data in `catalog/*.toml`. A word ends in `*` where any ending will do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_TOKEN = re.compile(r"\w+")
_PLAIN = re.compile(r"\w+\*?")
_SPACELESS = re.compile("[\u0900-\u097f\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# What Arabic and Hebrew write in front of a word without a space: and, with, for, the.
_PREFIXES = (
    (re.compile("[\u0600-\u06ff]"), "(?:[\u0648\u0641]?[\u0628\u0643\u0644]?(?:\u0627?\u0644)?)"),
    (re.compile("[\u0590-\u05ff]"), "(?:[\u05d5\u05e9\u05d4\u05d1\u05dc\u05db\u05de]{0,3})"),
)
_LONGEST = 24
"""No stem is longer; the rest of a longer token is not looked at."""


class WordIndex:
    """Words by meaning. Scripts without spaces (or with marks inside words) match anywhere, others at borders."""

    def __init__(self, words: Mapping[str, Iterable[str]]) -> None:
        self.order = {key: place for place, key in enumerate(words)}
        self._whole: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        self._phrases: list[tuple[str, re.Pattern[str], str]] = []
        for key, listed in words.items():
            for word in map(_plain, listed):
                self._add(key, word)

    def _add(self, key: str, word: str) -> None:
        stem = word.removesuffix("*")
        if _SPACELESS.search(word):
            self._phrases.append((stem, re.compile(re.escape(stem)), key))
        elif prefix := next((before for letters, before in _PREFIXES if letters.search(word)), ""):
            self._phrases.append((stem, re.compile(rf"(?<!\w){prefix}{re.escape(stem)}\w*"), key))
        elif _PLAIN.fullmatch(word):
            (self._stems if word.endswith("*") else self._whole).setdefault(stem, []).append(key)
        else:
            end = r"\w*" if word.endswith("*") else r"(?!\w)"
            self._phrases.append((stem, re.compile(rf"(?<!\w){re.escape(stem)}{end}"), key))

    def find(self, text: str) -> list[str]:
        """The meanings that the text has, in the order in which they first occur in it."""
        lowered = _plain(text)
        first: dict[str, int] = {}
        places: dict[str, int] = {}
        for token in _TOKEN.finditer(lowered):
            places.setdefault(token[0], token.start())
        for word, place in places.items():
            for key in self._meanings(word):
                first.setdefault(key, place)
        for stem, pattern, key in self._phrases:
            # Most phrases are not there at all, and `in` says so far faster than a pattern.
            match = pattern.search(lowered) if stem in lowered else None
            if match is not None:
                first[key] = min(match.start(), first.get(key, match.start()))
        return sorted(first, key=lambda key: (first[key], self.order[key]))

    def _meanings(self, token: str) -> list[str]:
        found = list(self._whole.get(token, ()))
        for length in range(2, min(len(token), _LONGEST) + 1):
            found += self._stems.get(token[:length], ())
        return found


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
