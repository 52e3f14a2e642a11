"""The lanes of a factory: one for each credential and place, with a seat at the board where there is one.

How calls wait in a lane is `lane.py`; what is shared with other processes is `lane_board.py`.
"""

from __future__ import annotations

from random import Random

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.lane_board import LaneBoard
from orchestrator_v2.llm.lane_seat import LaneSeat, lane_name


class Lanes:
    def __init__(self, clock: Clock, random: Random, board: LaneBoard | None) -> None:
        self._clock = clock
        self._random = random
        self._board = board
        self._lanes: dict[tuple[str, str, Secret | None, bool], Lane] = {}

    def lane(self, provider: str, origin: str, key: Secret | None, guarded: bool) -> Lane:
        """The one lane of that key there, of the guarded one apart."""
        name = (provider, origin, key, guarded)
        if name not in self._lanes:
            self._lanes[name] = Lane(self._clock, seat=self._seat(provider, origin, key))
        return self._lanes[name]

    def _seat(self, provider: str, origin: str, key: Secret | None) -> LaneSeat | None:
        """None where nothing is shared: without a board, or without a key, as of a model on each one's own machine."""
        if self._board is None or key is None:
            return None
        holder = f"{self._random.getrandbits(64):016x}"
        return LaneSeat(self._board, lane_name(provider, origin, key), holder, self._clock)
