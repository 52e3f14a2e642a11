"""A thousand clients on one run's events, committed by another process: nobody misses one, the server stays small."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from server_process import Server

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.workflow import Workflow
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

CLIENTS = 1_000
EVENTS = 16
PER_SECOND = 4
# RELIABILITY section 8: the server's memory under all of it.
MOST_MIB = 512
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


async def listened(port: int, last: int, opened: asyncio.Semaphore) -> list[int]:
    """All ids from the first to `last`; the connection is dropped once on the way, and taken up where it was."""
    found: list[int] = []
    for until in (last // 2, last):
        async for number in numbers(port, found[-1] if found else 0):
            if not found:
                opened.release()
            found.append(number)
            if number >= until:
                break
    return found


async def committed(journal: StoredJournal, last: int, ready: asyncio.Semaphore, clients: int) -> None:
    """The run's events, four a second, once everybody listens."""
    row = RunRow("run_1", 0, "prj_1", "local", "x", "w", "simulated", "running", 1.0, 1.0)
    claim = await journal.create_run(row, [Recorded(1, 1.0, STARTED)], {}, owner="elsewhere", lease=600)
    for _ in range(clients):
        await ready.acquire()
    for seq in range(2, last + 1):
        await asyncio.sleep(1 / PER_SECOND)
        await journal.append(claim, [Recorded(seq, 1.0, e.RunResumed(by=str(seq)))])


def peak_memory(pid: int) -> float:
    """In MiB: the most that the process has held at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_a_thousand_clients_hear_every_event_once_and_in_order(server: Server) -> None:
    """Each loses its connection in the middle and comes back with Last-Event-ID; the whole stays under 512 MiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CLIENTS + 200:
        pytest.skip(f"this machine lets a process open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + 200), hard))

    async def scene(port: int) -> list[list[int]]:
        journal = await open_journal(f"sqlite:///{server.data}/orchestrator.db", clock=SystemClock())
        ready = asyncio.Semaphore(0)
        try:
            writing = asyncio.create_task(committed(journal, EVENTS, ready, CLIENTS))
            found = await asyncio.gather(*(listened(port, EVENTS, ready) for _ in range(CLIENTS)))
            await writing
            return found
        finally:
            await journal.close()

    with server:
        found = asyncio.run(asyncio.wait_for(scene(server.port), 100))
        memory = peak_memory(server.process.pid)
    assert found == [list(range(1, EVENTS + 1))] * CLIENTS
    assert memory < MOST_MIB, f"{memory:.0f} MiB"
