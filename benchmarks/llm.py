"""The model layer beside raw HTTP, the vendor's SDK and two frameworks: CPU of the client's process, one local server.

Each client runs in a process of its own, in turns, several rounds; what they do there is `llm_clients.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import Command, ask

HERE = Path(__file__).parent
PEER_PYTHON = str(HERE.parent / ".benchmarks-env" / "bin" / "python")
_PYTHON = {"pydantic-ai": PEER_PYTHON, "langchain": PEER_PYTHON}
_COUNTS = {"calls": 480, "streams": 60}


def measure(quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """CPU milliseconds of a call and a stream for each client, what ours is to the others, and what grows."""
    with model_server() as address:
        figures: dict[str, Any] = {
            what: _in_turns(address, what, count, 2 if quick else 5, log) for what, count in _COUNTS.items()
        }
        log("model layer: memory")
        early, late = ask(_client("ours"), "ours", address, "memory", "3000" if quick else "100000")
        log("model layer: idle connections")
        alone, beside = ask(_client("ours"), "ours", address, "idle", "300")
    calls, streams = figures["calls"], figures["streams"]
    return {
        "llm": {
            **figures,
            "call_to_sdk": calls["ours"] / calls["sdk"],
            "call_to_raw": calls["ours"] / calls["raw"],
            "call_to_pydantic_ai": calls["ours"] / calls["pydantic-ai"],
            "call_to_langchain": calls["ours"] / calls["langchain"],
            "stream_to_sdk": streams["ours"] / streams["sdk"],
            "stream_to_pydantic_ai": streams["ours"] / streams["pydantic-ai"],
            "stream_to_langchain": streams["ours"] / streams["langchain"],
            "memory_growth": late / early,
            "idle_growth": beside / alone,
        }
    }


def _in_turns(address: str, what: str, count: int, rounds: int, log: Callable[[str], None]) -> dict[str, float]:
    """Medians; the clients take turns, so that a slow minute of the machine falls on all of them."""
    samples: dict[str, list[float]] = {name: [] for name in ("raw", "ours", "sdk", "pydantic-ai", "langchain")}
    for number in range(rounds):
        log(f"model layer: {what}, round {number + 1} of {rounds}")
        for name, found in samples.items():
            found.append(float(ask(_client(name), name, address, what, str(count))))
    return {name: statistics.median(found) for name, found in samples.items()}


def _client(name: str) -> Command:
    return [_PYTHON.get(name, sys.executable), str(HERE / "llm_clients.py")]


@contextmanager
def model_server() -> Iterator[str]:
    """The address of a local server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "llm_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()
