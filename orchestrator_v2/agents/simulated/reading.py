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
from orchestrator_v2.agents.simulated.verbatim import plain, said_in
from orchestrator_v2.agents.simulated.word_index import WordIndex
from orchestrator_v2.agents.templates import template_root

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_BULLET = re.compile(r"^\s*(?:[-*+•‣◦·–—]|\d{1,3}[.)、])\s+(?:\[[ xX]\]\s+)?(\S.*)$")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(\S.*?)\s*#*\s*$")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|[。！？；؟।]\s*")
_COMMAS = r"[,，、،:：]|\s[–—]\s"
_ASIDE = re.compile(r"(?:\s\(|（)([^()（）]*)[)）]")
_SECTIONS = ("excluded", "limits")
TITLE_LENGTH = 60


class Vocabulary(msgspec.Struct, frozen=True):
    """The words that shape a brief, and those that tell languages apart."""

    openers: tuple[str, ...]
    articles: tuple[str, ...]
    fillers: frozenset[str]
    generic: frozenset[str]
    collecting: frozenset[str]
    keeping: tuple[str, ...]
    actors: tuple[str, ...]
    connectors: tuple[str, ...]
    joiners: tuple[str, ...]
    wishes: tuple[str, ...]
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]
    limits: tuple[str, ...]
    refusals: tuple[str, ...]
    languages: dict[str, frozenset[str]]
    scripts: dict[str, str]
    letters: dict[str, str]


class Phrase(msgspec.Struct, frozen=True):
    """Some words of the brief. `asked` where they ask for something even if nobody knows what.

    `said` are the very words, marks and all; `source` says where they were said.
    """

    text: str
    bullet: bool = False
    asked: bool = False
    said: str = ""
    source: str = "the brief"


class Brief(msgspec.Struct, frozen=True):
    """A brief as it was read; `subject` is what the project is about, `context` what asks for nothing."""

    text: str
    title: str
    subject: str
    phrases: tuple[Phrase, ...]
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]
    language: str


class _Named(msgspec.Struct, frozen=True):
    """The title, the words that name the project in its first sentence, and what it is about."""

    title: str
    words: str
    subject: str


@cache
def vocabulary() -> Vocabulary:
    """Reads the shipped words once."""
    path = template_root() / "architect" / "simulated" / "catalog" / "languages.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Vocabulary)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    words = vocabulary()
    return {
        "opening": re.compile(rf"^(?:(?:{_any((*words.openers, *words.articles))})(?!\w)[\s,:]*)+", re.IGNORECASE),
        "connector": re.compile(rf"{_COMMAS}|{_between(words.connectors)}", re.IGNORECASE),
        "clause": re.compile(rf"{_COMMAS}|{_between((*words.connectors, *words.joiners))}", re.IGNORECASE),
        "keeping": re.compile(rf"^(?:{_any(words.keeping)})\s+(?:(?:{_any(words.articles)})\s+)?", re.IGNORECASE),
    }


@cache
def _tones() -> WordIndex:
    words = vocabulary()
    return WordIndex(
        {
            "wish": (*words.wishes, *words.keeping),
            "constraint": words.constraints,
            "excluded": words.excluded,
            "limits": words.limits,
        }
    )


def _any(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _between(words: tuple[str, ...]) -> str:
    return rf"\s(?:{_any(words)})\s"


def read_brief(raw: str) -> Brief:
    """Reads any text; never raises, and never returns an empty title."""
    text = clean.text(raw).strip()
    rows = [row for row in _FENCE.sub("\n", text + "\n").split("\n") if row.strip()] or text.split("\n")
    named = _name(rows)
    wanted, apart = _sections(rows)
    phrases = tuple(_phrases(wanted, named))
    limits = [one.said for one in phrases if "constraint" in _tones().find(one.text)]
    constraints = tuple(dict.fromkeys((*apart["limits"], *limits)))
    return Brief(text, named.title, named.subject, phrases, constraints, tuple(apart["excluded"]), _language(text))


def kept(words: str) -> str:
    """The words without "keeps", "tracks" and the like in front of them."""
    return _patterns()["keeping"].sub("", words, count=1)


def _name(rows: list[str]) -> _Named:
    heading = next((match[1] for row in rows[:5] if (match := _HEADING.match(row))), None)
    first = heading or next((row for row in rows if not _BULLET.match(row)), rows[0])
    whole = plain(_BULLET.sub(r"\1", first))
    sentence = _SENTENCE.split(whole)[0].strip().rstrip(".!?。")
    bare = _patterns()["opening"].sub("", sentence).strip() or sentence
    parts = [
        part.strip() for part in _patterns()["connector"].split(_ASIDE.sub(r", \1, ", bare)) if part and part.strip()
    ] or [bare]
    subject = parts[0]
    # "An app that keeps classes" is about classes.
    if len(parts) > 1 and subject.casefold() in vocabulary().generic and kept(parts[1]) != parts[1]:
        subject = next(part for part in _patterns()["clause"].split(f" {kept(parts[1])} ") if part.strip()).strip()
    title = clean.short(subject, TITLE_LENGTH) or "Project"
    return _Named(title[:1].upper() + title[1:], parts[0], subject)


def _sections(rows: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The rows that ask for something, and those below a heading for what is left out or limited."""
    wanted: list[str] = []
    apart: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    place = ""
    for row in rows:
        if _HEADING.match(row) or (row.rstrip().endswith(":") and not _BULLET.match(row)):
            tones = _tones().find(row)
            place = next((name for name in _SECTIONS if name in tones), "")
            if place:
                continue
        if place:
            apart[place].append(clean.line(_BULLET.sub(r"\1", row)))
        else:
            wanted.append(row)
    return wanted, apart


def _phrases(rows: list[str], named: _Named) -> Iterator[Phrase]:
    stretches = (said_in(row, named.subject) for row in rows)
    yield Phrase(named.subject, said=next(filter(None, stretches), named.subject))
    paragraph: list[str] = []
    for row in [*rows, ""]:
        bullet = _BULLET.match(row)
        if bullet is None and row and not _HEADING.match(row):
            paragraph.append(row)
            continue
        yield from _prose(" ".join(paragraph), named.words)
        paragraph = []
        if bullet and (words := plain(bullet[1])):
            yield Phrase(words, bullet=True, asked=True, said=clean.line(bullet[1]))
        elif row and (heading := _HEADING.match(row)):
            yield from _prose(heading[1], named.words)


def _prose(raw: str, name: str) -> Iterator[Phrase]:
    for sentence in _SENTENCE.split(plain(raw)):
        words = sentence.strip().rstrip(".!?")
        where = words.find(name)
        # What follows the name in the sentence that has it ("with A, B and C") is asked for, piece by piece.
        if where >= 0 and name:
            found = _clauses(words[where + len(name) :], asked=True)
        else:
            found = _clauses(words, asked=False) if words else iter(())
        yield from (msgspec.structs.replace(one, said=said_in(raw, one.text) or one.text) for one in found)


def _clauses(words: str, *, asked: bool) -> Iterator[Phrase]:
    parts = [
        part.strip(" .;-–—")
        for part in _patterns()["clause"].split(_ASIDE.sub(r", \1, ", f" {words} "))
        if part and part.strip(" .;-–—")
    ]
    if asked:
        yield from (Phrase(part, asked=True) for part in parts if any(sign.isalnum() for sign in part))
    elif parts:
        yield Phrase(words, asked="wish" in _tones().find(words))


def _language(text: str) -> str:
    letters = sum(sign.isalpha() for sign in text)
    for name, signs in vocabulary().scripts.items():
        if letters and len(re.findall(f"[{signs}]", text)) * 3 > letters:
            return name
    found = re.findall(r"[^\W\d_]+", text.lower()[:20_000])
    scores = {name: sum(word in words for word in found) for name, words in vocabulary().languages.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 1 else "not detected"
