"""A process that may be killed: starts the runs that are not there yet, takes up those that are, drives all.

Run as `python worker.py JOB`, JOB being the JSON of `killing.Job`. Its last line on standard output is `finished`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
from killing import Job

from orchestrator_v2 import Orchestrator, RunRequest, open_orchestrator
from orchestrator_v2.config.loader import LoadedSettings, load_settings
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import RunStatus

# Two phases at once between two others: eight calls, up to two of them in flight.
DIAMOND = PhaseGraph(
    Workflow(
        "diamond",
        (
            Phase("top", "architect", outputs=("docs/top.md",)),
            Phase("left", "data", needs=("top",), outputs=("docs/left.md",)),
            Phase("right", "developer", needs=("top",), outputs=("docs/right.md",)),
            Phase("bottom", "reviewer", needs=("left", "right"), outputs=("docs/bottom.md",)),
        ),
    )
)


def _say(words: str) -> None:
    os.write(1, f"{words}\n".encode())


class _Passages:
    """A probe that counts, and stops this process with SIGSTOP at one passage."""

    def __init__(self, stop_at: str) -> None:
        self._name, _, nth = stop_at.partition(":")
        self._nth = int(nth or 1)
        self.counted: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        self.counted[name] += 1
        if name == self._name and self.counted[name] == self._nth:
            # To this very thread: it must not go on until the others are stopped.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class _OddClock(SystemClock):
    """The system's clock, some seconds ahead of everybody else's; with `jumps` it leaps at every few looks at it.

    What only grows (`monotonic`) goes on as it does, and so does sleep.
    """

    def __init__(self, ahead: float, jumps: int) -> None:
        self._ahead = ahead
        self._random = Random(jumps) if jumps else None
        self.jumped = 0

    def now(self) -> float:
        if self._random is not None and self._random.random() < _JUMPS_ONE_IN:
            self.jumped += 1
            self._ahead = self._random.choice(_LEAPS)
        return super().now() + self._ahead


# Seconds: an hour and half a day each way, and back to the truth.
_LEAPS = (-43_200.0, -3_600.0, 0.0, 3_600.0, 43_200.0)
_JUMPS_ONE_IN = 0.2


def _settings(job: Job) -> LoadedSettings:
    home = Path(job.home)
    values: dict[str, object] = {
        "data_dir": str(home / "data"),
        "database_url": job.database,
        "mode": job.mode,
        "base_url": job.base_url or None,
        "retry_initial": 0.01,
    }
    return load_settings(values, {"ANTHROPIC_API_KEY": job.key} if job.mode == "real" else {}, home, home)


async def work(job: Job) -> None:
    passages = _Passages(job.stop_at) if job.count or job.stop_at else None
    clock = _OddClock(job.ahead, job.jumps)
    opening = open_orchestrator(_settings(job), random=Random(1), probe=passages, clock=clock)
    async with await opening as orchestrator:
        there = {row.run_id for row in await orchestrator.rows(limit=100_000)}
        _say("taken up")
        sessions = await orchestrator.recover()
        for number in range(job.first, job.first + job.runs):
            if _run_id(number) not in there:
                sessions.append(await orchestrator.start(_request(job, number)))
                _say(f"accepted {sessions[-1].state.run_id}")
        if job.cancel:
            (session,) = sessions
            cancelled = _cancel(orchestrator, session.state.run_id, job.cancel_after)
            await asyncio.gather(orchestrator.drive(session), cancelled)
        else:
            await asyncio.gather(*map(orchestrator.drive, sessions))
        await _go_on(orchestrator, job)
    if passages is not None:
        _say(f"passed {msgspec.json.encode(passages.counted).decode()}")
    if job.jumps:
        _say(f"jumped {clock.jumped}")
    _say("finished")


def _run_id(number: int) -> str:
    return f"run_{number:012d}"


def _request(job: Job, number: int) -> RunRequest:
    workflow = DIAMOND if job.workflow == "diamond" else job.workflow
    out = None if number % job.laid else Path(job.home) / f"out-{number}"
    return RunRequest(job.brief, run_id=_run_id(number), workflow=workflow, out=out, batch=job.batch)


async def _go_on(orchestrator: Orchestrator, job: Job) -> None:
    """What a person would do after all that: lay out what is not, look at what was set aside, wait for batches."""
    aside = (RunStatus.NEEDS_ATTENTION, RunStatus.WAITING_PROVIDER)
    for row in await orchestrator.rows(statuses=aside, limit=100_000) if job.insist else ():
        await orchestrator.resume(row.run_id)
    for row in await orchestrator.rows(statuses=(RunStatus.COMPLETED,), limit=100_000):
        if row.out and job.alone:
            await orchestrator.resume(row.run_id)
    while job.batch and (waiting := await orchestrator.rows(statuses=(RunStatus.WAITING_PROVIDER,))):
        await orchestrator.resume(waiting[0].run_id)


async def _cancel(orchestrator: Orchestrator, run_id: str, after: float) -> None:
    await asyncio.sleep(after)
    await orchestrator.cancel(run_id, by="a test")


if __name__ == "__main__":
    asyncio.run(work(msgspec.json.decode(sys.argv[1], type=Job)))
