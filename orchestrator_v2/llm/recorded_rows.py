"""Answers to look up, from a run's recorded calls: what a replay stands on.

The ledger that records is behind `ledger.CallLedger`; the client that answers from this is `providers/replay.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core.errors import CallConflictError
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.types import Completion


class RecordedRows:
    """The finished calls among `rows` by their keys."""

    def __init__(self, rows: Sequence[CallRow]) -> None:
        self._done = {row.key: row for row in rows if row.outcome == "done"}

    async def find(self, key: str, request_hash: str) -> Completion | None:
        """The recorded answer. Raises `CallConflictError` when the key is recorded with another request."""
        row = self._done.get(key)
        if row is None:
            return None
        if row.request_hash != request_hash:
            raise CallConflictError(
                f"The call '{key}' is recorded with another request.",
                "Its prompt differs from the one that was sent then: templates or upstream files have changed.",
                "Replay with the release that recorded the run, or `orchestrator fork` it.",
            )
        return row.completion
