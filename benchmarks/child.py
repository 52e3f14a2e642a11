"""The commands that a subject's own process obeys; each subject's file ends with a call of `obey`.

    python SUBJECT.py workloads [quick]     the figures of `workloads.py` as JSON
    python SUBJECT.py imports               the statement that imports what a program needs to start a run
    python SUBJECT.py first-task FOLDER     ends when one task's result is durable
    python SUBJECT.py memory RUNS FOLDER    runs of ten tasks, all at once; the highest resident MB
    python SUBJECT.py walk SHAPE FOLDER     300 tasks that write their names to FOLDER/log (to be killed)
    python SUBJECT.py finished SHAPE FOLDER the tasks whose results are durable, as JSON
    python SUBJECT.py resume SHAPE FOLDER   walks that run to its end; seconds as JSON

Who calls them is `processes.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from raw import PAYLOAD
from subject import Step, Subject, chain, fan_out, no_op

SHAPES = {"chain": chain(300), "fan-out": fan_out(300)}
# The fan-out's tasks end one after the other within this time (seconds), so that a kill falls between them.
SPREAD = 0.3


def obey(make: Callable[[], Subject], arguments: list[str]) -> None:
    command, *rest = arguments
    print(json.dumps(_COMMANDS[command](make, *rest)), flush=True)


def _workloads(make: Callable[[], Subject], depth: str = "") -> object:
    from workloads import measure

    return measure(make(), depth == "quick", lambda name: print(f"  {name}", file=sys.stderr, flush=True))


def _imports(make: Callable[[], Subject]) -> object:
    return make().imports


def _first_task(make: Callable[[], Subject], folder: str) -> object:
    asyncio.run(make().walk(Path(folder), [chain(1)], no_op))
    return "done"


def _memory(make: Callable[[], Subject], runs: str, folder: str) -> object:
    asyncio.run(make().walk(Path(folder), [chain(10)] * int(runs), no_op))
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1_024 / 1e6 for line in lines if line.startswith("VmHWM"))


def _walk(make: Callable[[], Subject], shape: str, folder: str) -> object:
    return asyncio.run(make().walk(Path(folder), [SHAPES[shape]], _logged(shape, folder))).wall


def _finished(make: Callable[[], Subject], shape: str, folder: str) -> object:
    return asyncio.run(make().finished(Path(folder), SHAPES[shape]))


def _resume(make: Callable[[], Subject], shape: str, folder: str) -> object:
    return asyncio.run(make().resume(Path(folder), SHAPES[shape], _logged(shape, folder))).wall


def _logged(shape: str, folder: str) -> Step:
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def step(name: str) -> str:
        if shape == "fan-out":
            number = int(name[1:])
            await asyncio.sleep(SPREAD * (number * 7 % 300) / 300)
        os.write(log, f"{name}\n".encode())
        return PAYLOAD

    return step


_COMMANDS: dict[str, Callable[..., object]] = {
    "workloads": _workloads,
    "imports": _imports,
    "first-task": _first_task,
    "memory": _memory,
    "walk": _walk,
    "finished": _finished,
    "resume": _resume,
}
