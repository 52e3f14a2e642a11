"""Server-sent events from raw bytes: an event counts only when its closing blank line has arrived.

What the events of a vendor mean is in that vendor's file in `providers/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_v2.core.errors import StreamTruncatedError
from orchestrator_v2.llm.errors import make_error

MAX_EVENT_BYTES = 4 * 1024 * 1024


class SSEDecoder:
    """Fed with chunks as they come; gives the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._held = 0
        self._skip_newline = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data fields (joined by newlines) of the events that `chunk` completes.

        Raises `StreamTruncatedError` for an event larger than 4 MiB: that is no answer but an attack on memory.
        """
        if self._skip_newline and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._skip_newline = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # A line that never ends may come byte by byte: only what is new is looked through.
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        for line in lines:
            if line:
                self._hold(line)
            elif self._data:
                data, self._data, self._held = b"\n".join(self._data), [], 0
                yield data
        if len(self._rest) + self._held > MAX_EVENT_BYTES:
            raise make_error(StreamTruncatedError, f"An event of the stream is larger than {MAX_EVENT_BYTES} bytes.")

    def _hold(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            value = line[5:]
            self._data.append(value.removeprefix(b" "))
            self._held += len(value)
