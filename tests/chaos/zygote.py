"""A process that has everything imported and forks one child for each job, so that a worker starts in milliseconds.

Run as `python zygote.py`: it reads `Ask` lines on its standard input and writes `Said` lines on its standard output.
Its other side is `forks.py`; what a job is stands in `worker.py`. It has no thread, no event loop and no open database
when it forks, so each child is a process like any other: it dies of its own SIGKILL, and holds its own leases.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import msgspec
from killing import Ask, Job, Said
from rotation_worker import rotate
from worker import work

from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.worked_answers import worked_reply


async def _rotation(job: Job) -> None:
    os.write(1, b"%d\n" % await rotate(Path(job.home), job.database))


TASKS = {"runs": work, "rotation": _rotation}


async def _warm() -> None:
    """Goes through whole runs once, so that what is imported and compiled on the way is there before any fork."""
    async with FakeAnthropicBatches(worked_reply, polls=0) as server:
        for mode, url, batch in (("simulated", "", False), ("real", server.base_url, False)):
            with tempfile.TemporaryDirectory() as home:
                await work(Job(home, mode, url, batch=batch))
    import orchestrator_v2.persistence.postgres_writer  # noqa: F401 - for the children


def _child(ask: Ask, ours: list[int]) -> None:
    """Does the job and ends the process; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        said = os.open(ask.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(source, target)
        for descriptor in ours:
            os.close(descriptor)
        os.environ["CRASH_AT"] = ask.crash_at
        asyncio.run(TASKS[ask.job.task](ask.job))
        code = 0
    except BaseException:  # noqa: BLE001 - a process's end: whoever reads its words sees all of it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Zygote:
    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._children: dict[int, int] = {}
        self._awake, wake = os.pipe()
        for end in (self._awake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._ours = [answers, self._awake, wake]

    def serve(self) -> None:
        """Until the standard input ends; then no child is left behind."""
        unread = b""
        while True:
            for ready in select.select([0, self._awake], [], [])[0]:
                if ready == self._awake:
                    os.read(self._awake, 4096)
                    self._reap()
                    continue
                more = os.read(0, 65536)
                if not more:
                    return self._end()
                *lines, unread = (unread + more).split(b"\n")
                for line in lines:
                    self._do(msgspec.json.decode(line, type=Ask))

    def _do(self, ask: Ask) -> None:
        if ask.signal:
            for pid, number in self._children.items():
                if number == ask.number:
                    os.kill(pid, ask.signal)
            return
        pid = os.fork()
        if pid == 0:
            _child(ask, self._ours)
        self._children[pid] = ask.number
        self._say(Said(ask.number, pid))

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in self._children:
                self._say(Said(self._children.pop(pid), pid, os.waitstatus_to_exitcode(status)))

    def _say(self, said: Said) -> None:
        os.write(self._answers, msgspec.json.encode(said) + b"\n")

    def _end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    # What runs say must not come between the answers.
    mouth = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_warm())
    assert threading.active_count() == 1
    gc.freeze()
    zygote = Zygote(mouth)
    os.write(mouth, msgspec.json.encode(Said(0, os.getpid())) + b"\n")
    zygote.serve()
