"""Running the git binary with nothing of the user's or the system's configuration, hooks or prompts in its way.

What is asked of it is `git.py`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator_v2.core.errors import GitError
from orchestrator_v2.core.secrets import redact

_TIMEOUT = 120.0
_SHOWN = 2000
_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "core.attributesFile=/dev/null",
    "safe.directory=*", "gc.auto=0", "commit.gpgSign=false", "fastimport.unpackLimit=0",
)  # fmt: skip
_FIXED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
}


def require_git() -> None:
    """Raises `GitError` when there is no git to start."""
    if shutil.which("git") is None:
        raise _missing()


def _missing() -> GitError:
    return GitError(
        "git could not be started.",
        "There is no 'git' program on PATH.",
        "Install git (for example 'apt install git' or 'brew install git'), then try again.",
    )


async def run_git(
    repository: Path,
    *arguments: str,
    tree: Path | None = None,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
) -> bytes:
    """The standard output of `git --git-dir=repository arguments`; `tree` is the work tree where one is needed.

    Raises `GitError` when git is missing, says no, or takes more than two minutes; the child is always reaped.
    """
    command = ["git", f"--git-dir={repository}", *([f"--work-tree={tree}"] if tree else [])]
    for setting in _SETTINGS:
        command += ["-c", setting]
    full = {"PATH": os.environ.get("PATH", os.defpath), **_FIXED, **(environ or {})}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=full,
            cwd=tree or repository,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _missing() from error
    return await _answer(process, arguments, stdin)


async def _answer(process: asyncio.subprocess.Process, arguments: Sequence[str], stdin: bytes) -> bytes:
    try:
        out, said = await asyncio.wait_for(process.communicate(stdin), _TIMEOUT)
    except TimeoutError as error:
        raise GitError(
            f"git {arguments[0]} did not end.", "It took more than two minutes.", "Look at the disk."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = redact(said.decode("utf-8", "replace"))[-_SHOWN:].strip()
        raise GitError(
            f"git {arguments[0]} failed with exit code {process.returncode}.",
            words or "It gave no reason.",
            "Repair what it names, then try again.",
        )
    return out
