"""A project laid out as a git repository, one commit for each phase; the same commits give the same ids anywhere.

How git is run is `git_process.py`; whose work a directory holds is `out_path.py`; how files land is `files.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from orchestrator_v2.core.errors import GitError, OutputPathError, WorkspaceError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.workspace.files import remove_files, write_tree
from orchestrator_v2.workspace.git_process import run_git
from orchestrator_v2.workspace.names import check_collisions, safe_path
from orchestrator_v2.workspace.out_path import (
    BUILDING,
    LAID,
    NEXT,
    UNFINISHED,
    blob_id,
    check_out_path,
    known_files,
    our_refs,
)

_WHO = "orchestrator_v2 <orchestrator@localhost>"
# Time would make two equal runs differ: 2026-01-01T00:00:00Z for the first commit, one second more for each next.
_EPOCH = 1_767_225_600


class Commit(msgspec.Struct, frozen=True):
    """One phase: the paths it changed with their whole content, and the paths that are gone since."""

    message: str
    files: dict[str, bytes]
    removed: tuple[str, ...] = ()


def _quoted(path: str) -> bytes:
    return b'"' + path.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def _checked(commits: Sequence[Commit]) -> list[Commit]:
    """The commits with normalised paths; raises `UnsafePathError` for a path or a tree that is not safe."""
    tree: set[str] = set()
    checked = []
    for commit in commits:
        files = {safe_path(path): content for path, content in commit.files.items()}
        removed = tuple(safe_path(path) for path in commit.removed)
        tree = (tree - set(removed)) | set(files)
        check_collisions(tree)
        checked.append(Commit(commit.message, files, tuple(path for path in removed if path not in files)))
    return checked


def _stream(commits: Sequence[Commit]) -> Iterator[bytes]:
    """The commits in the language of `git fast-import`; `done` tells it that nothing was cut off."""
    yield b"feature done\n"
    for number, commit in enumerate(commits, 1):
        message = commit.message.replace("\0", "").encode("utf-8", "replace")
        yield f"commit {NEXT}\nmark :{number}\ncommitter {_WHO} {_EPOCH + number} +0000\n".encode()
        yield b"data %d\n%s\n" % (len(message), message)
        if number > 1:
            yield b"from :%d\n" % (number - 1)
        for path in commit.removed:
            yield b"D %s\n" % _quoted(path)
        for path, content in sorted(commit.files.items()):
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (_quoted(path), len(content), content)
    yield b"done\n"


def _final(commits: Iterable[Commit]) -> dict[str, bytes]:
    tree: dict[str, bytes] = {}
    for commit in commits:
        for path in commit.removed:
            tree.pop(path, None)
        tree.update(commit.files)
    return tree


def _replace(path: Path, text: str) -> None:
    """Writes a small file of our own making whole or not at all, durably."""
    temp = path.with_name(f"{path.name}.orchestrator-tmp")
    with temp.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temp.replace(path)


def _begin_repository(out: Path, owner_mark: str) -> Path:
    """`out/.git` if it is there, else an empty repository under a name that is no repository yet."""
    if (out / ".git").is_dir():
        return out / ".git"
    repository = out / BUILDING
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/orchestrator", "info"):
        (repository / folder).mkdir(parents=True, exist_ok=True)
    mark = owner_mark.replace("\\", "\\\\").replace('"', '\\"')
    _replace(repository / "HEAD", "ref: refs/heads/main\n")
    _replace(
        repository / "config",
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
        f'[orchestrator]\n\trun = "{mark}"\n',
    )
    return repository


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    """Holds `out` against another lay-out; the kernel lets go when this process dies."""
    handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputPathError(
                f"'{out}' is being written by another process.", "Two cannot lay out one directory.", "Wait for it."
            ) from error
        yield
    finally:
        os.close(handle)


async def _index(repository: Path, out: Path, commit: str) -> None:
    """Makes the index fit `commit`, through a file of its own so that a killed git leaves no `index.lock`."""
    index = repository / "orchestrator-index"
    for stale in (index, index.with_name(f"{index.name}.lock")):
        stale.unlink(missing_ok=True)
    environ = {"GIT_INDEX_FILE": str(index)}
    await run_git(repository, "read-tree", commit, tree=out, environ=environ)
    await run_git(repository, "update-index", "-q", "--refresh", tree=out, environ=environ)
    index.replace(repository / "index")


async def lay_out(out: Path, commits: Sequence[Commit], *, owner_mark: str, probe: Probe = no_probe) -> str:
    """Makes `out` a repository whose branch `main` is exactly `commits`, checked out; brings back HEAD's tree id.

    Killed at any instant and run again, it ends the same; run twice, it changes nothing. `owner_mark` is kept as
    `orchestrator.run` in the repository's configuration. Raises `OutputPathError` when `out` cannot be written or
    holds somebody's work, `WorkspaceError` when its disk is full, `UnsafePathError` for a name, `GitError` when git
    says no.
    """
    if not commits:
        raise GitError("There is nothing to lay out.", "No phase has made anything.", "Run a phase first.")
    checked = _checked(commits)
    await check_out_path(out, owner_mark)
    try:
        out.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one system call
        with _only_one(out):
            return await _lay_out(out, checked, owner_mark, probe)
    except OSError as error:
        raise _unwritten(out, error) from error


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def _unwritten(out: Path, error: OSError) -> WorkspaceError | OutputPathError:
    """A full disk is no mistake of whoever named the folder."""
    why = f"{error.strerror or error}."
    if error.errno in _NO_ROOM:
        return WorkspaceError(f"There is no room to write the project to '{out}'.", why, "Make room there.")
    return OutputPathError(f"'{out}' could not be written.", why, "Choose another --out.")


async def _lay_out(out: Path, commits: Sequence[Commit], owner_mark: str, probe: Probe) -> str:
    target = _final(commits)
    repository = _begin_repository(out, owner_mark)
    known = await known_files(out, repository, {path: blob_id(content) for path, content in target.items()})
    for name in ("refs/heads/main", NEXT):
        (repository / f"{name}.lock").unlink(missing_ok=True)
    await _keep_unfinished(repository)
    await run_git(repository, "fast-import", "--quiet", "--force", "--done", stdin=b"".join(_stream(commits)))
    commit, tree = (await run_git(repository, "rev-parse", NEXT, f"{NEXT}^{{tree}}")).decode().split()
    # From here on the repository names what is being laid out, so a kill below is told from a user's edit.
    _replace(repository / "refs/heads/main", f"{commit}\n")
    if repository.name == BUILDING:
        repository = repository.rename(out / ".git")
    _write_work_tree(out, target, known, probe)
    await _index(repository, out, commit)
    _replace(repository / LAID, f"{commit}\n")
    for finished in (repository / UNFINISHED).parent.glob(f"{Path(UNFINISHED).name}*"):
        finished.unlink()
    return tree


async def _keep_unfinished(repository: Path) -> None:
    """Remembers what a killed lay-out was writing, whose files may lie about, before its name goes to the next."""
    refs = await our_refs(repository)
    if NEXT in refs and refs[NEXT] != refs.get(LAID):
        _replace(repository / f"{UNFINISHED}{refs[NEXT]}", f"{refs[NEXT]}\n")


def _write_work_tree(out: Path, target: Mapping[str, bytes], known: Mapping[str, str], probe: Probe) -> None:
    """Removes what is gone and writes what differs. Not fsynced: git holds it all, and a blank file is laid again."""
    try:
        remove_files(out, sorted(set(known) - set(target)))
        changed = {path: content for path, content in target.items() if known.get(path) != blob_id(content)}
        write_tree(out, changed, durable=False, probe=probe)
    except WorkspaceError as error:
        if isinstance(error.__cause__, OSError):
            raise _unwritten(out, error.__cause__) from error
        raise OutputPathError(f"'{out}' could not be written.", f"{error.what} {error.why}", error.do) from error
