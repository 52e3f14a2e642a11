"""All benchmarks in one command: `python benchmarks/run.py [--quick] [--json FILE] [--only PART ...]`.

It measures this project and LangGraph, each beside raw `sqlite3` commits of its own, and prints a table with the
limits to reach. The exit code is 1 when a promise is broken (see `targets.faults`), never for slowness.
"""

from __future__ import annotations

import argparse
import compileall
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_line
import llm
import operations
import processes
import server
import tasks
from table import machine, table
from targets import faults

HERE = Path(__file__).parent
PEER_PYTHON = HERE.parent / ".benchmarks-env" / "bin" / "python"
PARTS = (
    "workloads",
    "processes",
    "command-line",
    "llm",
    "operations",
    "tasks",
    "server",
    "postgres",
    "workers",
    "langgraph",
)


def main() -> int:
    options = _options()
    for folder in (HERE, HERE.parent / "orchestrator_v2"):
        # A start that has to compile first says nothing; PYTHONDONTWRITEBYTECODE may be set.
        compileall.compile_dir(folder, quiet=1)
    parts = {
        "workloads": lambda: _workloads(processes.python("ours.py"), options.quick),
        "processes": lambda: processes.measure(processes.python("ours.py"), options.quick, _log),
        "command-line": lambda: command_line.measure(options.quick, _log),
        "llm": lambda: llm.measure(options.quick, _log),
        "operations": lambda: operations.measure(options.quick, _log),
        "tasks": lambda: tasks.measure(options.quick, _log),
        "server": lambda: server.measure(options.quick, _log),
        "postgres": lambda: {"postgres": processes.ask(processes.python("postgres.py"))},
        "workers": lambda: {"workers": processes.ask(processes.python("workers.py"))},
    }
    broken: list[str] = []
    ours: dict[str, Any] = {}
    for name, work in parts.items():
        if name in options.only:
            ours |= _measured(name, work, broken)
    peer = _measured("langgraph", lambda: _peer(options.quick), []) if "langgraph" in options.only else {}
    broken += faults(ours)
    report = {"machine": machine(), "ours": ours, "langgraph": peer, "broken": broken}
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    print(", ".join(f"{key} {value}" for key, value in report["machine"].items()), "\n")
    print(table(ours, peer))
    for words in broken:
        print(f"BROKEN: {words}")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures this project beside LangGraph and raw sqlite3 commits.")
    parser.add_argument("--quick", action="store_true", help="fewer passes and shorter runs; the ratios are rougher")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to this file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts only")
    return parser.parse_args()


def _measured(name: str, work: Callable[[], dict[str, Any]], broken: list[str]) -> dict[str, Any]:
    """The figures of a part. One that cannot be measured is told, and does not stop the others."""
    _log(f"-- {name}")
    try:
        return work()
    except (RuntimeError, OSError, ValueError) as error:
        broken.append(f"{name} could not be measured: {error}")
        _log(broken[-1])
        return {}


def _workloads(subject: processes.Command, quick: bool) -> dict[str, Any]:
    return dict(processes.ask(subject, "workloads", *(["quick"] if quick else [])))


def _peer(quick: bool) -> dict[str, Any]:
    if not PEER_PYTHON.exists():
        raise RuntimeError("there is no .benchmarks-env; `make bench` makes it")
    subject = [str(PEER_PYTHON), str(HERE / "langgraph_peer.py")]
    return _workloads(subject, quick) | processes.measure(subject, quick, _log)


def _log(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
