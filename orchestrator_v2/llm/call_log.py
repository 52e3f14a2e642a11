"""The file of model calls: JSON lines, rotated by size, readable by its owner only.

What a record holds is `wrappers/logged.py`; which of the vendors' own loggers may speak is set by `telemetry`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

# At DEBUG these write prompts and headers: telemetry keeps them at WARNING.
VENDOR_LOGGERS = ("anthropic", "botocore", "httpx2", "httpcore2")
_OWNER_ONLY = 0o600


class CallLogFile:
    """A sink for `LoggedClient`: `path`, then `path.1` (the newest of the old) to `path.<keep>`."""

    def __init__(self, path: Path, *, max_bytes: int = 10 * 1024 * 1024, keep: int = 5) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def __call__(self, record: dict[str, Any]) -> None:
        line = msgspec.json.encode(record) + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._size() + len(line) > self._max_bytes:
            self._rotate()
        # One write of one line: processes that share the file do not tear each other's lines.
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ONLY)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")
