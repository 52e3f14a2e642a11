"""A process's seat at the board: under which names it asks for a lane, and what it has found out and not told yet.

What is told and answered is `lane_board.py`; who waits is `lane.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import StoreError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.lane_board import Answer, Ask, Correction, LaneBoard, News
from orchestrator_v2.llm.lane_state import Left, RateLimits


def lane_name(provider: str, origin: str, key: Secret) -> str:
    """The same for the same key at the same place, in every process; nobody finds the key by it."""
    digest = hashlib.blake2b(digest_size=16, person=b"orchestrator-ln")
    for part in (provider, origin, key.reveal()):
        digest.update(len(part.encode()).to_bytes(8) + part.encode())
    return digest.hexdigest()


class LaneSeat:
    """`holder` is this process's alone. What was not told for the board could not be reached is told the next time."""

    def __init__(self, board: LaneBoard, lane: str, holder: str, clock: Clock) -> None:
        self._board = board
        self._lane = lane
        self._holder = holder
        self._clock = clock
        self._news = News()
        self._failed = False
        self._has_place = False

    async def ask(self, tokens: int, limits: RateLimits, *, within: float, keeps: bool, crowded: bool) -> Answer:
        """`keeps`: a place in the line, if it has to wait. Raises `StoreUnavailableError`."""
        news = self._fresh()
        # One who is cancelled meanwhile may have it, or not.
        self._has_place = self._has_place or keeps
        try:
            answer = await self._board.ask(
                self._lane, Ask(tokens, limits, within, self._holder if keeps else "", crowded, news)
            )
        except StoreError:
            self._keep(news)
            raise
        if keeps:
            self._has_place = 0 < answer.wait <= within
        return answer

    def leave(self) -> None:
        """Gives the place in the line back, where there is one: those behind it need not wait until it is forgotten."""
        if self._has_place:
            self._has_place = False
            self._news.left = self._holder
            self.tell()

    def learned(self, found: Mapping[str, Left], *, is_named: bool) -> None:
        if is_named:
            self._news.is_named = True
            self._news.learned.clear()
        self._news.learned.update(found)

    def paused(self, until: float) -> None:
        self._news.hold_until = max(self._news.hold_until, until)

    def corrected(self, slot: float, requests: int, tokens: int) -> None:
        self._news.corrections.append(Correction(slot, requests, tokens))

    def tell(self) -> None:
        """Sends what is not told yet on its way, without waiting."""
        news = self._fresh()
        try:
            told = self._board.tell(self._lane, news)
        except StoreError:
            self._keep(news)
            return
        told.add_done_callback(lambda it: self._keep(news) if _failed(it) else None)

    def tell_again(self) -> None:
        """Sends what could not be told, if there is such."""
        if self._failed:
            self.tell()

    def _fresh(self) -> News:
        self._failed = False
        news, self._news = self._news, News()
        news.at = self._clock.monotonic()
        return news

    def _keep(self, news: News) -> None:
        """Puts news back that nobody has heard, behind what came since: the next call tells them, or says why not."""
        self._failed = True
        # By the time it is told, the place may be another call's.
        news.left = ""
        newer, self._news = self._news, news
        self._news.corrections += newer.corrections
        self.learned(newer.learned, is_named=newer.is_named)
        self.paused(newer.hold_until)


def _failed(told: asyncio.Future[None]) -> bool:
    return not told.cancelled() and isinstance(told.exception(), Exception)
