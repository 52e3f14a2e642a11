"""A brief read: its title, what it asks for phrase by phrase, its limits and its language.

What the phrases mean is `recognise.py`; nothing is left out here, a phrase that says nothing is kept as context.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache

import msgspec

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.word_index import WordIndex
from orchestrator_v2.agents.templates import template_root

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_BULLET = re.compile(r"^\s*(?:[-*+•‣◦·–—]|\d{1,3}[.)、])\s+(?:\[[ xX]\]\s+)?(\S.*)$")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(\S.*?)\s*#*\s*$")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|[。！？；؟]\s*")
_EMPHASIS = re.compile(r"(?<!\w)([*_`]{1,3})(\S(?:[^*_`]*[^*_`\s])?)\1(?!\w)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_COMMAS = r"[,，、،:：]|\s[–—]\s|(?<=\w)\s*[()（）]"
TITLE_LENGTH = 60


class Vocabulary(msgspec.Struct, frozen=True):
    """The words that shape a brief, and those that tell languages apart."""

    openers: tuple[str, ...]
    articles: tuple[str, ...]
    fillers: frozenset[str]
    connectors: tuple[str, ...]
    joiners: tuple[str, ...]
    wishes: tuple[str, ...]
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]
    languages: dict[str, frozenset[str]]
    scripts: dict[str, str]
    letters: dict[str, str]


class Phrase(msgspec.Struct, frozen=True):
    """Some words of the brief. `asked` where they ask for something even if nobody knows what."""

    text: str
    bullet: bool = False
    asked: bool = False


class Brief(msgspec.Struct, frozen=True):
    """A brief as it was read; `subject` is what the title names, `context` what asks for nothing."""

    text: str
    title: str
    subject: str
    phrases: tuple[Phrase, ...]
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]
    language: str


@cache
def vocabulary() -> Vocabulary:
    """Reads the shipped words once."""
    path = template_root() / "architect" / "simulated" / "catalog" / "languages.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Vocabulary)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    words = vocabulary()
    opening = "|".join(re.escape(word) for word in sorted((*words.openers, *words.articles), key=len, reverse=True))
    return {
        "opening": re.compile(rf"^(?:(?:{opening})(?!\w)[\s,:]*)+", re.IGNORECASE),
        "connector": re.compile(rf"{_COMMAS}|{_between(words.connectors)}", re.IGNORECASE),
        "clause": re.compile(rf"{_COMMAS}|{_between((*words.connectors, *words.joiners))}", re.IGNORECASE),
    }


@cache
def _tones() -> WordIndex:
    words = vocabulary()
    return WordIndex({"wish": words.wishes, "constraint": words.constraints, "excluded": words.excluded})


def _between(words: tuple[str, ...]) -> str:
    return r"\s(?:" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + r")\s"


def read_brief(raw: str) -> Brief:
    """Reads any text; never raises, and never returns an empty title."""
    text = clean.text(raw).strip()
    rows = [row for row in _FENCE.sub("\n", text + "\n").split("\n") if row.strip()] or text.split("\n")
    title, subject = _title(rows)
    wanted, excluded = _split_excluded(rows)
    phrases = tuple(_phrases(wanted, subject))
    limits = (one.text for one in phrases if "constraint" in _tones().find(one.text))
    return Brief(text, title, subject, phrases, tuple(dict.fromkeys(limits)), excluded, _language(text))


def _title(rows: list[str]) -> tuple[str, str]:
    heading = next((match[1] for row in rows[:5] if (match := _HEADING.match(row))), None)
    first = heading or next((row for row in rows if not _BULLET.match(row)), rows[0])
    whole = _plain(_BULLET.sub(r"\1", first))
    sentence = _SENTENCE.split(whole)[0].strip().rstrip(".!?。")
    bare = _patterns()["opening"].sub("", sentence).strip() or sentence
    subject = next((part.strip() for part in _patterns()["connector"].split(bare) if part and part.strip()), bare)
    title = clean.short(subject, TITLE_LENGTH) or "Project"
    return title[:1].upper() + title[1:], subject


def _split_excluded(rows: list[str]) -> tuple[list[str], tuple[str, ...]]:
    wanted: list[str] = []
    excluded: list[str] = []
    outside = False
    for row in rows:
        if _HEADING.match(row) or row.rstrip().endswith(":"):
            outside = "excluded" in _tones().find(row)
            if outside:
                continue
        (excluded if outside else wanted).append(row)
    return wanted, tuple(_plain(_BULLET.sub(r"\1", row)) for row in excluded)


def _phrases(rows: list[str], subject: str) -> Iterator[Phrase]:
    yield Phrase(subject)
    paragraph: list[str] = []
    for row in [*rows, ""]:
        bullet = _BULLET.match(row)
        if bullet is None and row and not _HEADING.match(row):
            paragraph.append(row)
            continue
        yield from _prose(" ".join(paragraph), subject)
        paragraph = []
        if bullet and (words := _plain(bullet[1])):
            yield Phrase(words, bullet=True, asked=True)
        elif row and (heading := _HEADING.match(row)):
            yield from _prose(heading[1], subject)


def _prose(text: str, subject: str) -> Iterator[Phrase]:
    for sentence in _SENTENCE.split(_plain(text)):
        words = sentence.strip().rstrip(".!?")
        where = words.find(subject)
        # What follows the subject in the sentence that names it ("with A, B and C") is asked for, piece by piece.
        if where >= 0 and subject:
            yield from _clauses(words[where + len(subject) :], asked=True)
        elif words:
            yield from _clauses(words, asked=False)


def _clauses(words: str, *, asked: bool) -> Iterator[Phrase]:
    parts = [
        part.strip(" .;-–—") for part in _patterns()["clause"].split(f" {words} ") if part and part.strip(" .;-–—")
    ]
    if asked:
        yield from (Phrase(part, asked=True) for part in parts if any(sign.isalnum() for sign in part))
    elif parts:
        yield Phrase(words, asked="wish" in _tones().find(words))


def _plain(text: str) -> str:
    return clean.line(_EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text)))


def _language(text: str) -> str:
    letters = sum(sign.isalpha() for sign in text)
    for name, signs in vocabulary().scripts.items():
        if letters and len(re.findall(f"[{signs}]", text)) * 3 > letters:
            return name
    found = re.findall(r"[^\W\d_]+", text.lower()[:20_000])
    scores = {name: sum(word in words for word in found) for name, words in vocabulary().languages.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 1 else "not detected"
