"""The journal on a SQL database: each method is one unit for the writer, or one query for the readers.

What the units and queries are is in the file named after their subject; the in-memory twin is `memory.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator_v2.core.accounts import Accounts, Ceilings, CredentialStore, Projects, UsageBook
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.ports import Claim, RunChange, RunRow, Signal
from orchestrator_v2.llm.lane_board import LaneBoard
from orchestrator_v2.llm.ledger import CallLedger, CallRow
from orchestrator_v2.persistence import artifacts, event_log, model_calls, runs, signals
from orchestrator_v2.persistence.group_commit import Backend, GroupCommit
from orchestrator_v2.persistence.readers import Readers
from orchestrator_v2.persistence.sql_accounts import SqlAccounts
from orchestrator_v2.persistence.sql_credentials import SqlCredentials
from orchestrator_v2.persistence.sql_lanes import SqlLanes
from orchestrator_v2.persistence.sql_projects import SqlProjects
from orchestrator_v2.persistence.sql_usage import SqlUsage


class SqlJournal:
    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._writer = GroupCommit(backend)
        self._readers = Readers(backend)

    async def open(self) -> None:
        await self._writer.start()

    async def occupy(self) -> None:
        self._backend.occupy()

    async def create_run(
        self, row: RunRow, events: Sequence[Recorded], blobs: Mapping[str, bytes], *, owner: str, lease: float
    ) -> Claim:
        claim: Claim = await self._writer.submit(runs.create(row, events, blobs, owner, self._clock.now() + lease))
        return claim

    async def append(
        self,
        claim: Claim,
        events: Sequence[Recorded],
        *,
        blobs: Mapping[str, bytes] | None = None,
        change: RunChange | None = None,
        consumed: Sequence[int] = (),
    ) -> None:
        unit = event_log.append(
            claim, events, blobs=blobs or {}, change=change, consumed=consumed, now=self._clock.now()
        )
        await self._writer.submit(unit)

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Recorded]:
        return await self._readers.read(lambda it: event_log.read_events(it, run_id, after, limit))

    async def claim(self, run_id: str, *, owner: str, lease: float, seize: str = "") -> Claim | None:
        unit = runs.claim(run_id, owner=owner, now=self._clock.now(), lease=lease, seize=seize)
        claim: Claim | None = await self._writer.submit(unit)
        return claim

    async def holder(self, run_id: str) -> str:
        return await self._readers.read(lambda it: runs.read_holder(it, run_id, self._clock.now()))

    async def renew(self, claim: Claim, *, lease: float) -> bool:
        held: bool = await self._writer.submit(runs.renew(claim, self._clock.now() + lease))
        return held

    async def release(self, claim: Claim) -> None:
        await self._writer.submit(runs.release(claim))

    async def run(self, run_id: str, *, owner_id: str | None = None) -> RunRow | None:
        return await self._readers.read(lambda it: runs.read_run(it, run_id, owner_id))

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
        return await self._readers.read(
            lambda it: runs.read_runs(
                it,
                owner_id=owner_id,
                project_id=project_id,
                statuses=statuses,
                before=before,
                limit=limit,
                operations=operations,
            )
        )

    async def due(self, now: float, *, gone: Sequence[str] = (), limit: int = 1_000) -> list[tuple[str, str]]:
        return await self._readers.read(lambda it: runs.read_due(it, now, gone, limit))

    async def holders(self, now: float) -> list[str]:
        return await self._readers.read(lambda it: runs.read_holders(it, now))

    async def blobs(self, hashes: Sequence[str]) -> dict[str, bytes]:
        return await self._readers.read(lambda it: artifacts.read_blobs(it, hashes))

    async def send_signal(self, run_id: str, kind: str, payload: bytes = b"") -> int:
        number: int = await self._writer.submit(signals.send(run_id, kind, payload, self._clock.now()))
        return number

    async def signals(self, run_id: str) -> list[Signal]:
        return await self._readers.read(lambda it: signals.read_signals(it, run_id))

    async def signalled(self) -> list[str]:
        return await self._readers.read(signals.read_signalled)

    async def set_out(self, run_id: str, out: str) -> None:
        await self._writer.submit(runs.set_out(run_id, out))

    async def change_count(self) -> int:
        return await self._readers.read(self._backend.change_count)

    def ledger(self, claim: Claim, budget: int | None, ceilings: Ceilings | None = None) -> CallLedger:
        return model_calls.SqlLedger(self._writer, self._readers, self._clock, claim, budget=budget, ceilings=ceilings)

    async def recorded_calls(self, run_id: str) -> list[CallRow]:
        return await self._readers.read(lambda it: model_calls.read_recorded_calls(it, run_id))

    def accounts(self) -> Accounts:
        return SqlAccounts(self._writer, self._readers)

    def credentials(self) -> CredentialStore:
        return SqlCredentials(self._writer, self._readers)

    def projects(self) -> Projects:
        return SqlProjects(self._writer, self._readers, self._clock)

    def usage(self) -> UsageBook:
        return SqlUsage(self._writer, self._readers)

    def lanes(self) -> LaneBoard:
        return SqlLanes(self._writer, self._backend.dialect)

    async def close(self) -> None:
        # The last connection to close is the one that may tidy up SQLite's write-ahead log.
        await self._readers.close()
        await self._writer.close()
