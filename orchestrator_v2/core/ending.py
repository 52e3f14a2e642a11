"""The last resort of a process that was told to end: it ends, also where something does not let go of it.

What may go on until then is its driver's. What was committed is in the journal, so that killing it loses nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Self

_log = logging.getLogger(__name__)
# Seconds from the signal to the end of the process (RELIABILITY section 8).
LATEST = 32.0


class LastResort:
    """`begin` it when the process is told to end; it is off again at the end of the `with` block."""

    def __init__(self, seconds: float = LATEST) -> None:
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._end)
            self._timer.daemon = True
            self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        _log.critical("ended by force after %g s: something stands still, such as the database", self._seconds)
        logging.shutdown()
        os._exit(1)
