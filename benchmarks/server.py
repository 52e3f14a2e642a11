"""The server beside the least that FastAPI can do: CPU of a request, how late a thousand listeners hear, memory.

The limit is `bare_server.py`. Both run in processes of their own; CPU is read from the kernel, so the client's is not
in it.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
LISTENERS = 1_000
PER_SECOND = 4
_TICK = os.sysconf("SC_CLK_TCK")


def measure(quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """CPU milliseconds of a request, ours to the bare server's; latency in seconds; memory in MiB."""
    count = 400 if quick else 2_000
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder, _ours(Path(folder)) as ours:
        with _process([sys.executable, str(HERE / "bare_server.py")], {}) as bare:
            log("server: requests")
            _fill(ours.address, 60)
            figures = _requests(ours, bare, count, 2 if quick else 5)
        log("server: listeners")
        late = asyncio.run(_listen(ours.port, Path(folder), 20 if quick else 40))
        figures |= {
            "latency_p50": statistics.median(late),
            "latency_p99": sorted(late)[int(len(late) * 0.99)],
            "memory": ours.peak_memory(),
        }
    return {"server": figures}


class Served:
    """A server's process and its address."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._pid = process.pid
        self.address = address
        self.port = int(address.rpartition(":")[2])

    def cpu(self) -> float:
        """Seconds of CPU so far, user's and system's."""
        facts = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(facts[11]) + int(facts[12])) / _TICK

    def peak_memory(self) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def _process(command: list[str], environment: Mapping[str, str]) -> Iterator[Served]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError("the server did not say where it is")
        yield Served(process, found[0])
    finally:
        process.kill()
        process.wait()


def _ours(folder: Path) -> Any:
    environment = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "ORCHESTRATOR_DATA_DIR": str(folder / "data"),
        "ORCHESTRATOR_STREAMS_PER_USER": str(LISTENERS + 1),
        "ORCHESTRATOR_RUNS_PER_USER": "10000",
    }
    return _process([sys.executable, "-m", "orchestrator_v2", "serve", "--port", "0"], environment)


def _fill(address: str, projects: int) -> None:
    """Projects without runs, so that a page of the list is full."""
    import httpx2

    with httpx2.Client(base_url=address, trust_env=False) as client:
        for number in range(projects):
            client.post("/projects", json={"project_name": f"p{number}", "run": False}).raise_for_status()


def _requests(ours: Served, bare: Served, count: int, rounds: int) -> dict[str, Any]:
    """Medians over rounds in which the two take turns; milliseconds of CPU, and requests a second over one client."""
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "agents": [], "page": []}
    cases = {"bare": (bare, "/agents"), "agents": (ours, "/agents"), "page": (ours, "/projects?limit=50")}
    for _ in range(rounds):
        for name, (server, path) in cases.items():
            found[name].append(asyncio.run(_hammer(server, path, count if name != "page" else count // 5)))
    cpu = {name: statistics.median(each[0] for each in samples) for name, samples in found.items()}
    rate = {name: statistics.median(each[1] for each in samples) for name, samples in found.items()}
    return {
        "request_ms": cpu["agents"],
        "page_ms": cpu["page"],
        "times_bare": cpu["agents"] / cpu["bare"],
        "requests_per_second": rate["agents"],
        "pages_per_second": rate["page"],
    }


async def _hammer(server: Served, path: str, count: int) -> tuple[float, float]:
    """CPU milliseconds of one request, and requests a second, over eight connections."""
    before, began = server.cpu(), time.perf_counter()
    await asyncio.gather(*(_ask(server.port, path, count // 8) for _ in range(8)))
    spent, seconds = server.cpu() - before, time.perf_counter() - began
    return spent * 1000 / (count // 8 * 8), (count // 8 * 8) / seconds


async def _ask(port: int, path: str, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path} answered {head[:40]!r}")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
    writer.close()


async def _listen(port: int, folder: Path, events: int) -> list[float]:
    """Seconds from before an event was committed until a client had it: all events, all clients."""
    from orchestrator_v2.core import events as e
    from orchestrator_v2.core.clock import SystemClock
    from orchestrator_v2.core.events import Recorded
    from orchestrator_v2.core.workflow import Workflow
    from orchestrator_v2.engine.ports import RunRow
    from orchestrator_v2.persistence.journal import open_journal

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sent: dict[int, float] = {}
    late: list[float] = []
    ready = asyncio.Semaphore(0)
    journal = await open_journal(f"sqlite:///{folder}/data/orchestrator.db", clock=SystemClock())
    row = RunRow("run_bench", 0, "prj_b", "local", "x", "w", "simulated", "running", 1.0, 1.0)
    started = e.RunStarted("prj_b", "x", "h", Workflow("w", ()), "simulated")
    claim = await journal.create_run(row, [Recorded(1, 1.0, started)], {}, owner="elsewhere", lease=3_600)

    listeners = [asyncio.create_task(_client(port, sent, late, ready, events)) for _ in range(LISTENERS)]
    for _ in range(LISTENERS):
        await ready.acquire()
    for seq in range(2, events + 1):
        await asyncio.sleep(1 / PER_SECOND)
        sent[seq] = time.perf_counter()
        await journal.append(claim, [Recorded(seq, 1.0, e.RunResumed(by=str(seq)))])
    await asyncio.gather(*listeners)
    await journal.close()
    return late


async def _client(port: int, sent: dict[int, float], late: list[float], ready: asyncio.Semaphore, events: int) -> None:
    """Hears every event, and adds to `late` how long each took; raises on a gap."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /runs/run_bench/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    seen = 0
    while seen < events:
        line = await reader.readline()
        if not line:
            raise RuntimeError("a stream ended early")
        if not line.startswith(b"id: "):
            continue
        if int(line[4:]) != seen + 1:
            raise RuntimeError(f"a gap: {line!r} after {seen}")
        seen += 1
        if seen == 1:
            ready.release()
        else:
            late.append(time.perf_counter() - sent[seen])
    writer.close()
