"""What a check found, and what checks share: reading files as text, and Markdown without its quotes and code.

The checks themselves are in `text_checks.py`, `placeholders.py`, `links.py` and `pytest_run.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

Files: TypeAlias = Mapping[str, bytes]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_INLINE_CODE = re.compile(r"(`+)(?!`)(.{1,500}?)(?<!`)\1(?!`)")


class Finding(msgspec.Struct, frozen=True):
    """Passed when there is no problem; `detail` is what a passing check says, the same for the same files."""

    problems: tuple[str, ...] = ()
    detail: str = ""


Check: TypeAlias = Callable[[Files, Files], Finding]


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def split_markdown(text: str) -> tuple[list[tuple[int, str]], str]:
    """The prose as (line number, line), and all that is quoted: fences, block quotes, inline code.

    What is quoted is somebody else's words, and claims nothing about the document.
    """
    prose: list[tuple[int, str]] = []
    quoted: list[str] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if fence:
            quoted.append(line)
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif line.lstrip().startswith(">"):
            quoted.append(line.lstrip("> "))
        else:
            quoted += [found[1] for found in _INLINE_CODE.findall(line)]
            prose.append((number, _INLINE_CODE.sub("", line)))
    return prose, "\n".join(quoted)
