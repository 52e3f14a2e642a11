"""Which prompts need the present, and what of them to type into a search engine; pure functions.

A wrong no costs an answer from memory, a wrong yes one search. The words by language are `present_words.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestrator_v2.llm.search.present_words import ALWAYS, ALWAYS_ANYWHERE, ASKED, ASKED_ANYWHERE, ASKING_ANYWHERE

QUERY_CAP = 300
# Years to come that people ask about; beyond that a number is more likely a size (2048).
_YEARS_AHEAD = 5

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:\.(?=\S)[^.!?。！？\n]*)*[.!?。！？\n]?")
# Not a part of a longer number, a path, a version or a name such as CVE-2026-1234, and not a count of something.
_YEAR = re.compile(
    r"(?:(?<![\w.:/+-])|(?<!\d)\d{1,2}[./]\d{1,2}[./])(20\d\d)"
    r"(?!\d|\.\d|:\d|[ -]?(?:px|bits?|bytes?|[kKmMgG]i?[bB]|ms|rows?|lines?|users|requests)\b)"
)


def _words(languages: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    parts = "|".join(part for parts in languages.values() for part in parts)
    return re.compile(rf"(?<!\w)(?:{parts})(?!\w)", re.IGNORECASE)


_ALWAYS = (_words(ALWAYS), re.compile("|".join(ALWAYS_ANYWHERE.values())))
_ASKED = (_words(ASKED), re.compile("|".join(ASKED_ANYWHERE.values())))
_ASKING = re.compile(rf"[?？؟]|{ASKING_ANYWHERE}")


def needs_present(text: str, year: int) -> bool:
    """Whether a good answer to `text` needs to know of today; `year` is the present one."""
    return any(_is_of_now(sentence) or _names_a_year(sentence, year) for sentence in _sentences(text))


def search_query(text: str) -> str:
    """What to search for: the sentences that speak of now, else the first question, else the beginning."""
    sentences = _sentences(text)
    wanted = [each for each in sentences if _is_of_now(each)]
    asked = wanted or [each for each in sentences if _ASKING.search(each)][:1] or sentences
    return " ".join(asked)[:QUERY_CAP].strip()


def _is_of_now(sentence: str) -> bool:
    if any(words.search(sentence) for words in _ALWAYS):
        return True
    return bool(_ASKING.search(sentence)) and any(words.search(sentence) for words in _ASKED)


def _names_a_year(sentence: str, year: int) -> bool:
    return any(year <= int(found) <= year + _YEARS_AHEAD for found in _YEAR.findall(sentence))


def _sentences(text: str) -> list[str]:
    plain = _CODE.sub(" ", text)
    return [" ".join(found.split()) for found in _SENTENCE.findall(plain) if found.strip()]
