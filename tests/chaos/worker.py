"""A process that may be killed: starts the runs that are not there yet, takes up those that are, drives all.

Run as `python worker.py JOB`, JOB being the JSON of `killing.Job`. Its last line on standard output is `finished`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from random import Random

import msgspec
from killing import KEY, Job

from orchestrator_v2 import Orchestrator, RunRequest, open_orchestrator
from orchestrator_v2.config.loader import load_settings
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


async def work(job: Job) -> None:
    home = Path(job.home)
    values: dict[str, object] = {
        "data_dir": str(home / "data"),
        "mode": job.mode,
        "base_url": job.base_url or None,
        "retry_initial": 0.01,
    }
    keys = {"ANTHROPIC_API_KEY": KEY} if job.mode == "real" else {}
    loaded = load_settings(values, keys, home, home)
    async with await open_orchestrator(loaded, random=Random(1)) as orchestrator:
        rows = await orchestrator.rows()
        _say("taken up")
        sessions = await orchestrator.recover()
        there = {row.out for row in rows}
        for number in range(job.runs):
            out = home / f"out-{number}"
            if str(out) not in there:
                workflow = DIAMOND if job.workflow == "diamond" else job.workflow
                sessions.append(
                    await orchestrator.start(RunRequest(job.brief, workflow=workflow, out=out, batch=job.batch))
                )
                _say(f"accepted {sessions[-1].state.run_id}")
        if job.cancel:
            (session,) = sessions
            await asyncio.gather(orchestrator.drive(session), _cancel(orchestrator, session.state.run_id))
        else:
            await asyncio.gather(*map(orchestrator.drive, sessions))
        again = (RunStatus.COMPLETED, *((RunStatus.NEEDS_ATTENTION,) if job.insist else ()))
        for row in await orchestrator.rows(statuses=again):
            await orchestrator.resume(row.run_id)
        while job.batch and (waiting := await orchestrator.rows(statuses=(RunStatus.WAITING_PROVIDER,))):
            await orchestrator.resume(waiting[0].run_id)
    _say("finished")


async def _cancel(orchestrator: Orchestrator, run_id: str) -> None:
    await asyncio.sleep(0.3)
    await orchestrator.cancel(run_id, by="a test")


if __name__ == "__main__":
    asyncio.run(work(msgspec.json.decode(sys.argv[1], type=Job)))
