"""One run that this worker holds: its session, the tasks under way in it, and what may start next.

Which runs are held is `temporal_holding.py`; how many tasks go on at once is the workflow's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator_v2.durable import temporal_messages as m
from orchestrator_v2.durable.temporal_messages import Answer
from orchestrator_v2.engine.session import RunSession, admit_none


class HeldRun:
    """Raises what the session raises; after a `StoreError` it must be thrown away, with `drop`."""

    def __init__(self, session: RunSession, now: float) -> None:
        self.session = session
        self.used_at = now
        self.calls = 0
        self.leaving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._receiving = asyncio.Lock()

    @property
    def run_id(self) -> str:
        return self.session.state.run_id

    def answer(self) -> Answer:
        """What may start now, read off the whole state."""
        if self.leaving:
            return Answer(m.LEAVING)
        session = self.session
        over = session.stop is not None or session.ended or session.state.tasks_left == 0
        return Answer(m.HELD, [] if over else session.startable())

    async def receive(self) -> bool:
        """Takes the signals that wait in the journal, one taker at a time; True where that changed the run."""
        async with self._receiving:
            before, stop = self.session.state.seq, self.session.stop
            await self.session.receive(admit_none)
        if self.session.ended:
            self._cancel()
        return self.session.state.seq != before or self.session.stop is not stop

    async def ready(self) -> Answer:
        await self.receive()
        # Where all is settled and the end is not recorded yet, this records it.
        await self.session.start((), admit_none)
        return self.answer()

    async def run_task(self, phase_id: str) -> Answer:
        """Starts the phase and sees it to its end; one that may not start (any more) is left alone."""
        task = asyncio.create_task(self._task(phase_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        return self.answer()

    async def _task(self, phase_id: str) -> None:
        def admit(freed: Sequence[str]) -> list[str]:
            may = not self.leaving and self.session.state.tasks_left != 0 and self.session.may_start(phase_id)
            return [phase_id] if may and phase_id in freed else []

        if phase_id in await self.session.start([phase_id], admit):
            await self.session.run_task(phase_id)

    async def conclude(self) -> Answer:
        """Records why the run stands still, unless there is something to do after all; then it says what."""
        await self.settle()
        await self.ready()
        answer = self.answer()
        if answer.how == m.HELD and not answer.phases:
            await self.session.conclude()
            return standing(self.session)
        return answer

    async def settle(self) -> None:
        """Returns when no task is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def drop(self) -> None:
        """Ends what is under way; nothing of it is recorded."""
        self.leaving = True
        self._cancel()
        await self.settle()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def standing(session: RunSession) -> Answer:
    """How a run stands that is not gone on with now."""
    if session.ended:
        return Answer(m.OVER, status=session.state.status.value)
    return Answer(m.STILL, status=session.state.status.value, resume_at=session.state.resume_at)
