"""The board of lanes on a SQL database: one row for each credential, changed in one short transaction.

What is answered is worked out by `llm/lane_line.py`, where the in-memory twin stands too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from orchestrator_v2.core.errors import StoreCorruptError
from orchestrator_v2.llm.lane_board import Answer, Ask, News
from orchestrator_v2.llm.lane_line import SharedLane
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Session, Transaction, Unit
from orchestrator_v2.persistence.group_commit import GroupCommit

T = TypeVar("T")

# A row is dropped so many seconds after it came to mean nothing; by then nobody is about to write it.
KEPT = 3600.0
_UNUSED = msgspec.msgpack.encode(SharedLane())


class SqlLanes:
    """`now` is the moment in the transaction; by default the database's own, whatever the processes' clocks say."""

    def __init__(self, writer: GroupCommit, dialect: str, now: Callable[[Session], float] | None = None) -> None:
        self._writer = writer
        clock = sql.LANE_CLOCK[dialect]
        self._now = now or (lambda session: float(session.rows(clock)[0][0]))

    async def ask(self, lane: str, ask: Ask) -> Answer:
        answer: Answer = await self._change(lane, lambda shared, now: shared.ask(ask, now))
        return answer

    def tell(self, lane: str, news: News) -> asyncio.Future[None]:
        return self._change(lane, lambda shared, now: shared.tell(news, now))

    def _change(self, lane: str, change: Callable[[SharedLane, float], T]) -> asyncio.Future[T]:
        def apply(transaction: Transaction) -> T:
            session = transaction.session
            # Asked for under the lock, or it might be earlier than what the one before has written.
            now = self._now(session)
            found = session.rows(sql.SELECT_LANE, (lane,))
            at, before = found[0] if found else (now, _UNUSED)
            shared = _decoded(lane, before)
            if now < at:
                shared.shift(now - at)
            answer = change(shared, now)
            after = msgspec.msgpack.encode(shared)
            if after != before:
                if not found:
                    session.change(sql.DELETE_LANES, (now - KEPT,))
                session.change(sql.UPSERT_LANE, (lane, now, shared.means_nothing_after(), after))
            return answer

        return self._writer.submit(Unit(apply, holds=f"lane {lane}"))


def _decoded(lane: str, state: bytes) -> SharedLane:
    try:
        return msgspec.msgpack.decode(state, type=SharedLane)
    except msgspec.DecodeError as error:
        raise StoreCorruptError(
            f"What is shared of the rate limits of lane {lane} cannot be read.",
            str(error),
            "Delete its row from the table `lanes`; it is of the last minute only.",
        ) from error
