"""Whose directory an output path is, and whether anything of a user's would be lost by writing there.

The writing itself is `git.py`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from orchestrator_v2.core.errors import GitError, OutputPathError
from orchestrator_v2.workspace.files import read_file
from orchestrator_v2.workspace.git_process import require_git, run_git

BUILDING = ".git.orchestrator"
NEXT = "refs/orchestrator/next"
LAID = "refs/orchestrator/laid"
UNFINISHED = "refs/orchestrator/unfinished-"
_MAIN = "refs/heads/main"
_LARGEST = 64 << 20


def _refuse(out: Path, why: str, do: str = "Choose another --out.") -> NoReturn:
    raise OutputPathError(f"'{out}' cannot hold the project.", why, do)


def blob_id(content: bytes) -> str:
    """The id that git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


async def check_out_path(out: Path, owner_mark: str | None) -> None:
    """Raises `OutputPathError` unless `out` can be made, is empty, or is the unspoilt repository of `owner_mark`.

    Leaves nothing behind. With `owner_mark` None, the run has no repository yet and any content is refused.
    Raises `GitError` when there is no git to lay it out with.
    """
    require_git()
    try:
        _refuse_git_folder(out)
        entries = _entries(out)
        _check_writable(out)
    except (OSError, ValueError) as error:
        _refuse(out, f"{getattr(error, 'strerror', None) or error}.")
    if entries <= {BUILDING}:
        return
    await _check_ours(out, owner_mark)
    await known_files(out, out / ".git", {})


def is_laid_out(out: Path) -> bool:
    """Whether `out` is a repository in which the last laying-out came to its end; reads two small files."""
    if not (out / ".git").is_dir():
        return False
    begun, done = (_named(out / ".git" / name) for name in (NEXT, LAID))
    return begun == done


def _named(ref: Path) -> str:
    """The commit that a ref's file names; empty where `git pack-refs` has put it away, which it does with both."""
    try:
        return ref.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _refuse_git_folder(out: Path) -> None:
    """A project in a repository's own `.git` would break that repository."""
    for place in (out, out.resolve()):
        if any(part.casefold() == ".git" for part in place.parts):
            _refuse(out, "It lies in the .git folder of a repository.")


def _entries(out: Path) -> set[str]:
    """The names in `out`, none where it does not exist."""
    if "\0" in str(out):
        _refuse(out, "A name in it holds a null byte.")
    if not out.exists():
        if out.is_symlink():
            _refuse(out, "It is a link to nothing.")
        return set()
    if not out.is_dir():
        _refuse(out, "It is a file, not a directory.")
    return {entry.name for entry in out.iterdir()}


def _check_writable(out: Path) -> None:
    """Really makes and removes a directory in the nearest one that exists: permission bits do not bind root."""
    nearest = out
    while not nearest.exists():
        if nearest.parent == nearest:
            return
        nearest = nearest.parent
    if not nearest.is_dir():
        _refuse(out, f"'{nearest}' is a file, not a directory.")
    Path(tempfile.mkdtemp(prefix=".orchestrator-check-", dir=nearest)).rmdir()
    for part in out.relative_to(nearest).parts:
        if len(os.fsencode(part)) > 255:
            _refuse(out, "A name in it is longer than 255 bytes.")


async def _check_ours(out: Path, owner_mark: str | None) -> None:
    repository = out / ".git"
    if repository.is_symlink() or not (repository / "config").is_file():
        _refuse(out, "It is not empty.", "Choose another --out, or empty it.")
    try:
        arguments = ("config", "--file", str(repository / "config"), "--no-includes", "--get", "orchestrator.run")
        mark = (await run_git(repository, *arguments)).decode("utf-8", "replace").rstrip("\n")
    except GitError as error:
        if "exit code 1." not in error.what:
            raise
        mark = ""
    if not mark:
        _refuse(out, "It holds a git repository that this program did not make.")
    if mark != owner_mark:
        _refuse(out, f"It holds the project of another run ({mark}).")


async def known_files(out: Path, repository: Path, target: Mapping[str, str]) -> dict[str, str]:
    """The blob id of each file that we ever laid out, or that `target` (path to id) would overwrite; absent: "".

    Raises `OutputPathError` when one of them, or a commit on `main`, is not of our making: a file counts as ours
    when its content is what we laid out, or are about to. Files that we never wrote are nobody's business.
    """
    refs = await our_refs(repository)
    ours = {commit for name, commit in refs.items() if name != _MAIN}
    if refs.get(_MAIN) not in {None, *ours}:
        _refuse(
            out,
            "There are commits on 'main' that this program did not make; they would be lost.",
            "Choose another --out, or keep them with 'git branch mine' and undo them with"
            f" 'git update-ref refs/heads/main {LAID}'.",
        )
    head = (repository / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
    if head != "ref: refs/heads/main":
        _refuse(out, f"Another branch is checked out ({head}).", "Choose another --out, or 'git checkout main'.")
    allowed: dict[str, set[str]] = {path: {blob} for path, blob in target.items()}
    for commit in ours:
        for path, blob in (await _listing(repository, commit)).items():
            allowed.setdefault(path, set()).add(blob)
    found, spoilt = _compare(out, allowed)
    if spoilt:
        shown = ", ".join(f"'{path}'" for path in spoilt[:5]) + (", …" if len(spoilt) > 5 else "")
        _refuse(
            out,
            f"Files were changed by hand there and would be lost: {shown}.",
            "Choose another --out, or keep the changes elsewhere and 'git checkout .' there.",
        )
    return found


async def our_refs(repository: Path) -> dict[str, str]:
    """The commits of `main` and of the names under `refs/orchestrator/`, which only this program writes."""
    lines = await run_git(repository, "for-each-ref", "--format=%(refname) %(objectname)", _MAIN, "refs/orchestrator/")
    return dict(line.split(" ", 1) for line in lines.decode().splitlines())


async def _listing(repository: Path, commit: str) -> dict[str, str]:
    raw = (await run_git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)).decode("utf-8", "surrogateescape")
    entries = (entry.split("\t", 1) for entry in raw.split("\0") if entry)
    return {path: meta.split(" ")[2] for meta, path in entries}


def _compare(out: Path, allowed: Mapping[str, set[str]]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    spoilt = []
    for path, blobs in sorted(allowed.items()):
        content = read_file(out, path, limit=_LARGEST)
        found[path] = "" if content is None else blob_id(content)
        if content is None:
            if os.path.lexists(out / path):
                spoilt.append(path)
            continue
        # What a power cut leaves of a file is blank (empty, or zeros), and a blank file is no work to lose.
        if found[path] not in blobs and content.strip(b"\0"):
            spoilt.append(path)
    return found, spoilt
