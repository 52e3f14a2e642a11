"""Files written, read and removed below a directory handle, so that no planted link leads outside it.

Which names are allowed is `names.py`; the kernel call behind the handle is `beneath.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator_v2.core.errors import UnsafePathError, WorkspaceError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.workspace.beneath import DIRECTORY, open_beneath
from orchestrator_v2.workspace.names import check_collisions, safe_path

_CHUNK = 1 << 20


def _temp_name(name: str) -> str:
    """The same for the same file, so that what a killed writer left is overwritten by the next one."""
    return f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.orchestrator-tmp"


class TreeWriter:
    """Writes below one open directory; directory handles are kept while it is open."""

    def __init__(self, root: Path, *, durable: bool = True, probe: Probe = no_probe) -> None:
        self._durable = durable
        self._probe = probe
        self._root = os.open(root, DIRECTORY)
        self._directories: dict[str, int] = {"": self._root}

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._directories.values():
            os.close(handle)

    def _directory(self, path: str) -> int:
        if path not in self._directories:
            parent, _, name = path.rpartition("/")
            above = self._directory(parent)
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=above)
                if self._durable:
                    os.fsync(above)
            self._directories[path] = open_beneath(self._root, path, DIRECTORY)
        return self._directories[path]

    def write(self, path: str, content: bytes) -> None:
        """Puts `content` at `path` whole or not at all, mode 0644 without an exec bit."""
        parent, _, name = path.rpartition("/")
        directory, temp = self._directory(parent), _temp_name(name)
        with suppress(FileNotFoundError):
            os.unlink(temp, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temp, flags, 0o644, dir_fd=directory)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
            if self._durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        self._probe("artifact-temp-written")
        os.rename(temp, name, src_dir_fd=directory, dst_dir_fd=directory)
        self._probe("artifact-renamed")

    def sync(self) -> None:
        """Makes the new names durable; the contents are so already."""
        if self._durable:
            for handle in self._directories.values():
                os.fsync(handle)


def write_tree(root: Path, files: Mapping[str, bytes], *, durable: bool = True, probe: Probe = no_probe) -> None:
    """Writes `files` (path to content) below `root`, which is made when it is not there.

    With `durable=False` nothing is fsynced (throw-away trees). Raises `UnsafePathError` for a name or a planted
    link that would leave `root`, `WorkspaceError` when the disk says no; each file is whole or absent.
    """
    safe = {safe_path(path): content for path, content in files.items()}
    check_collisions(safe)
    path = ""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TreeWriter(root, durable=durable, probe=probe) as writer:
            for path, content in safe.items():
                writer.write(path, content)
            writer.sync()
    except OSError as error:
        raise WorkspaceError(
            f"'{path or root}' could not be written.", f"{error.strerror or error}.", "Free the path or choose another."
        ) from error


def _read_file(handle: int, limit: int) -> bytes | None:
    """The content of an open regular file, None for anything else; `limit` in bytes is never exceeded by two."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return None
    pieces, left = [], limit + 1
    while left > 0 and (piece := os.read(handle, min(_CHUNK, left))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def read_file(root: Path, path: str, *, limit: int) -> bytes | None:
    """One file below `root`; None when it is absent, no regular file, behind a link, or over `limit` bytes."""
    try:
        base = os.open(root, DIRECTORY)
    except OSError:
        return None
    try:
        # O_NONBLOCK: a planted FIFO must not hold us.
        handle = open_beneath(base, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, UnsafePathError):
        return None
    finally:
        os.close(base)
    try:
        content = _read_file(handle, limit)
    finally:
        os.close(handle)
    return content if content is not None and len(content) <= limit else None


def read_tree(root: Path, *, limit: int) -> dict[str, bytes]:
    """All regular files below `root` but `.git`, by path, in path order; links are left out.

    Raises `WorkspaceError` when they hold more than `limit` bytes together.
    """
    found: dict[str, bytes] = {}
    left = limit
    for folder, directories, names, handle in os.fwalk(root, follow_symlinks=False):
        directories[:] = sorted(set(directories) - {".git"})
        for name in names:
            try:
                opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
            except OSError:
                continue
            try:
                content = _read_file(opened, left)
            finally:
                os.close(opened)
            if content is None:
                continue
            left -= len(content)
            if left < 0:
                raise WorkspaceError(f"The tree at '{root}' is too large.", f"It holds more than {limit} bytes.")
            found[(Path(folder) / name).relative_to(root).as_posix()] = content
    return dict(sorted(found.items()))


def remove_files(root: Path, paths: Iterable[str]) -> None:
    """Removes files below `root`, what a killed writer left of them, and the directories that this empties.

    What is not there is no error.
    """
    base = os.open(root, DIRECTORY)
    try:
        for path in paths:
            _remove_file(base, safe_path(path))
    finally:
        os.close(base)


def _remove_file(base: int, path: str) -> None:
    target, keep_going = path, True
    while target and keep_going:
        parent, _, name = target.rpartition("/")
        try:
            directory = open_beneath(base, parent or ".", DIRECTORY)
        except FileNotFoundError:
            target = parent
            continue
        try:
            if target == path:
                with suppress(FileNotFoundError):
                    os.unlink(_temp_name(name), dir_fd=directory)
            (os.unlink if target == path else os.rmdir)(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        except OSError:
            keep_going = False  # a directory that still holds something stays
        finally:
            os.close(directory)
        target = parent


def remove_tree(root: Path) -> None:
    """Removes a throw-away tree however deep it is: nested directories are lifted up until none is left."""
    if not root.is_dir():
        return
    lifted = 0
    while waiting := _subdirectories(root):
        for directory in waiting:
            for child in _subdirectories(directory):
                lifted += 1
                child.chmod(0o700)  # a directory that changes its parent must be writable itself
                child.rename(root / f".lifted-{lifted}")
            shutil.rmtree(directory)
    shutil.rmtree(root, ignore_errors=True)


def _subdirectories(directory: Path) -> list[Path]:
    directory.chmod(0o700)
    with os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
