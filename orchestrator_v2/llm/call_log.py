"""The file of model calls: JSON lines, rotated by size, readable by its owner only.

What a record holds is `wrappers/logged.py`; which of the vendors' own loggers may speak is set by `telemetry`.
"""

from __future__ import annotations

import contextvars
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

_OWNER_ONLY = 0o600
_logger = logging.getLogger(__name__)

# The row of the ledger that the present sending is, by its number; None where no ledger is kept. `wrappers/recorded.py`
# sets it, and each line of the log holds it.
ledger_row: contextvars.ContextVar[int | None] = contextvars.ContextVar("ledger_row", default=None)


@contextmanager
def of_row(number: int) -> Iterator[None]:
    """What is sent meanwhile is that row of the ledger."""
    token = ledger_row.set(number)
    try:
        yield
    finally:
        ledger_row.reset(token)


class CallLogFile:
    """A sink for `LoggedClient`: `path`, then `path.1` (the newest of the old) to `path.<keep>`.

    A line that cannot be written is a warning: the answer that it tells of was paid for and must not be lost with it.
    """

    def __init__(self, path: Path, *, max_bytes: int = 10 * 1024 * 1024, keep: int = 5) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def __call__(self, record: dict[str, Any]) -> None:
        line = msgspec.json.encode(record) + b"\n"
        try:
            self._write(line)
        except OSError as error:
            _logger.warning("%s: a model call could not be logged (%s)", self._path, error.strerror or error)

    def _write(self, line: bytes) -> None:
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
            # It may not be there yet, or another process has just moved it.
            with suppress(FileNotFoundError):
                self._numbered(number - 1).replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")
