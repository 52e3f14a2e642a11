"""A thousand clients on one run's events, committed by another process: nobody misses one, the server stays small."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest
from reliability_report import Tell
from server_process import Server

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

CLIENTS = 1_000
PER_SECOND = 4
# RELIABILITY section 8: the server's memory under all of it, and the delay in seconds of 99 arrivals in a hundred.
MOST_MIB, MOST_DELAY = 512, 1.0
STARTED = e.RunStarted("prj_1", "x", "h", Workflow("w", ()), "simulated")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "home", ORCHESTRATOR_STREAMS_PER_USER=str(CLIENTS + 1))


async def numbers(port: int, after: int) -> AsyncIterator[int]:
    """The ids of a stream over a bare connection, as they come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = ("GET /runs/run_1/events HTTP/1.1", "Host: localhost", "Accept: text/event-stream")
    request = "\r\n".join((*head, f"Last-Event-ID: {after}", "", ""))
    writer.write(request.encode())
    try:
        while line := await reader.readline():
            if line.startswith(b"id: "):
                yield int(line[4:])
    finally:
        writer.close()


class Scene:
    """`last` events of one run; when each was committed, and how late it came once all are back."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.ready = asyncio.Semaphore(0)
        self.committed: dict[int, float] = {}
        # In four windows, as neighbours on the machine come and go.
        self.delays: list[list[float]] = [[], [], [], []]

    async def listened(self, port: int) -> list[int]:
        """All ids from the first to the last; the connection is dropped once on the way, and taken up where it was."""
        found: list[int] = []
        for until in (self.last // 4, self.last):
            async for number in numbers(port, found[-1] if found else 0):
                # A thousand clients that come back in one moment have to be let in first.
                if number > self.last // 2:
                    window = (number - self.last // 2 - 1) * 4 // (self.last - self.last // 2)
                    self.delays[window].append(time.monotonic() - self.committed[number])
                if not found:
                    self.ready.release()
                found.append(number)
                if number >= until:
                    break
        return found


async def committed(journal: StoredJournal, scene: Scene, clients: int) -> None:
    """The run's events, four a second, once everybody listens."""
    row = RunRow("run_1", 0, "prj_1", "local", "x", "w", "simulated", "running", 1.0, 1.0)
    claim = await journal.create_run(row, [Recorded(1, 1.0, STARTED)], {}, owner="elsewhere", lease=600)
    for _ in range(clients):
        await scene.ready.acquire()
    for seq in range(2, scene.last + 1):
        await asyncio.sleep(1 / PER_SECOND)
        # Set before the commit, as one may hear of it before this task is woken.
        scene.committed[seq] = time.monotonic()
        await journal.append(claim, [Recorded(seq, 1.0, e.RunResumed(by=str(seq)))])


def peak_memory(pid: int) -> float:
    """In MiB: the most that the process has held at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.parametrize("events", [16, pytest.param(80, marks=pytest.mark.chaos)])
@pytest.mark.timeout(180)
def test_a_thousand_clients_hear_every_event_once_and_in_order(server: Server, events: int, tell: Tell) -> None:
    """Each loses its connection in the middle and comes back with Last-Event-ID; the whole stays under 512 MiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CLIENTS + 200:
        pytest.skip(f"this machine lets a process open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + 200), hard))

    async def played(port: int) -> tuple[Scene, list[list[int]]]:
        scene = Scene(events)
        journal = await open_journal(f"sqlite:///{server.data}/orchestrator.db", clock=SystemClock())
        try:
            writing = asyncio.create_task(committed(journal, scene, CLIENTS))
            found = await asyncio.gather(*(scene.listened(port) for _ in range(CLIENTS)))
            await writing
            return scene, found
        finally:
            await journal.close()

    with server:
        scene, found = asyncio.run(asyncio.wait_for(played(server.port), 150))
        memory = peak_memory(server.process.pid)
    late = statistics.quantiles(list(chain.from_iterable(scene.delays)), n=100)
    quietest = min(statistics.quantiles(each, n=100)[98] for each in scene.delays)
    tell(
        "scale",
        "1,000 clients on one stream, 4 events a second",
        where="SQLite, the server's process",
        clients=CLIENTS,
        arrivals=sum(map(len, found)),
        reconnections=CLIENTS,
        clients_with_a_gap_or_a_double=sum(each != list(range(1, events + 1)) for each in found),
        delay_p50_s=f"{late[49]:.2f}",
        delay_p99_s=f"{late[98]:.2f}",
        p99_of_the_quietest_quarter_s=f"{quietest:.2f}",
        server_MiB=f"{memory:.0f}",
    )
    assert found == [list(range(1, events + 1))] * CLIENTS
    assert memory < MOST_MIB, f"{memory:.0f} MiB"
    # In the short one all of them come back in this very moment.
    assert events < 80 or quietest <= MOST_DELAY
