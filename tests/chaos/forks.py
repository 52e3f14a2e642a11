"""Workers that are forked from one warm process: started in milliseconds, killed for real.

The process itself is `zygote.py`, what its children do `worker.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from killing import HERE, TAKEN_OVER_WITHIN, Ask, Ended, Job, Said


class Forked:
    """A worker; what it says goes to a file, outside its home: that may be full."""

    def __init__(self, forks: Forks, number: int, said: Path) -> None:
        loop = asyncio.get_running_loop()
        self._forks = forks
        self._number = number
        self._file = said
        self.started: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    @property
    def pid(self) -> int:
        return self.started.result()

    def said(self) -> str:
        return self._file.read_text("utf-8", "replace") if self._file.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Sent by its parent, so that it never meets another process of that number."""
        self._forks.ask(Ask(self._number, signal=number))

    async def end(self, *, within: float = TAKEN_OVER_WITHIN) -> Ended:
        async with asyncio.timeout(within):
            code = await asyncio.shield(self.ended)
        said = self.said()
        return Ended(code, said, said)


class Forks:
    """The test's side of a zygote; it may be used by one event loop after another."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asks, self._answers = process.stdin, process.stdout
        self._folder = folder
        self._unread = b""
        self._count = 0
        self._workers: dict[int, Forked] = {}

    async def start(self, job: Job, crash_at: str = "") -> Forked:
        """A worker that has begun; `CRASH_AT` is its own alone."""
        self._count += 1
        said = self._folder / f"said-{self._count}"
        worker = self._workers[self._count] = Forked(self, self._count, said)
        asyncio.get_running_loop().add_reader(self._answers.fileno(), self._hear)
        self.ask(Ask(self._count, job, crash_at, str(said)))
        await worker.started
        return worker

    async def run(self, job: Job, crash_at: str = "", *, within: float = TAKEN_OVER_WITHIN) -> Ended:
        return await (await self.start(job, crash_at)).end(within=within)

    async def finish(self, job: Job, *, within: float = TAKEN_OVER_WITHIN) -> None:
        """A worker that is left alone ends its work."""
        ended = await self.run(job, within=within)
        assert (ended.code, ended.said.split()[-1:]) == (0, ["finished"]), ended.said

    def ask(self, ask: Ask) -> None:
        self._asks.write(msgspec.json.encode(ask) + b"\n")
        self._asks.flush()

    def _hear(self) -> None:
        *lines, self._unread = (self._unread + os.read(self._answers.fileno(), 65536)).split(b"\n")
        for said in (msgspec.json.decode(line, type=Said) for line in lines):
            worker = self._workers.get(said.number)
            if worker is None:
                continue
            if said.code is None:
                worker.started.set_result(said.pid)
                continue
            del self._workers[said.number]
            if not worker.ended.get_loop().is_closed():
                worker.ended.set_result(said.code)


@contextmanager
def running_forks() -> Iterator[Forks]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, str(HERE / "zygote.py")]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory(prefix="forks_") as folder,
        subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline(), "the zygote did not come up"
        yield Forks(process, Path(folder))
        assert process.stdin is not None
        process.stdin.close()
