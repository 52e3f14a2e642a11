"""Keeps runs going in the background: drives what was started, takes up what was left, at most so many at once.

How one run is walked is the driver's; what may be asked of a run is `runs.py`. The journal is the queue: a run that
waits for its turn is marked as running and held by nobody, so it outlives this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import FencedError, OrchestratorError
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.orchestrator import Orchestrator

_log = logging.getLogger(__name__)
# How often the journal is asked for runs that could go on (seconds).
TEND = 1.0
# How long a run is left alone that could not be driven, though it was there to be (seconds).
REST = 60.0


class Keeper:
    """`at_once` is how many runs are driven at the same time; `active` says how many are."""

    def __init__(self, orchestrator: Orchestrator, *, at_once: int) -> None:
        self._orchestrator = orchestrator
        self._at_once = at_once
        self._busy: dict[str, asyncio.Task[bool]] = {}
        self._rest: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._taking: set[asyncio.Task[bool]] = set()
        self._poke = asyncio.Event()
        self._served: dict[str, int] = {}
        self._turn = 0
        self._stopping = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    @property
    def active(self) -> int:
        return len(self._busy)

    def start(self) -> None:
        """From here on, runs that were left by a dead process or whose wait is over go on by themselves."""
        self._tending = asyncio.create_task(self._tend())

    async def check(self) -> None:
        """Raises `DriverUnavailableError` where what drives the runs does not answer; here it is this process."""

    async def stop(self) -> None:
        """Starts nothing more; what is under way may end, for as long as the driver lets it (30 s)."""
        self._stopping.set()
        self._orchestrator.stop()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await asyncio.gather(*self._busy.values(), *self._taking, return_exceptions=True)

    async def take(self, session: RunSession) -> None:
        """Drives a run that was opened, now or when its turn comes."""
        run_id = session.state.run_id
        if self._stopping.is_set() or run_id in self._busy or len(self._busy) >= self._at_once:
            await self._orchestrator.put_by(session)
            return
        self._spawn(run_id, session.state.begun.owner_id, partial(self._orchestrator.drive, session))

    def look(self) -> None:
        """Looks for runs that could go on now, not when the next second is over."""
        self._poke.set()

    def attend(self, run_id: str) -> None:
        """Has a signal taken that was sent to a run: by whoever drives it, or here, without waiting for a turn."""
        if run_id in self._busy or self._stopping.is_set():
            return
        task = asyncio.create_task(self._quietly(run_id, partial(self._orchestrator.take_signals, run_id)))
        self._taking.add(task)
        task.add_done_callback(self._taken)

    def _taken(self, task: asyncio.Task[bool]) -> None:
        self._taking.discard(task)
        self._look_at_once_after(task)

    def _spawn(self, run_id: str, owner_id: str, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.create_task(self._quietly(run_id, work))
        self._busy[run_id], self._owners[run_id] = task, owner_id
        task.add_done_callback(lambda _: self._ended(run_id, task))

    def _ended(self, run_id: str, task: asyncio.Task[bool]) -> None:
        self._busy.pop(run_id, None)
        self._owners.pop(run_id, None)
        self._look_at_once_after(task)

    def _look_at_once_after(self, task: asyncio.Task[bool]) -> None:
        """Only after what came to something: else one run that cannot be had would be asked for without a pause."""
        if not task.cancelled() and task.result():
            self._poke.set()

    async def _quietly(self, run_id: str, work: Callable[[], Awaitable[object]]) -> bool:
        """What goes wrong with one run is logged, and it is left alone for a while; other runs go on.

        True where the work came to something.
        """
        CORRELATION.set(run_id)
        self._rest[run_id] = asyncio.get_running_loop().time() + REST
        try:
            came_to_something = bool(await work())
            self._rest.pop(run_id, None)
            return came_to_something
        except FencedError:
            _log.info("run %s is driven by another process", run_id)
        except OrchestratorError as error:
            _log.warning("run %s was let go: %s", run_id, error)
        except Exception:  # noqa: BLE001 - logged with its story; a fault of one run must not end the others
            _log.exception("run %s was let go", run_id)
        return False

    async def _take_up(self, run_id: str) -> bool:
        session = await self._orchestrator.take_up(run_id)
        if session is not None:
            await self._orchestrator.drive(session)
        return session is not None

    async def _tend(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._look_round()
            except OrchestratorError as error:
                # The database may be away for a while; runs wait in it, and nothing is lost.
                _log.warning("runs cannot be looked for: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, runs must not be left lying for good
                _log.exception("runs cannot be looked for")
            self._poke.clear()
            # Not wait_for: it may swallow a cancel that comes with the end of what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TEND):
                    await self._poke.wait()

    def _next(self, waiting: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """The oldest of the owner who has the fewest under way and was served the longest ago: nobody's fifty runs come
        before another's first."""
        have = Counter(self._owners.values())
        chosen = min(waiting, key=lambda it: (have[it[1]], self._served.get(it[1], 0)))
        self._turn += 1
        self._served[chosen[1]] = self._turn
        return chosen

    async def _look_round(self) -> None:
        now = asyncio.get_running_loop().time()
        self._rest = {run_id: until for run_id, until in self._rest.items() if until > now}
        for run_id in await self._orchestrator.signalled():
            if run_id not in self._rest:
                self.attend(run_id)
        found = [] if len(self._busy) >= self._at_once else await self._orchestrator.unattended()
        waiting = [each for each in found if each[0] not in self._rest]
        while waiting and len(self._busy) < self._at_once:
            chosen = self._next(waiting)
            waiting.remove(chosen)
            if chosen[0] not in self._busy:
                self._spawn(*chosen, partial(self._take_up, chosen[0]))
