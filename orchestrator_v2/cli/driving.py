"""Drives a run from the command line: shows it, drains it on a signal, says how it came out, gives the exit code.

How a run is begun is each command's business; how it is shown is `watching.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from orchestrator_v2.cli import exit_codes, render
from orchestrator_v2.cli.given import Given
from orchestrator_v2.cli.summary import say_result
from orchestrator_v2.cli.watching import Watching
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.engine.state_models import ProjectState, RunStatus

Work = Callable[[Any, Watching], Awaitable[ProjectState]]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def drive(given: Given, work: Work, *, as_json: bool) -> int:
    """Does `work` with an open orchestrator, shows the run on the way, and returns the exit code."""
    return asyncio.run(_drive(given, work, as_json))


async def _drive(given: Given, work: Work, as_json: bool) -> int:
    watching = Watching(SystemClock(), as_json=as_json)
    async with await given.open(listener=watching.took, activity=watching.active) as orchestrator:
        watching.on_lost = orchestrator.stop
        with draining(orchestrator, watching) as stopping:
            try:
                state = await work(orchestrator, watching)
            except OrchestratorError:
                watching.close()
                _say_kept(watching)
                raise
            finally:
                watching.close()
        if watching.failure is not None:
            raise watching.failure
        standing = await orchestrator.standing(state.run_id)
    drained = bool(stopping.signal) and state.status is RunStatus.RUNNING
    code = exit_codes.SIGNALLED + stopping.signal if drained else exit_codes.OF_STATUS[state.status.value]
    say_result(standing, code=code, drained=drained, as_json=as_json)
    return code


def _say_kept(watching: Watching) -> None:
    """A run that was recorded is not lost by an error that came after."""
    state = watching.progress.state
    if state is not None and watching.progress.heard:
        render.note(f"Run {state.run_id} is kept; `orchestrator status {state.run_id}` shows it.")


class Stoppable(Protocol):
    def stop(self) -> None: ...


class Shown(Protocol):
    """Where a run that goes on is shown; `run_id` is empty as long as there is none."""

    @property
    def run_id(self) -> str: ...

    def remark(self, text: str) -> None: ...

    def close(self) -> None: ...


class Stopping:
    """The first signal asks what is `driven` to drain, the second ends the process where it stands.

    `go_on` is the command that a run is gone on with later.
    """

    def __init__(self, driven: Stoppable, shown: Shown, go_on: str = "orchestrator resume") -> None:
        self.signal = 0
        self._driven = driven
        self._shown = shown
        self._go_on = go_on

    def __call__(self, number: int) -> None:
        if self.signal:
            self._shown.close()
            run_id = self._shown.run_id
            if run_id:
                render.note(f"Left at once; nothing that was recorded is lost. Go on: {self._go_on} {run_id}")
            sys.stderr.flush()
            os._exit(exit_codes.SIGNALLED + number)
        self.signal = number
        self._shown.remark("Stopping: what is under way may end (at most 30 s). Ctrl-C again leaves at once.")
        self._driven.stop()


@contextmanager
def draining(driven: Stoppable, shown: Shown, go_on: str = "orchestrator resume") -> Iterator[Stopping]:
    """As long as this is open, signals stop what is `driven`, as `Stopping` says."""
    stopping = Stopping(driven, shown, go_on)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping, number)
    try:
        yield stopping
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
