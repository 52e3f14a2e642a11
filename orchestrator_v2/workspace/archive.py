"""A project as one file to take away: a zip of its files, or a git bundle of its commits.

How a project is laid out as a folder is `git.py`. Both are the same bytes for the same project.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator_v2.core.errors import WorkspaceError
from orchestrator_v2.workspace.git import Commit, lay_out
from orchestrator_v2.workspace.git_process import run_git
from orchestrator_v2.workspace.names import safe_path

# The earliest moment that a zip can name; ours says nothing about when it was made.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16


async def pack_zip(folder: str, commits: Sequence[tuple[str, Mapping[str, bytes]]]) -> bytes:
    """A zip that unpacks into `folder`. Raises `UnsafePathError` for a name that would leave it."""
    files = {safe_path(path): content for path, content in _final(commits).items()}
    return await asyncio.to_thread(_zipped, folder, files)


async def pack_bundle(commits: Sequence[tuple[str, Mapping[str, bytes]]], mark: str) -> bytes:
    """A git bundle: `git clone project.bundle`. Raises `WorkspaceError` while there is nothing to pack."""
    if not _final(commits):
        raise WorkspaceError("There is nothing to pack yet.", "No phase has made a file.", "Wait for the first one.")
    with tempfile.TemporaryDirectory(prefix="orchestrator-bundle-") as root:
        out, bundle = Path(root) / "project", Path(root) / "project.bundle"
        await lay_out(out, [Commit(message, dict(files)) for message, files in commits], owner_mark=mark)
        await run_git(out / ".git", "bundle", "create", "--quiet", str(bundle), "main", "HEAD")
        return await asyncio.to_thread(bundle.read_bytes)


def _final(commits: Sequence[tuple[str, Mapping[str, bytes]]]) -> dict[str, bytes]:
    return {path: content for _, files in commits for path, content in files.items()}


def _zipped(folder: str, files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{path}", date_time=_NO_TIME)
            entry.external_attr, entry.compress_type = _PLAIN_FILE, zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[path])
    return out.getvalue()
