"""Tells whether `requirements.lock` was made from today's `pyproject.toml`, without a network.

The lock's first line carries a digest of the dependency tables; how the lock is made is `make lock`.

    python scripts/check_lock.py            exit code 1 and one line for each fault
    python scripts/check_lock.py --stamp    writes the digest into the lock's first line
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# made by `make lock`; dependency tables sha256:"
PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def digest(pyproject: str) -> str:
    """SHA-256 over what decides the lock: the Python version, dependencies, extras and groups."""
    data = tomllib.loads(pyproject)
    project = data["project"]
    names = ("requires-python", "dependencies", "optional-dependencies")
    tables = {name: project.get(name) for name in names} | {"groups": data.get("dependency-groups")}
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def faults(pyproject: str, lock: str) -> list[str]:
    """One sentence for each thing that is wrong with `lock`; empty when it may be installed."""
    first, *lines = lock.splitlines() or [""]
    found = []
    if first != HEADER + digest(pyproject):
        found.append("requirements.lock:1: not made from this pyproject.toml. Run `make lock`.")
    for number, line in enumerate(lines, start=2):
        if not (PIN.match(line) or HASH.match(line)):
            found.append(f"requirements.lock:{number}: neither a pinned name nor a hash: {line[:80]!r}")
    return found


def main(arguments: list[str]) -> int:
    pyproject, lock = ROOT / "pyproject.toml", ROOT / "requirements.lock"
    if "--stamp" in arguments:
        body = "".join(line for line in lock.read_text().splitlines(keepends=True) if not line.startswith("#"))
        lock.write_text(HEADER + digest(pyproject.read_text()) + "\n" + body)
    found = faults(pyproject.read_text(), lock.read_text())
    print("\n".join(found) or "requirements.lock is up to date")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
