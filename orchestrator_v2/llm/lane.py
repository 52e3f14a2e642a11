"""What all calls on one credential share: the pause that its provider asked for, and what its headers say is left.

Who waits for it is `wrappers/retrying.py` and `wrappers/rate_limited.py`; one lane lives as long as its factory.
"""

from __future__ import annotations

from collections.abc import Mapping


class Lane:
    """`hold_until` is in monotonic seconds: nothing is sent on the credential before it."""

    def __init__(self) -> None:
        self.hold_until = 0.0

    def learn(self, headers: Mapping[str, str]) -> None:
        """Takes note of an answer's rate-limit headers (names in lower case)."""
