"""AWS's event stream from raw bytes: a frame counts only when it is whole and both its checksums hold.

What the frames of Bedrock mean is `bedrock.py`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, ProviderError, StreamTruncatedError
from orchestrator_v2.llm.errors import make_error

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_FRAME_BYTES = 4 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_CHECKSUM = 4
_STRING = 7
# Bytes of a header's value by its type; strings and byte arrays (6, 7) say their own length.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Frame(msgspec.Struct, frozen=True):
    """`headers` are those whose value is a string."""

    headers: dict[str, str]
    payload: bytes


class FrameDecoder:
    """Fed with chunks as they come; gives each frame that is whole."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = False

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that `chunk` completes.

        Raises `StreamTruncatedError` for bytes that are no frame, `BadGatewayError` where there was none before them.
        """
        self._rest += chunk
        while len(self._rest) >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(self._rest)
            least = _PRELUDE.size + headers + _CHECKSUM
            if zlib.crc32(self._rest[:8]) != checksum or not least <= total <= MAX_FRAME_BYTES:
                raise self._broken()
            if len(self._rest) < total:
                return
            frame = bytes(self._rest[:total])
            del self._rest[:total]
            if zlib.crc32(frame[:-_CHECKSUM]) != int.from_bytes(frame[-_CHECKSUM:], "big"):
                raise self._broken()
            start = _PRELUDE.size + headers
            yield Frame(self._headers(frame[_PRELUDE.size : start]), frame[start:-_CHECKSUM])
            self._seen = True

    def _headers(self, data: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            while data:
                name, kind, data = data[1 : 1 + data[0]], data[1 + data[0]], data[2 + data[0] :]
                size = _SIZES.get(kind)
                if size is None:
                    size, data = int.from_bytes(data[:2], "big"), data[2:]
                if kind == _STRING:
                    found[name.decode()] = data[:size].decode()
                data = data[size:]
        except (IndexError, UnicodeDecodeError):
            raise self._broken() from None
        return found

    def _broken(self) -> ProviderError:
        kind = StreamTruncatedError if self._seen else BadGatewayError
        return make_error(kind, "A piece of the stream is not readable.")
