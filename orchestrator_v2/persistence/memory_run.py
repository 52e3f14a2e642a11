"""What the in-memory journal keeps of one run, and the checks that are made before anything is changed.

The journal over these is `memory.py`, the ledger `memory_calls.py`; on a SQL database all this is rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.ports import Claim, RunRow, Signal
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.persistence.batch import fenced, gap, unstorable


@dataclass(slots=True)
class MemoryRun:
    row: RunRow
    epoch: int
    lease_owner: str
    lease_until: float
    events: dict[int, Recorded] = field(default_factory=dict)
    signals: dict[int, Signal] = field(default_factory=dict)
    calls: dict[int, CallRow] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    spent: int = 0
    unpriced: int = 0

    @property
    def shown(self) -> RunRow:
        """The row with what its model calls have come to."""
        return msgspec.structs.replace(self.row, spent=None if self.unpriced else self.spent)

    @property
    def is_under_way(self) -> bool:
        return self.row.status in ("running", "waiting_provider")

    def is_due(self, now: float, gone: Sequence[str]) -> bool:
        """Whether it could go on, and nobody drives it."""
        free = self.lease_until <= now or self.lease_owner in gone
        return self.is_under_way and self.row.mode != "replay" and (self.row.resume_at or now) <= now and free

    def fence(self, claim: Claim) -> None:
        """Raises `FencedError` when another worker has claimed the run since."""
        if self.epoch != claim.epoch:
            raise fenced(claim)

    def add(self, events: dict[int, Recorded]) -> None:
        if taken := self.events.keys() & events.keys():
            raise unstorable(ValueError(f"event {min(taken)} is there already"))
        if any(seq != place for place, seq in enumerate(events, len(self.events) + 1)):
            raise gap(Claim(self.row.run_id, self.row.run_no, self.epoch))
        self.events.update(events)


def by_seq(events: tuple[Recorded, ...]) -> dict[int, Recorded]:
    """Raises the same `StoreError` as a database when two have one place."""
    placed = {it.seq: it for it in events}
    if len(placed) != len(events):
        raise unstorable(ValueError("two events have one place"))
    return placed
