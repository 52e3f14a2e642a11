"""Relative links and images of Markdown files, and whether what they point to is there.

Links to other machines are not followed. Other checks of text are in `text_checks.py`.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from orchestrator_v2.workspace.findings import Files, Finding, split_markdown, text_of
from orchestrator_v2.workspace.text_checks import counted

# Lengths are bounded because the text is foreign: a search must not take the square of its length.
_LINK = re.compile(
    r"(?<!\\)\]\(\s{0,9}(?:<([^>\n]{0,1000})>|([^()\s]{0,1000}(?:\([^()\s]{0,200}\)[^()\s]{0,200}){0,3}))(?:\s{1,9}[\"'(][^\n]{0,300}?)?\s?\)"
)
_REFERENCE = re.compile(r"^ {0,3}\[(?!\^)[^\]\n]+\]:\s*<?([^\s>]+)>?")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_ANCHOR = re.compile(r"<[a-z][^>]*\s(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_MARKDOWN = (".md", ".markdown")


def _slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[:500]).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def _anchors(text: str) -> set[str]:
    found: set[str] = set()
    counts: dict[str, int] = {}
    # Inline code is part of a heading's anchor, so the lines are taken whole; fenced lines are not headings.
    prose = {number for number, _ in split_markdown(text)[0]}
    for number, line in enumerate(text.splitlines(), 1):
        if number not in prose:
            continue
        found.update(_ANCHOR.findall(line))
        if heading := _HEADING.match(line):
            slug = _slug(heading[1])
            seen = counts.get(slug, 0)
            counts[slug] = seen + 1
            found.add(f"{slug}-{seen}" if seen else slug)
    return found


def _targets(text: str) -> list[tuple[int, str]]:
    found = []
    for number, line in split_markdown(text)[0]:
        found += [(number, angled or bare) for angled, bare in _LINK.findall(line)]
        if reference := _REFERENCE.match(line):
            found.append((number, reference[1]))
    return [(number, target) for number, target in found if not _ELSEWHERE.match(target)]


def _fault(path: str, target: str, everything: Files, directories: set[str]) -> str:
    place, _, anchor = target.partition("#")
    place = unquote(place.partition("?")[0])
    if place.startswith("/"):
        return "is absolute; write it relative to the file"
    full = posixpath.normpath(posixpath.join(posixpath.dirname(path), place)) if place else path
    if full == ".." or full.startswith("../"):
        return "leaves the project"
    if full not in everything:
        return "" if full in directories else "points to nothing"
    if anchor and full.endswith(_MARKDOWN) and unquote(anchor).lower() not in _anchors(text_of(everything[full])):
        return f"names a heading that '{full}' does not have"
    return ""


def links(files: Files, context: Files) -> Finding:
    """Each relative link in the Markdown files resolves within the project, to a heading where it names one."""
    everything = {**context, **files}
    directories = {"."}
    for path in everything:
        while path := posixpath.dirname(path):
            directories.add(path)
    problems, count = [], 0
    for path, content in sorted(files.items()):
        if not path.endswith(_MARKDOWN):
            continue
        for line, target in _targets(text_of(content)):
            count += 1
            fault = _fault(path, target, everything, directories)
            problems += [f"{path}:{line}: the link '{target[:120]}' {fault}."] if fault else []
    return Finding(tuple(problems), counted(count, "relative link resolves", "relative links resolve"))
