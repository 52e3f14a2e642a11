"""What happens to whole processes: killed and resumed, started cold, and how much memory they take.

A subject is the command that starts its file; what its commands do is `child.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Command = Sequence[str]

# Of the 300 tasks of a run: a kill falls when this many have ended.
HALF = 150


def ask(subject: Command, *arguments: str) -> Any:
    """The JSON answer of one command; raises RuntimeError with what the process said when it fails."""
    done = subprocess.run([*subject, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} of {subject[-1]} ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(subject: Command, quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """All figures, by name; `log` is told what is being done."""
    rounds = 1 if quick else 5
    figures: dict[str, Any] = {}
    for shape in ("chain", "fan-out"):
        log(f"{shape}, killed and resumed")
        figures[f"killed_{shape.replace('-', '_')}"] = _added_up([_killed(subject, shape) for _ in range(rounds)])
    log("cold start")
    figures["import_cpu"] = _import_cpu(subject, rounds + 2)
    figures["first_task"] = statistics.median(_first_task(subject) for _ in range(rounds + 2))
    for runs in (50, 200 if quick else 1_000):
        log(f"memory of {runs} runs")
        figures[f"memory_{runs}"] = _in_folder(lambda folder, n=runs: ask(subject, "memory", str(n), str(folder)))
    return figures


def _in_folder(work: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        return work(Path(name))


def _import_cpu(subject: Command, rounds: int) -> float:
    """CPU seconds of a process that imports the subject, less those of a bare one."""
    statement = str(ask(subject, "imports"))
    return statistics.median(_cpu(subject[0], statement) - _cpu(subject[0], "pass") for _ in range(rounds))


def _cpu(interpreter: str, statement: str) -> float:
    process = subprocess.Popen([interpreter, "-c", statement])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"`{statement}` ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _first_task(subject: Command) -> float:
    """Wall seconds from the start of a process to its first durable task."""

    def work(folder: Path) -> float:
        start = time.perf_counter()
        ask(subject, "first-task", str(folder))
        return time.perf_counter() - start

    return float(_in_folder(work))


def _killed(subject: Command, shape: str) -> dict[str, Any]:
    return dict(_in_folder(lambda folder: _killed_in(folder, subject, shape)))


def _killed_in(folder: Path, subject: Command, shape: str) -> dict[str, Any]:
    """One run killed with SIGKILL half way, then resumed by a new process."""
    process = subprocess.Popen([*subject, "walk", shape, str(folder)], stdout=subprocess.DEVNULL)
    while len(_logged(folder)) < HALF and process.poll() is None:
        time.sleep(0.000_2)
    process.kill()
    if process.wait() == 0:
        raise RuntimeError("the run had ended before it was killed")
    before = _logged(folder)
    kept = ask(subject, "finished", shape, str(folder))
    seconds = ask(subject, "resume", shape, str(folder))
    done_since = Counter(_logged(folder)) - Counter(before)
    results = Counter(ask(subject, "finished", shape, str(folder)))
    return {
        "again": sum(done_since[name] for name in kept),
        # A link of a chain begins when the result before it was acknowledged.
        "lost": len(set(before[:-1]) - set(kept)) if shape == "chain" else 0,
        "wrong": 300 - sum(1 for count in results.values() if count == 1),
        "kept": len(kept),
        "seconds": seconds,
    }


def _logged(folder: Path) -> list[str]:
    try:
        return (folder / "log").read_text().split()
    except FileNotFoundError:
        return []


def _added_up(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(one[name] for one in rounds) for name in ("again", "lost", "wrong")}
    middle = {name: statistics.median(one[name] for one in rounds) for name in ("kept", "seconds")}
    return {**sums, **middle, "kills": len(rounds)}


def environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that would change how the product runs."""
    own = ("ORCHESTRATOR_", "ANTHROPIC_", "CLAUDE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | more


def python(script: str) -> Command:
    """A script of this folder, run by this interpreter."""
    return [sys.executable, str(Path(__file__).with_name(script))]
