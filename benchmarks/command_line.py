"""The command line from outside: help, the first event, the first model request, a whole simulated run.

What the subjects do inside a process is `workloads.py`.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import environment

BRIEF = "A pomodoro timer with statistics and CSV export"
PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
# Seconds after which a start is given up.
PATIENCE = 30.0


def measure(quick: bool, log: Callable[[str], None]) -> dict[str, float]:
    """Wall seconds by name, medians. Raises RuntimeError when a command does not do what is measured."""
    rounds = 2 if quick else 5
    figures = {}
    for name, work in _MEASURED.items():
        log(f"command line: {name}")
        figures[name] = statistics.median(_in_folder(work) for _ in range(rounds))
    return figures


def _in_folder(work: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        return work(Path(name))


def _help(folder: Path) -> float:
    return _finished(folder, "--help")


def _whole_run(folder: Path) -> float:
    return _finished(folder, "run", BRIEF, "--out", str(folder / "project"))


def _finished(folder: Path, *arguments: str) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [PROGRAM, *arguments], env=_environment(folder), cwd=folder, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"orchestrator {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return seconds


def _first_event(folder: Path) -> float:
    with _started(folder, "run", BRIEF, "--out", str(folder / "project"), "--json") as (process, start):
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
    if json.loads(line or "{}").get("seq") != 1:
        raise RuntimeError(f"the first line is no first event: {line[:300]!r}")
    return seconds


def _first_request(folder: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        keys = {"ORCHESTRATOR_BASE_URL": address, "ANTHROPIC_API_KEY": "sk-ant-bench"}
        with _started(folder, "run", BRIEF, "--out", str(folder / "project"), "--real-llm", **keys) as (_, start):
            connection, _address = server.accept()
            connection.settimeout(PATIENCE)
            with connection:
                head = connection.recv(65_536)
                seconds = time.perf_counter() - start
    if not head.startswith(b"POST"):
        raise RuntimeError(f"no model request came: {head[:100]!r}")
    return seconds


@contextmanager
def _started(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[Any, float]]:
    start = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        env=_environment(folder, **more),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process, start
    finally:
        process.kill()
        process.communicate()


def _environment(folder: Path, **more: str) -> dict[str, str]:
    return environment(ORCHESTRATOR_DATA_DIR=str(folder / "data"), **more)


_MEASURED: dict[str, Callable[[Path], float]] = {
    "help": _help,
    "first_event": _first_event,
    "first_request": _first_request,
    "whole_run": _whole_run,
}
