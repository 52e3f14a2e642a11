"""The journal in memory: the same meaning as on a database, no file, no thread, gone with the process.

It is the twin of `sql_journal.py`; one contract suite holds the two together.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.core.accounts import Accounts, Ceilings, CredentialStore, Projects, UsageBook
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import StoreUnavailableError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.engine.ports import Claim, RunChange, RunRow, Signal
from orchestrator_v2.llm.lane_board import LaneBoard
from orchestrator_v2.llm.lane_line import MemoryLaneBoard
from orchestrator_v2.llm.ledger import CallLedger, CallRow
from orchestrator_v2.persistence.artifacts import missing_blob
from orchestrator_v2.persistence.batch import fenced, unstorable
from orchestrator_v2.persistence.memory_accounts import MemoryAccounts
from orchestrator_v2.persistence.memory_calls import MemoryLedger, abandon_calls
from orchestrator_v2.persistence.memory_credentials import MemoryCredentials
from orchestrator_v2.persistence.memory_projects import MemoryProjects
from orchestrator_v2.persistence.memory_run import MemoryRun, by_seq
from orchestrator_v2.persistence.memory_usage import MemoryUsage
from orchestrator_v2.persistence.runs import no_such_run
from orchestrator_v2.persistence.spending import MemoryPurses


class MemoryJournal:
    def __init__(self, clock: Clock, probe: Probe = no_probe) -> None:
        self._clock = clock
        self._probe = probe
        self._runs: dict[str, MemoryRun] = {}
        self._blobs: dict[str, bytes] = {}
        self._run_nos = itertools.count(1)
        self._signal_ids = itertools.count(1)
        self._call_ids = itertools.count(1)
        self._changes = 0
        self._closed = False
        self._purses = MemoryPurses()
        self._accounts = MemoryAccounts(self._open, self._committed)
        self._credentials = MemoryCredentials(self._open, self._committed)
        self._projects = MemoryProjects(self._open, self._committed)
        self._usage = MemoryUsage(self._open, self._committed, self._runs)
        self._lanes = MemoryLaneBoard(clock)

    async def occupy(self) -> None:
        """It is nobody else's anyway."""

    async def create_run(
        self, row: RunRow, events: Sequence[Recorded], blobs: Mapping[str, bytes], *, owner: str, lease: float
    ) -> Claim:
        self._open()
        if row.run_id in self._runs:
            raise unstorable(ValueError(f"run '{row.run_id}' is there already"))
        placed = by_seq(tuple(events))
        self._probe("accepted-before-commit")
        row = msgspec.structs.replace(row, run_no=next(self._run_nos))
        self._runs[row.run_id] = MemoryRun(row, 1, owner, self._clock.now() + lease, placed)
        self._keep(blobs)
        self._committed()
        return Claim(row.run_id, row.run_no, 1)

    async def append(
        self,
        claim: Claim,
        events: Sequence[Recorded],
        *,
        blobs: Mapping[str, bytes] | None = None,
        change: RunChange | None = None,
        consumed: Sequence[int] = (),
    ) -> None:
        run = self._held(claim)
        placed = by_seq(tuple(events))
        run.add(placed)
        self._probe("inside-result-transaction")
        self._keep(blobs or {})
        if change is not None:
            run.row = msgspec.structs.replace(
                run.row,
                status=change.status,
                stopped=change.stopped,
                resume_at=change.resume_at,
                updated_at=self._clock.now(),
            )
        for number in consumed:
            run.signals.pop(number, None)
        self._committed()

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Recorded]:
        self._open()
        run = self._runs.get(run_id)
        return [run.events[seq] for seq in sorted(run.events) if seq > after][:limit] if run else []

    async def claim(self, run_id: str, *, owner: str, lease: float, seize: str = "") -> Claim | None:
        run = self._found(run_id)
        now = self._clock.now()
        if run.lease_until > now and run.lease_owner not in (owner, seize):
            return None
        run.epoch, run.lease_owner, run.lease_until = run.epoch + 1, owner, now + lease
        abandon_calls(run)
        self._committed()
        self._probe("claimed")
        return Claim(run_id, run.row.run_no, run.epoch)

    async def holder(self, run_id: str) -> str:
        self._open()
        run = self._runs.get(run_id)
        return run.lease_owner if run and run.lease_until > self._clock.now() else ""

    async def renew(self, claim: Claim, *, lease: float) -> bool:
        run = self._found(claim.run_id)
        if run.epoch != claim.epoch or not run.lease_owner:
            return False
        run.lease_until = self._clock.now() + lease
        self._committed()
        return True

    async def release(self, claim: Claim) -> None:
        run = self._found(claim.run_id)
        if run.epoch == claim.epoch:
            run.lease_owner, run.lease_until = "", 0.0
            self._committed()

    async def run(self, run_id: str, *, owner_id: str | None = None) -> RunRow | None:
        self._open()
        if run_id in self._runs:
            row = self._runs[run_id].shown
            return row if owner_id is None or self._is_shown(row, owner_id, None) else None
        found = [name for name in self._runs if run_id and owner_id is None and name.startswith(run_id)]
        return self._runs[found[0]].shown if len(found) == 1 else None

    async def runs(
        self,
        *,
        owner_id: str | None = None,
        project_id: str | None = None,
        statuses: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
        operations: bool = False,
    ) -> list[RunRow]:
        self._open()
        rows = [run.shown for run in reversed(self._runs.values())]
        wanted = [
            row
            for row in rows
            if bool(row.operation) is operations
            and self._is_shown(row, owner_id, project_id)
            and (not statuses or row.status in statuses)
            and (before is None or row.run_no < before)
        ]
        return wanted[:limit]

    def _is_shown(self, row: RunRow, owner_id: str | None, project_id: str | None) -> bool:
        if owner_id is None and project_id is None:
            return True
        wanted = owner_id in (None, row.owner_id) and project_id in (None, row.project_id)
        return wanted and row.project_id not in self._projects.dropped

    async def due(self, now: float, *, gone: Sequence[str] = (), limit: int = 1_000) -> list[tuple[str, str]]:
        self._open()
        return [(name, run.row.owner_id) for name, run in self._runs.items() if run.is_due(now, gone)][:limit]

    async def holders(self, now: float) -> list[str]:
        self._open()
        return list({run.lease_owner for run in self._runs.values() if run.is_under_way and run.lease_until > now})

    async def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        self._open()
        for wanted in hashes:
            if wanted not in self._blobs:
                raise missing_blob(wanted)
        return {wanted: self._blobs[wanted] for wanted in hashes}

    async def send_signal(self, run_id: str, kind: str, payload: bytes = b"") -> int:
        run = self._found(run_id)
        signal = Signal(next(self._signal_ids), kind, payload)
        run.signals[signal.id] = signal
        self._committed()
        return signal.id

    async def signals(self, run_id: str) -> list[Signal]:
        self._open()
        run = self._runs.get(run_id)
        return list(run.signals.values()) if run else []

    async def signalled(self) -> list[str]:
        self._open()
        return [name for name, run in self._runs.items() if run.signals]

    async def set_out(self, run_id: str, out: str) -> None:
        run = self._found(run_id)
        run.row = msgspec.structs.replace(run.row, out=out)
        self._committed()

    async def change_count(self) -> int:
        self._open()
        return self._changes

    def ledger(self, claim: Claim, budget: int | None, ceilings: Ceilings | None = None) -> CallLedger:
        run = self._found(claim.run_id)
        return MemoryLedger(
            run,
            claim,
            budget,
            ceilings,
            purses=self._purses,
            clock=self._clock,
            probe=self._probe,
            ids=self._call_ids,
            committed=self._committed,
        )

    async def recorded_calls(self, run_id: str) -> list[CallRow]:
        self._open()
        run = self._runs.get(run_id)
        return list(run.calls.values()) if run else []

    def accounts(self) -> Accounts:
        return self._accounts

    def credentials(self) -> CredentialStore:
        return self._credentials

    def projects(self) -> Projects:
        return self._projects

    def usage(self) -> UsageBook:
        return self._usage

    def lanes(self) -> LaneBoard:
        return self._lanes

    async def close(self) -> None:
        self._closed = True

    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("The journal is closed.", "It was used after close().", "Open it anew.")

    def _found(self, run_id: str) -> MemoryRun:
        self._open()
        if run_id not in self._runs:
            raise no_such_run(run_id)
        return self._runs[run_id]

    def _held(self, claim: Claim) -> MemoryRun:
        self._open()
        run = self._runs.get(claim.run_id)
        if run is None:
            raise fenced(claim)
        run.fence(claim)
        return run

    def _keep(self, blobs: Mapping[str, bytes]) -> None:
        for address, content in blobs.items():
            self._blobs.setdefault(address, content)

    def _committed(self) -> None:
        self._changes += 1
