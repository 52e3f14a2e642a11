"""What is to be reached, one line a figure: where its value lies among the figures, and the two limits.

How the values are shown is `table.py`; where they come from is `workloads.py`, `processes.py` and the others.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Target(NamedTuple):
    """`path` leads to the value; a smaller value is better; None means that no limit is set."""

    title: str
    path: tuple[str, ...]
    unit: str
    must: float | None = None
    should: float | None = None
    digits: int = 2


_NORMAL, _FULL = "x raw NORMAL", "x raw FULL"

TARGETS = (
    Target("chain of 300, CPU", ("chain", "times_normal"), _NORMAL, 11, 8, 1),
    Target("chain of 300, CPU", ("chain", "times_full"), _FULL, 2.5),
    Target("fan-out of 300, CPU", ("fan_out", "times_normal"), _NORMAL, 4, 2, 1),
    Target("fan-out of 300, CPU", ("fan_out", "times_full"), _FULL),
    Target("50 runs x 10, CPU", ("fleet", "times_normal"), _NORMAL, 5, 2.5, 1),
    Target("50 runs x 10, CPU", ("fleet", "times_full"), _FULL),
    Target("chain of 3,000, CPU", ("growth", "times_full"), _FULL),
    Target("a late task to an early one in it", ("growth", "late_to_early"), "x", 1.2, 1.0),
    Target("written to disk for 2 KB", ("growth", "kb_a_task"), "KB", 20, digits=1),
    Target("200 runs x 5 x 50 ms, wall", ("waiting", "times_ideal"), "x ideal", 1.5, 1.35),
    Target("200 runs x 5 x 50 ms, CPU", ("waiting", "times_normal"), _NORMAL, 5, 3, 1),
    Target("chain killed: done again", ("killed_chain", "again"), "tasks", 0, 0, 0),
    Target("chain killed: resume of 150 + 150", ("killed_chain", "seconds"), "s", 0.3, 0.15),
    Target("fan-out killed: done again", ("killed_fan_out", "again"), "tasks", 0, 0, 0),
    Target("import, CPU", ("import_cpu",), "s", 0.25, 0.15),
    Target("cold process to first durable task", ("first_task",), "s", 0.40, 0.25),
    Target("orchestrator --help", ("help",), "s", 0.4),
    Target("orchestrator run to first event", ("first_event",), "s", 1.0),
    Target("orchestrator run to first model request", ("first_request",), "s", 0.6, 0.35),
    Target("orchestrator run, simulated, tests run", ("whole_run",), "s", 3.0),
    Target("highest memory, 50 x 10", ("memory_50",), "MB", 45, 35, 0),
    Target("highest memory, 1,000 x 10", ("memory_1000",), "MB", 110, 80, 0),
    Target("model call, all wrappers, CPU", ("llm", "call_to_sdk"), "x the SDK", 1.3),
    Target("model call, all wrappers, CPU", ("llm", "call_to_raw"), "x raw HTTP"),
    Target("model call, all wrappers, CPU", ("llm", "call_to_pydantic_ai"), "x pydantic-ai", 1.0),
    Target("model call, all wrappers, CPU", ("llm", "call_to_langchain"), "x langchain"),
    Target("stream of 229 deltas, CPU", ("llm", "stream_to_sdk"), "x the SDK", 0.2),
    Target("stream of 229 deltas, CPU", ("llm", "stream_to_pydantic_ai"), "x pydantic-ai"),
    Target("stream of 229 deltas, CPU", ("llm", "stream_to_langchain"), "x langchain"),
    Target("memory after 100,000 calls to after 10,000", ("llm", "memory_growth"), "x", 1.05),
    Target("a call beside 64 idle connections to beside one", ("llm", "idle_growth"), "x", 1.1),
    Target("operations, 1 in flight", ("operations", "alone"), "a second", digits=0),
    Target("operations, 1 in flight: a plain call's rate", ("operations", "alone_to_sdk"), "x ours"),
    Target("operations, 64 in flight", ("operations", "together"), "a second", digits=0),
    Target("operations, 64 in flight: plain calls' rate", ("operations", "together_to_sdk"), "x ours"),
    Target("operation, 64 in flight, CPU", ("operations", "cpu"), "ms"),
    Target("operation, 64 in flight, CPU", ("operations", "cpu_to_sdk"), "x the SDK", 3.0),
    Target("a task in process, wall", ("tasks", "wall_to_command_line"), "x llm ask", 0.02, digits=4),
    Target("a task in process, CPU", ("tasks", "cpu_to_command_line"), "x llm ask", 0.02, digits=4),
    Target("a task in process, wall", ("tasks", "wall_to_sdk_script"), "x SDK script", 0.02, digits=4),
    Target("a task in process, CPU", ("tasks", "cpu_to_sdk_script"), "x SDK script", 0.02, digits=4),
    Target("server: GET of eight agents, CPU", ("server", "times_bare"), "x bare FastAPI", 3.0),
    Target("server: GET of eight agents", ("server", "requests_per_second"), "a second", digits=0),
    Target("server: a page of 50 projects", ("server", "page_ms"), "ms CPU", digits=1),
    Target("1,000 listeners, 4 events/s, p99", ("server", "latency_p99"), "s", 1.0),
    Target("1,000 listeners, 4 events/s, median", ("server", "latency_p50"), "s"),
    Target("server's highest memory with them", ("server", "memory"), "MB", 512, digits=0),
    Target("PostgreSQL with server, chain, CPU", ("postgres", "chain"), "ms", 0.8, 0.5),
    Target("PostgreSQL with server, fleet, CPU", ("postgres", "fleet"), "ms", 0.2, 0.1),
    Target("four workers on it, 50 runs each: a task, wall", ("workers", "fleet", "wall_ms"), "ms", 2.5),
    Target("four workers on it, 50 runs each", ("workers", "fleet", "a_second"), "tasks a second", digits=0),
    Target("four workers on it, 50 runs each, CPU", ("workers", "fleet", "cpu_to_raw"), "x raw psycopg", 2.0),
    Target("four workers on it, a chain each: a task, wall", ("workers", "chain", "wall_ms"), "ms", 2.5),
    Target("four workers on it, a chain each", ("workers", "chain", "a_second"), "tasks a second", digits=0),
    Target("four workers on it, a chain each, CPU", ("workers", "chain", "cpu_to_raw"), "x raw psycopg", 2.0),
)


def value_of(target: Target, figures: dict[str, Any]) -> float | None:
    """The measured value, as exact as it is shown; None where it was not measured."""
    found: Any = figures
    for key in target.path:
        found = found.get(key) if isinstance(found, dict) else None
    return None if found is None else round(float(found), target.digits)


def verdict(target: Target, value: float | None) -> str:
    if value is None or (target.must is None and target.should is None):
        return ""
    if target.should is not None and value <= target.should:
        return "should"
    return "must" if target.must is not None and value <= target.must else "MISSED"


def faults(figures: dict[str, Any]) -> list[str]:
    """Broken promises, in words. Slowness is none."""
    found = []
    for shape in ("killed_chain", "killed_fan_out"):
        killed = figures.get(shape, {})
        for key, words in _FAULTS.items():
            if killed.get(key):
                found.append(f"{shape}: {killed[key]} {words}")
    return found


_FAULTS = {
    "again": "finished tasks were done again",
    "lost": "acknowledged results were not in the database",
    "wrong": "tasks have no result, or more than one, after the resume",
}
