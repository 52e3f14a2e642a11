"""Code as HTML with a class for each kind of word, line by line; the colours are in `static/style.css`.

The classes are the short ones that Pygments made common. Its lexers are not used: a model's text is hostile, and most
of them take time by the square of it (16 KB of blank lines held some for over four seconds). The patterns are
`languages.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from markupsafe import Markup, escape

from orchestrator_v2.api.web.languages import LANGUAGES, pattern_of
from orchestrator_v2.api.web.text import visible

# Past this code is not coloured (characters): a page of a hundred thousand spans is slow to make and to show.
LONGEST = 64 * 1024
_ENDINGS = {
    "python": "py pyi python pycon",
    "json": "json jsonc",
    "settings": "toml yaml yml ini cfg conf editorconfig",
    "shell": "sh bash shell console docker dockerfile make makefile mk",
    "c": "js mjs cjs ts tsx jsx javascript typescript go rs rust java c h cc cpp hpp cs kt swift php",
    "sql": "sql",
    "css": "css scss",
    "markup": "html htm xml svg vue",
    "markdown": "md markdown",
}
_BY_NAME: Mapping[str, str] = MappingProxyType(
    {ending: name for name, endings in _ENDINGS.items() for ending in endings.split()}
)
CLASSES = frozenset(kind for language in LANGUAGES.values() for kind, _ in language.rules if kind != "word") | {
    "k",
    "nb",
}


def language_of(path: str) -> str:
    """The language of a file, by its name; empty for text of no known one."""
    name = PurePosixPath(path)
    return _BY_NAME.get(name.suffix[1:].lower() or name.name.lower(), "")


def highlighted(code: str, language: str) -> Markup:
    """`code` as escaped HTML, coloured where the language is known; nothing around it."""
    return Markup("").join(_span(kind, text) for kind, text in _pieces(code, language))


def numbered(code: str, language: str) -> tuple[Markup, ...]:
    """The lines of `code`, coloured; what spans lines is closed and opened again at each end."""
    lines: list[list[Markup]] = [[]]
    for kind, text in _pieces(visible(code), language):
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append([])
            if part:
                lines[-1].append(_span(kind, part))
    if len(lines) > 1 and not lines[-1]:
        # The end of the last line is no line of its own.
        del lines[-1]
    return tuple(Markup("").join(line) for line in lines)


def _pieces(code: str, language: str) -> Iterator[tuple[str, str]]:
    """(class, text) in order, nothing left out; the class is empty for plain text."""
    name = _BY_NAME.get(language.strip().lower(), language)
    if name not in LANGUAGES or len(code) > LONGEST:
        yield "", code
        return
    at = 0
    for found in pattern_of(name).finditer(code):
        if found.start() > at:
            yield "", code[at : found.start()]
        at = found.end()
        yield _kind(found, name), found[0]
    yield "", code[at:]


def _kind(found: re.Match[str], name: str) -> str:
    kind = found.lastgroup or ""
    if kind != "word":
        return kind
    language = LANGUAGES[name]
    return "k" if found[0] in language.keywords else "nb" if found[0] in language.builtins else ""


def _span(kind: str, text: str) -> Markup:
    inside = escape(text)
    return Markup(f'<span class="{kind}">{inside}</span>') if kind else inside  # noqa: S704 (both are our own or escaped)
