"""A file of a run as a page: rendered, coloured or plain, with its versions; or what keeps it from being shown.

What the bytes may do to a reader is held off here: too large is cut, binary is named, hidden characters are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from orchestrator_v2.api.web import highlight, links, markdown
from orchestrator_v2.api.web.diff import Compared, Row, Side, compare, unified
from orchestrator_v2.api.web.text import has_hidden, size, visible
from orchestrator_v2.api.web.versions import Version
from orchestrator_v2.core.text import one_line

# Characters of a text that are shown on a page.
SHOWN = 256 * 1024
# A file up to this size may be edited in the page (bytes).
EDITABLE = 200 * 1024


class Body(msgspec.Struct, frozen=True):
    """What is shown of a content. `kind` is markdown, code, empty or binary; `note` says what is not shown, and why.

    `html` is the rendered document, `lines` are the numbered lines of everything else; `source` of both.
    """

    kind: str
    html: Markup = Markup()
    lines: tuple[Markup, ...] = ()
    note: str = ""


class VersionLink(msgspec.Struct, frozen=True):
    number: int
    words: str
    at: float
    link: str
    diff: str
    is_this: bool
    size: str
    made: str


class Edit(msgspec.Struct, frozen=True):
    """A text field for a file; `seen` is the hash of what is in it, `why_not` says why there is none."""

    path: str
    seen: str
    text: str
    why_not: str = ""


class FilePage(msgspec.Struct, frozen=True):
    run_id: str
    run_name: str
    path: str
    body: Body
    phase: str
    made: str
    size: str
    hash: str
    version: int
    versions: tuple[VersionLink, ...]
    raw: str
    edit: Edit | None = None


class DiffPage(msgspec.Struct, frozen=True):
    """`lines` are for the unified view, `rows` for the one side by side."""

    run_id: str
    run_name: str
    path: str
    old: VersionLink
    new: VersionLink
    versions: tuple[VersionLink, ...]
    compared: Compared
    lines: tuple[tuple[str, Side | None, Side | None, int], ...]
    rows: tuple[Row, ...]
    is_split: bool
    other_view: str


def body_of(content: bytes, path: str, *, run_id: str = "") -> Body:
    """The content as it can be shown."""
    if not content:
        return Body("empty", note="This file is empty.")
    text = text_of(content)
    if text is None:
        return Body("binary", note=f"This file is binary ({size(len(content))}). Download it to look at it.")
    note = ""
    if len(text) > SHOWN:
        text = text[:SHOWN].rpartition("\n")[0] or text[:SHOWN]
        note = f"The file has {size(len(content))}; only its beginning is shown. Download it to read all."
    lines = highlight.numbered(text, highlight.language_of(path))
    if not path.lower().endswith((".md", ".markdown")):
        return Body("code", lines=lines, note=note)
    if len(text) > markdown.LONGEST:
        return Body("code", lines=lines, note=note or "Too long to be rendered; this is its source.")
    return Body("markdown", html=markdown.rendered(text, run_id=run_id, path=path), lines=lines, note=note)


def text_of(content: bytes) -> str | None:
    """The content as text; None where it is none."""
    if b"\x00" in content[:8192]:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def edit_of(content: bytes, path: str, seen: str) -> Edit:
    """A text field that gives the content back as it is, or why there can be none."""
    why = ""
    text = text_of(content)
    if len(content) > EDITABLE:
        why = f"It has {size(len(content))}, too much to edit here."
    elif text is None or text.encode() != content:
        why = "It is not plain UTF-8 text."
    elif has_hidden(text) or ("\r\n" in text and "\n" in text.replace("\r\n", "")):
        why = "It holds characters or line ends that a text field would not keep."
    return Edit(path, seen, "" if why else (text or ""), why)


def edited(submitted: str, before: bytes) -> bytes:
    """What a text field sent, with the line ends that the file had: a browser sends CRLF for each."""
    text = submitted.replace("\r\n", "\n").replace("\r", "\n")
    if b"\r\n" in before:
        text = text.replace("\n", "\r\n")
    return text.encode("utf-8", "replace")


def file_page(
    run_id: str,
    run_name: str,
    path: str,
    content: bytes,
    versions: Sequence[Version],
    *,
    number: int,
    editable: bool,
) -> FilePage:
    """The page of version `number` (from 1) of a file; only the newest version can be edited."""
    this = versions[number - 1]
    newest = number == len(versions)
    return FilePage(
        run_id=run_id,
        run_name=one_line(run_name, 120),
        path=path,
        body=body_of(content, path, run_id=run_id),
        phase=this.phase,
        made=one_line(str(this.artifact.provenance), 120),
        size=size(this.artifact.size),
        hash=this.artifact.hash,
        version=number,
        versions=version_links(run_id, path, versions, number),
        raw=links.raw(run_id, path, None if newest else number),
        edit=edit_of(content, path, this.artifact.hash) if editable and newest else None,
    )


def diff_page(
    run_id: str,
    run_name: str,
    path: str,
    versions: Sequence[Version],
    contents: tuple[bytes, bytes],
    *,
    old: int,
    new: int,
    view: str,
) -> DiffPage:
    """Versions `old` and `new` (from 1) of a file, with their `contents`; `view` is unified or split."""
    known = version_links(run_id, path, versions, new)
    texts = text_of(contents[0]), text_of(contents[1])
    if texts[0] is None or texts[1] is None:
        compared = Compared((), note="One of the two is binary. Download both to compare them.")
    else:
        compared = compare(texts[0], texts[1])
    split = view == "split"
    return DiffPage(
        run_id=run_id,
        run_name=one_line(run_name, 120),
        path=path,
        old=known[old - 1],
        new=known[new - 1],
        versions=known,
        compared=compared,
        lines=() if split else tuple(unified(compared.rows)),
        rows=compared.rows if split else (),
        is_split=split,
        other_view=links.diff(run_id, path, old, new, "unified" if split else "split"),
    )


def version_links(run_id: str, path: str, versions: Sequence[Version], number: int) -> tuple[VersionLink, ...]:
    return tuple(
        VersionLink(
            number=version.number,
            words=f"{version.phase}, round {version.round}",
            at=version.at,
            link=links.file(run_id, path, None if version.number == len(versions) else version.number),
            diff=links.diff(run_id, path, version.number - 1, version.number) if version.number > 1 else "",
            is_this=version.number == number,
            size=size(version.artifact.size),
            made=one_line(str(version.artifact.provenance), 120),
        )
        for version in versions
    )


def shown_path(path: str) -> str:
    """A path as text, hidden characters seen."""
    return visible(path).replace("\n", "⟦U+000A⟧")
