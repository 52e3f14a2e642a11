"""Finds a Chromium for the tests of the page, and installs Debian's where there is none and that can be done.

Without one those tests are skipped, and this says what to install; it never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ADVICE = "the tests of the page are skipped; install it (on Debian, as root: apt-get install chromium)"


def find() -> str | None:
    """The path of a browser that the tests can drive."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _run(*command: str, seconds: float) -> bool:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - the commands stand below
            command, capture_output=True, timeout=seconds, check=False, env=quiet, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _install() -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
    return _run(*install, seconds=240) or (_run("apt-get", "update", "-qq", seconds=90) and _run(*install, seconds=240))


def main() -> int:
    """Prints one line, in the form of `check_machine.py`."""
    path = find()
    if path is None and _install():
        path = find()
    print(f"ok   browser: {path}" if path else f"none browser: no Chromium was found: {ADVICE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
