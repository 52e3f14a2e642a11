"""`worker`: one of any number of processes that drive the runs of servers and commands, by way of Temporal.

The worker itself is `durable/temporal_worker.py`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli.given import given

Address = Annotated[
    str | None, typer.Option("--temporal", metavar="HOST:PORT", show_default=False, help="Temporal's frontend.")
]
Queue = Annotated[
    str | None, typer.Option("--task-queue", metavar="NAME", show_default=False, help="The queue to work for.")
]
Runs = Annotated[
    int | None, typer.Option("--runs-at-once", metavar="N", show_default=False, help="Runs held at the same time.")
]


def worker(
    context: typer.Context,
    temporal: Address = None,
    task_queue: Queue = None,
    namespace: Annotated[str | None, typer.Option(metavar="NAME", show_default=False)] = None,
    runs_at_once: Runs = None,
) -> int:
    """Drive runs for servers on any machine, over PostgreSQL and Temporal.

    Ctrl-C or SIGTERM ends it: what is under way may end (at most 30 s), and other workers go on.
    """
    options = given(context)
    options.flags |= {
        "durable": "temporal",
        "temporal_address": temporal,
        "temporal_task_queue": task_queue,
        "temporal_namespace": namespace,
        "runs_at_once": runs_at_once,
    }

    async def worked() -> None:
        from orchestrator_v2.bootstrap import set_up_logging
        from orchestrator_v2.worker_bootstrap import open_worker

        loaded = options.settings()
        set_up_logging(loaded, sys.stderr, json=True)
        settings = loaded.settings
        where = f"{settings.temporal_task_queue} at {settings.temporal_address}"
        await (await open_worker(loaded)).run(lambda: render.say(f"Working for {where}  (Ctrl-C ends it)"))

    asyncio.run(worked())
    return 0
