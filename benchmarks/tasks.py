"""What a task in this process saves against one subprocess a task: wall time and CPU of both, one local server.

    python tasks.py WAY BASE_URL N      milliseconds a task, wall and CPU with all children, as JSON

The ways take turns, each in a process of its own, four tasks at once, by the same executor: by API in process, by the
command line of this project, and by the smallest script there is around the vendor's SDK. The server is
`llm_server.py`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from llm import model_server
from llm_clients import KEY, MODEL
from processes import ask, environment, python

IN_FLIGHT = 4
SDK_SCRIPT = """
import os, sys, anthropic
client = anthropic.Anthropic(base_url=os.environ["BENCH_URL"], max_retries=0)
message = {"role": "user", "content": sys.stdin.read()}
print(client.messages.create(model=sys.argv[1], max_tokens=1000, messages=[message]).content[0].text)
"""
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "command_line": (sys.executable, "-m", "orchestrator_v2", "llm", "ask", "-", "--model", MODEL),
    "sdk_script": (sys.executable, "-c", SDK_SCRIPT, MODEL),
}
_COUNTS = {"api": (400, 80), "command_line": (8, 4), "sdk_script": (8, 4)}


def measure(quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """Medians of milliseconds a task, and what a task in process is of one by a subprocess."""
    samples: dict[str, list[list[float]]] = {name: [] for name in _COUNTS}
    with model_server() as address:
        for number in range(1 if quick else 2):
            log(f"tasks: round {number + 1}")
            for name, found in samples.items():
                found.append(ask(python("tasks.py"), name, address, str(_COUNTS[name][quick])))
    wall = {name: statistics.median(one[0] for one in found) for name, found in samples.items()}
    cpu = {name: statistics.median(one[1] for one in found) for name, found in samples.items()}
    others = [name for name in _COUNTS if name != "api"]
    return {
        "tasks": {
            "wall": wall,
            "cpu": cpu,
            **{f"wall_to_{name}": wall["api"] / wall[name] for name in others},
            **{f"cpu_to_{name}": cpu["api"] / cpu[name] for name in others},
        }
    }


async def _measured(way: str, address: str, count: int) -> list[float]:
    """Milliseconds a task, wall and CPU, after a warm-up; every task must succeed."""
    from orchestrator_v2.core.secrets import Secret
    from orchestrator_v2.tasks.agent_registry import AgentRegistry
    from orchestrator_v2.tasks.agent_task import AgentTask
    from orchestrator_v2.tasks.command import Command
    from orchestrator_v2.tasks.task_executor import TaskExecutor

    agents = AgentRegistry()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        own = {"ANTHROPIC_API_KEY": KEY, "BENCH_URL": address, "ORCHESTRATOR_BASE_URL": address}
        environ = environment(ORCHESTRATOR_DATA_DIR=folder, **own)
        if way == "api":
            agents.register_agent("a", "developer", "api", f"anthropic/{MODEL}", Secret(KEY), base_url=address)
        else:
            command = Command(COMMANDS[way], environ=tuple(environ), credential_variable="ANTHROPIC_API_KEY")
            agents.register_agent("a", "developer", "cli", MODEL, Secret(KEY), command=command)
        async with TaskExecutor(agents, environ=environ) as executor:
            tasks = [AgentTask("Say something.", max_tokens=1000) for _ in range(count)]
            await executor.execute_parallel(tasks[: IN_FLIGHT if way == "api" else 1], limit=IN_FLIGHT)
            wall, cpu = time.perf_counter(), _cpu()
            results = await executor.execute_parallel(tasks, limit=IN_FLIGHT)
            spent = [time.perf_counter() - wall, _cpu() - cpu]
    failed = next((result for result in results if not result.success), None)
    if failed is not None:
        raise RuntimeError(f"a task failed: {failed.error}")
    return [seconds * 1_000 / count for seconds in spent]


def _cpu() -> float:
    """Seconds of this process and of the children that have ended."""
    own, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measured(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
