"""What words, strings and comments look like in the languages that projects are made of: tables of patterns.

Each pattern takes all that it has looked at, or looks no further than a bounded way: any text is read in linear time.
Colouring with them is `highlight.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

# (class of the style sheet, pattern); a class that is `word` is looked up among the language's words.
Rule = tuple[str, str]

_STRING = r"\"(?:[^\"\\\n]|\\[\s\S])*\"?|'(?:[^'\\\n]|\\[\s\S])*'?"
_TRIPLE = r"\"\"\"(?:[^\"\\]|\\[\s\S]|\"(?!\"\"))*(?:\"\"\")?|'''(?:[^'\\]|\\[\s\S]|'(?!''))*(?:''')?"
_BACKTICKED = r"`(?:[^`\\]|\\[\s\S])*`?"
_HASH, _SLASHES, _DASHES, _BLOCK = r"\#[^\n]*", r"//[^\n]*", r"--[^\n]*", r"/\*(?:[^*]|\*(?!/))*(?:\*/)?"
_NUMBER, _WORD = r"(?<![\w.])\d[\w.]*", r"[^\W\d]\w*"
_NAMED: tuple[Rule, ...] = (("nf", r"(?<=\bdef )\w+|(?<=\bfunction )\w+|(?<=\bfunc )\w+|(?<=\bfn )\w+"),
                            ("nc", r"(?<=\bclass )\w+|(?<=\bstruct )\w+|(?<=\binterface )\w+"))  # fmt: skip
_ENTRY = r"^[ \t]{0,80}(?:-[ \t])?[\w.$/]{1,80}(?=[ \t]{0,8}[:=])"
_TAIL: tuple[Rule, ...] = (("mi", _NUMBER), ("word", _WORD))


class Language(NamedTuple):
    """The rules in the order in which they are tried, and the words that mean something."""

    rules: tuple[Rule, ...]
    keywords: frozenset[str] = frozenset()
    builtins: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONSTANTS = "true false null none True False None undefined nil"
_C_WORDS = """abstract any as async await boolean break case catch char class const continue default delete do double
else enum export extends extern final finally float fn for from func function go if impl implements import in
instanceof int interface let long loop match mod module mut namespace new of package private protected pub public
range return self short static struct super switch template this throw throws trait try type typedef typeof union
unsafe unsigned use using var virtual void volatile where while with yield"""
_C_LIKE = Language(
    (("c1", f"{_SLASHES}|{_BLOCK}"), ("s", f"{_STRING}|{_BACKTICKED}"), *_NAMED, ("nd", r"@\w+"), *_TAIL),
    _words(_C_WORDS),
    _words(f"{_CONSTANTS} string number bool map len make append println console document window"),
)
_SETTINGS = Language(
    (("c1", rf"{_HASH}|^;[^\n]*"), ("s", f"{_TRIPLE}|{_STRING}"), ("nt", rf"^\[[^\]\n]{{0,200}}\]|{_ENTRY}"), *_TAIL),
    builtins=_words(f"{_CONSTANTS} yes no on off"),
)
_SHELL = Language(
    (("c1", r"(?<!\S)\#[^\n]*"), ("s", _STRING), ("nb", r"\$\{?\w{1,80}\}?|\$\(\w{1,80}\)"), ("nt", _ENTRY), *_TAIL),
    _words("case do done elif else esac export fi for function if in local return set then until while "
           "FROM RUN CMD COPY ADD ENV ARG WORKDIR ENTRYPOINT EXPOSE USER LABEL AS"),
)  # fmt: skip
_MARKUP = Language(
    (
        ("c1", r"<!--(?:[^-]|-(?!->))*(?:-->)?|<![^>\n]{0,400}>?|<\?[^>\n]{0,400}>?"),
        ("nt", r"</?[A-Za-z][\w:.-]{0,80}|/?>"),
        ("na", r"[A-Za-z_@:][\w:.-]{0,60}(?==)"),
        ("s", r"(?<==)\"[^\"]*\"?|(?<==)'[^']*'?"),
        ("mi", r"&\#?\w{1,30};"),
        ("word", _WORD),
    )
)
LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "python": Language(
            (
                ("c1", _HASH),
                ("s", rf"(?:\b[rbfuRBFU]{{1,2}})?(?:{_TRIPLE}|{_STRING})"),
                *_NAMED,
                ("nd", r"@[\w.]+"),
                *_TAIL,
            ),
            _words("""and as assert async await break case class continue def del elif else except finally for from
            global if import in is lambda match nonlocal not or pass raise return try while with yield"""),
            _words("""True False None self cls abs all any bool bytes dict enumerate float frozenset getattr int
            isinstance iter len list map max min next object open print property range repr reversed round set sorted
            staticmethod classmethod str sum super tuple type zip Exception ValueError TypeError KeyError"""),
        ),
        "json": Language(
            (("nt", r"\"(?:[^\"\\\n]|\\.){0,200}\"(?=[ \t]{0,8}:)"), ("s", _STRING), *_TAIL),
            builtins=_words(_CONSTANTS),
        ),
        "settings": _SETTINGS,
        "shell": _SHELL,
        "c": _C_LIKE,
        "sql": Language(
            (("c1", f"{_DASHES}|{_BLOCK}"), ("s", _STRING), *_TAIL),
            frozenset(
                word
                for text in ("""add all alter and as asc begin between by case check column commit constraint create
                default delete desc distinct drop else end exists foreign from group having if in index inner insert
                into is join key left like limit not null offset on or order outer primary references returning right
                rollback select set table then transaction trigger union unique update using values view when where
                with""",)
                for lower in text.split()
                for word in (lower, lower.upper())
            ),
            _words("integer INTEGER text TEXT blob BLOB real REAL varchar VARCHAR boolean BOOLEAN timestamp TIMESTAMP"),
        ),
        "css": Language(
            (("c1", _BLOCK), ("s", _STRING), ("k", r"@[\w-]{1,40}"), ("nt", r"--[\w-]{1,60}|[\w-]{1,40}(?=:)"),
             ("mi", r"\#[0-9a-fA-F]{3,8}\b|(?<![\w.])\d[\w.%]*"), ("word", _WORD)),
        ),
        "markup": _MARKUP,
        "markdown": Language(
            (("gh", r"^\#{1,6}[ \t][^\n]*"), ("s", r"```|`[^`\n]*`?"),
             ("k", r"^[ \t]{0,40}(?:[-*+]|\d{1,4}\.)(?=[ \t])"),
             ("gs", r"\*\*[^*\n]{1,400}\*\*"), ("nt", r"\[[^\]\n]{0,200}\]\([^)\n]{0,400}\)")),
        ),
    }
)  # fmt: skip


@cache
def pattern_of(name: str) -> re.Pattern[str]:
    """The rules of a language as one pattern; the group that matched is named after its class."""
    rules = LANGUAGES[name].rules
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in rules), re.MULTILINE)
