"""Wakes a sleeping thread, or an event loop, through a pipe: the way to the writer thread and back.

What lies ready when it rings is the owner's business: `group_commit.py`.
"""

from __future__ import annotations

import os


class Bell:
    """Rung from any thread, heard by one. Put what is to be found in place first, then ring.

    A pipe wakes for a third less than a queue's lock, which needs the interpreter's lock as well, and for less than
    `call_soon_threadsafe`, which goes through a socket; the hop is a large part of what a chain's link costs.
    """

    def __init__(self) -> None:
        self.listening, self._pull = os.pipe()
        self._rung = False

    def ring(self) -> None:
        # Rung already and not heard yet: whoever hears it will find this, too.
        if not self._rung:
            self._rung = True
            os.write(self._pull, b"!")

    def hear(self) -> None:
        """Sleeps until it is rung; look at what lies ready only after this. It may ring for nothing."""
        os.read(self.listening, 64)
        self._rung = False

    def close(self) -> None:
        """Whoever rings it later writes nowhere: the pipe's number may be another file's by then."""
        self._rung = True
        os.close(self.listening)
        os.close(self._pull)
