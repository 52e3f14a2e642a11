"""The Temporal workflow of one run: which worker holds it, which phases go on there, what is waited for.

It knows ids and decides nothing about the run itself: that is the engine's, in the worker (`temporal_holding.py`).
All of it is deterministic; it is loaded in Temporal's sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from orchestrator_v2.durable import temporal_messages as m
    from orchestrator_v2.durable.temporal_messages import Answer, Start

# Retries are the engine's; a worker that is silent for this long is taken for dead.
ONCE = RetryPolicy(maximum_attempts=1)
SILENCE = timedelta(seconds=10)
# Loading a run's events takes a moment; a task takes as long as it takes, and its heartbeat says that it goes on.
TAKING = timedelta(seconds=15)
LONGEST_TASK = timedelta(days=1)
# How long one waits before a run is asked for again (seconds): held by another process; refused for its version.
RESTS = {m.LEAVING: 0.0, m.BUSY: 2.0, m.REFUSED: 15.0}
FIRST_REST, LONGEST_REST = 1.0, 30.0

Call = Callable[..., Awaitable[Answer]]


@workflow.defn(name=m.WORKFLOW)
class RunWorkflow:
    def __init__(self) -> None:
        self._look = False
        self._misses = 0

    @workflow.signal(name=m.LOOK)
    def look(self, kind: str) -> None:
        """Something about the run is new: `kind` is for whoever reads the history, the rest lies in the journal."""
        self._look = True

    @workflow.run
    async def run(self, start: Start) -> str:
        """Until nothing is left to do; gives the run's status."""
        while True:
            answer = await self._take(start)
            if answer.how == m.TAKEN:
                start = replace(start, queue="", refused=0, parallelism=answer.parallelism)
                answer = await self._walk(start, answer.queue)
            if answer.how == m.OVER:
                return answer.status
            start.refused = start.refused + 1 if answer.how == m.REFUSED else 0
            await self._rest(answer)
            if _too_long(start):
                workflow.continue_as_new(start)

    async def _take(self, start: Start) -> Answer:
        if start.queue:
            return Answer(m.TAKEN, queue=start.queue, parallelism=start.parallelism)
        self._look = False
        work = workflow.execute_activity(
            m.TAKE, start, result_type=Answer, start_to_close_timeout=TAKING, retry_policy=ONCE
        )
        return await _answered(work)

    async def _walk(self, start: Start, queue: str) -> Answer:
        """Phase after phase on the worker that holds the run, until the run or the worker ends or stands still."""
        running: dict[str, asyncio.Task[Answer]] = {}

        async def call(name: str, *more: str) -> Answer:
            return await _on(queue, name, start.run_id, *more)

        try:
            answer = await call(m.READY)
            while answer.how == m.HELD:
                self._launch(answer, running, start, call)
                if running:
                    answer = await self._next(running, call)
                elif _too_long(start):
                    workflow.continue_as_new(replace(start, queue=queue))
                else:
                    self._look = False
                    answer = await call(m.CONCLUDE)
            if answer.how == m.LEAVING and running:
                # What is under way there may end.
                await workflow.wait(list(running.values()))
            return answer
        finally:
            for task in running.values():
                task.cancel()

    def _launch(self, answer: Answer, running: dict[str, asyncio.Task[Answer]], start: Start, call: Call) -> None:
        for phase in answer.phases:
            if phase not in running and len(running) < start.parallelism and not _too_long(start):
                running[phase] = asyncio.create_task(_of(call(m.RUN_TASK, phase)))

    async def _next(self, running: dict[str, asyncio.Task[Answer]], call: Call) -> Answer:
        """What the next task to end says, or the worker where there is something new."""
        await workflow.wait_condition(lambda: self._look or any(task.done() for task in running.values()))
        if self._look:
            self._look = False
            return await call(m.READY)
        answer = running.pop(next(phase for phase, task in running.items() if task.done())).result()
        if answer.how == m.HELD:
            self._misses = 0
        return answer

    async def _rest(self, answer: Answer) -> None:
        """Waits for a signal, or until it may be worth while to ask again."""
        timeout: float | None
        if answer.how == m.STILL:
            timeout = None if answer.resume_at is None else max(answer.resume_at - workflow.time(), 0.1)
        else:
            timeout = RESTS.get(answer.how, min(FIRST_REST * 2.0**self._misses, LONGEST_REST))
            self._misses = min(self._misses + 1, 8) if answer.how == m.LOST else 0
        if timeout != 0.0:
            try:
                await workflow.wait_condition(lambda: self._look, timeout=timeout)
            except TimeoutError:
                return


def _too_long(start: Start) -> bool:
    info = workflow.info()
    return info.is_continue_as_new_suggested() or 0 < start.longest < info.get_current_history_length()


async def _of(work: Awaitable[Answer]) -> Answer:
    return await work


async def _on(queue: str, name: str, *words: str) -> Answer:
    work = workflow.execute_activity(
        name,
        args=list(words),
        result_type=Answer,
        task_queue=queue,
        schedule_to_start_timeout=SILENCE,
        heartbeat_timeout=SILENCE,
        start_to_close_timeout=LONGEST_TASK,
        retry_policy=ONCE,
    )
    return await _answered(work)


async def _answered(work: Awaitable[Answer]) -> Answer:
    """The worker's answer; one that is not heard has lost the run."""
    try:
        return await work
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return Answer(m.LOST, why="unheard")
