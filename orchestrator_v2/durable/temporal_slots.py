"""How many runs a worker asks for: it polls for another only while it has room for it.

A worker that took runs and let them wait would keep them from one that is idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio.worker import CustomSlotSupplier, FixedSizeSlotSupplier, SlotPermit, WorkerTuner

# How often a full worker looks whether it has room again (seconds).
LOOK = 0.2


class Room(CustomSlotSupplier):
    """`count` says how many runs are held; `most` is how many may be."""

    def __init__(self, count: Callable[[], int], most: int) -> None:
        self._count = count
        self._most = most
        self._asked: set[int] = set()

    async def reserve_slot(self, ctx: Any) -> SlotPermit:
        while (permit := self.try_reserve_slot(ctx)) is None:  # noqa: ASYNC110 - asked from threads
            await asyncio.sleep(LOOK)
        return permit

    def try_reserve_slot(self, ctx: Any) -> SlotPermit | None:
        if self._count() + len(self._asked) >= self._most:
            return None
        permit = SlotPermit()
        self._asked.add(id(permit))
        return permit

    def mark_slot_used(self, ctx: Any) -> None:
        """A slot that is used is a run that is about to be held; it counts as before."""

    def release_slot(self, ctx: Any) -> None:
        self._asked.discard(id(ctx.permit))


def tuner(count: Callable[[], int], most: int) -> WorkerTuner:
    """Room for `most` runs, and for as many workflows' decisions as come."""
    return WorkerTuner.create_composite(
        workflow_supplier=FixedSizeSlotSupplier(100),
        activity_supplier=Room(count, most),
        local_activity_supplier=FixedSizeSlotSupplier(1),
        nexus_supplier=FixedSizeSlotSupplier(1),
    )
