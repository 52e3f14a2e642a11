"""`Orchestrator`: what a user asks for, in the user's words; each method is one verb of the product.

It knows the engine and a driver through what `bootstrap.py` hands it; which database, model or sandbox stands
behind them is decided there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path

from orchestrator_v2.core.errors import FencedError, OutputPathError, RunStateError, UnknownNameError, WorkspaceError
from orchestrator_v2.engine.decisions import LEFT
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.history import files_of, phase_commits
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.replay import Replayed
from orchestrator_v2.engine.session import RunSession, admit_none
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.parts import ArchiveKind, Parts, RunRequest
from orchestrator_v2.run_reader import POLL, RunReader, refuse_operation, refuse_replay

# How long a command waits for the process that drives a run to take its signal (seconds).
_SIGNAL_WAIT = 5.0
# How long one who waits sleeps before it looks at the run again (seconds).
_NAP = 5.0
# How often one looks whether a run that stands still was let go of.
_LETTING_GO = 20
_UNDER_WAY = (RunStatus.WAITING_PROVIDER, RunStatus.RUNNING)


class Orchestrator(RunReader):
    """Open one with `open_orchestrator(...)`; it is an async context manager."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._driven: set[str] = set()
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Orchestrator:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._parts.close()

    def stop(self) -> None:
        """Starts no further task; drives return when the tasks under way have ended (at most 30 s)."""
        self._stopped.set()
        self._parts.driver.stop()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to start nothing more."""
        return self._stopped.is_set()

    async def run(self, request: RunRequest) -> ProjectState:
        """From a brief to where the run ends or waits. Raises `InputError` before anything is started."""
        return await self.drive(await self.start(request))

    def check(self, request: RunRequest) -> str:
        """The mode that the request comes to: real or simulated. Raises what `start` raises before it starts."""
        return self._parts.settle(request).mode

    async def start(self, request: RunRequest) -> RunSession:
        """Records the run; from here on it is never lost. `drive` walks it."""
        new = self._parts.settle(request)
        if request.out is not None:
            await self._parts.check_out(request.out, None)
        return await self._engine.create_project(new)

    async def begin(self, new: NewRun) -> RunSession:
        """`start` for a run that was settled elsewhere, such as one that answers an operation."""
        return await self._engine.create_project(new)

    async def drive(self, session: RunSession) -> ProjectState:
        """Walks until the run ends or stands still, and lays its project out where the user wanted it."""
        self._driven.add(session.state.run_id)
        try:
            await self._parts.abandon(session)
            state = await self._walked(session)
        finally:
            self._driven.discard(session.state.run_id)
        await self._lay_out_where_wanted(state)
        return state

    async def _walked(self, session: RunSession) -> ProjectState:
        run_id = session.state.run_id
        while True:
            state = await self._parts.driver.drive(session)
            if state.status is RunStatus.RUNNING or run_id not in await self._journal.signalled():
                break
            again = await self._engine.open(run_id)
            if again is None:
                break
            session = again
            await self._engine.recover(session, by="signal")
        return state

    async def _lay_out_where_wanted(self, state: ProjectState) -> None:
        row = await self._engine.row(state.run_id)
        if row.out and any(entry.artifacts for entry in state.phases.values()):
            self._parts.probe("committed-before-artifact")
            try:
                await self.export(state.run_id, Path(row.out))
            except (OutputPathError, WorkspaceError) as error:
                # Before a run a bad folder is bad input; now the work is done and kept, and only the folder is missing.
                then = f"The run is kept: `orchestrator resume {state.run_id}` lays it out again."
                raise WorkspaceError(error.what, error.why, f"{error.do} {then}".lstrip()) from error

    async def resume(self, run_id: str, *, by: str = "", budget: int | None = None) -> ProjectState:
        """Goes on with a run that stands still, has failed, or whose worker died.

        A completed run is laid out again where it was wanted: its worker may have died before that was done.
        """
        session = await self._claimed(run_id)
        if session.state.status is RunStatus.COMPLETED and (await self._engine.row(run_id)).out:
            await self._journal.release(session.claim)
            await self._lay_out_where_wanted(session.state)
            return session.state
        await self._give_back_on_error(session, self._go_on(session, by, budget))
        return await self.drive(session)

    async def resumed(
        self,
        run_id: str,
        *,
        by: str = "",
        budget: int | None = None,
        tasks: int | None = None,
        attended: bool | None = None,
    ) -> RunSession:
        """What `resume` does first: the run is going on, by the journal; `drive` walks it.

        With `tasks` it starts at most so many, and then pauses. `attended` says whether somebody waits for it from now
        on (None: as before).
        """
        session = await self._claimed(run_id)
        await self._give_back_on_error(session, self._go_on(session, by, budget, tasks=tasks, attended=attended))
        return session

    async def _go_on(
        self,
        session: RunSession,
        by: str,
        budget: int | None,
        *,
        tasks: int | None = None,
        attended: bool | None = None,
    ) -> None:
        if session.state.status is RunStatus.RUNNING:
            await self._engine.recover(session, budget=budget, attended=attended)
        elif session.state.status is RunStatus.WAITING_REVIEW and budget is None:
            await self._engine.recover(session, by=by or "resume")
        else:
            await self._engine.resume(session, by=by, budget=budget, tasks=tasks, attended=attended)

    async def wait(self, state: ProjectState) -> ProjectState:
        """Goes on with a run each time its provider lets it, until it ends or waits for something else.

        A run that waits sleeps in the journal: what is lost with this process is the waiting alone. `stop` ends it.
        """
        while state.status in _UNDER_WAY and not self._stopped.is_set():
            left = (state.resume_at or 0.0) - self._parts.clock.now()
            # In short naps: another process may cancel the run meanwhile, or go on with it.
            await self._nap(min(max(left, 0.0), _NAP) if state.status is RunStatus.WAITING_PROVIDER else _NAP)
            state = await self._gone_on_if_due(state.run_id)
        return state

    async def _gone_on_if_due(self, run_id: str) -> ProjectState:
        """The run after going on with it, if it may go on and nobody else drives it; else as it stands."""
        row, state = await self._engine.row(run_id), await self.state(run_id)
        due = row.status == RunStatus.WAITING_PROVIDER and (row.resume_at or 0.0) <= self._parts.clock.now()
        if self._stopped.is_set() or not (due or await self.is_interrupted(row)):
            return state
        try:
            return await self.resume(run_id, by="its time has come")
        except (RunStateError, FencedError):
            return await self.state(run_id)  # another process was quicker

    async def _nap(self, seconds: float) -> None:
        ends = [asyncio.ensure_future(self._parts.clock.sleep(seconds)), asyncio.ensure_future(self._stopped.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def retry(self, run_id: str, phase: str, *, by: str = "") -> ProjectState:
        return await self.drive(await self.retried(run_id, phase, by=by))

    async def retried(self, run_id: str, phase: str, *, by: str = "") -> RunSession:
        """What `retry` does first; `drive` walks it."""
        session = await self._claimed(run_id)
        await self._give_back_on_error(session, self._engine.retry(session, phase, by=by))
        return session

    async def rollback(self, run_id: str, phase: str, replacements: Mapping[str, bytes]) -> ProjectState:
        """Goes back to before `phase` in place, with files replaced; the old attempt stays in the history."""
        return await self.drive(await self.rolled_back(run_id, phase, replacements))

    async def rolled_back(self, run_id: str, phase: str, replacements: Mapping[str, bytes]) -> RunSession:
        """What `rollback` does first; `drive` walks it."""
        refuse_operation(await self._engine.row(run_id))
        session = await self._claimed(run_id)
        await self._give_back_on_error(session, self._engine.rollback(session, phase, replacements))
        return session

    async def fork(
        self, run_id: str, phase: str, replacements: Mapping[str, bytes], *, out: Path | None = None
    ) -> RunSession:
        """A new run that keeps what is upstream of `phase`; `drive` walks it."""
        if out is not None:
            await self._parts.check_out(out, None)
        row = await self._engine.row(run_id)
        refuse_replay(row)
        refuse_operation(row)
        return await self._engine.fork(row.run_id, phase, replacements, out=_absolute(out))

    async def replay(self, run_id: str, *, out: Path | None = None) -> Replayed:
        """Does a recorded run again, offline and free; says what came out byte for byte the same."""
        if out is not None:
            await self._parts.check_out(out, None)
        row = await self._engine.row(run_id)
        replayed = await self._engine.replay(row.run_id, out=_absolute(out))
        if out is not None:
            await self.export(replayed.run_id, out)
        return replayed

    async def review(self, run_id: str, *, approved: bool, by: str, phase: str = "", reason: str = "") -> ProjectState:
        """Approves or rejects what waits for a person, as it stands now, and goes on with the run."""
        return await self.attend(await self.decide(run_id, approved=approved, by=by, phase=phase, reason=reason))

    async def decide(
        self, run_id: str, *, approved: bool, by: str, phase: str = "", reason: str = "", content: str = ""
    ) -> str:
        """Sends the decision to whoever drives the run; gives the run's whole id. `attend` has it taken.

        `content` is the hash of what was seen, where the caller knows it. Raises `RunStateError` where that is not,
        or nothing is, up for review any more.
        """
        row = await self._engine.row(run_id)
        state = await self._engine.state(row.run_id)
        waiting = [name for name, entry in state.phases.items() if entry.status is PhaseStatus.WAITING_REVIEW]
        if not waiting or state.status in TERMINAL:
            raise RunStateError(f"Run {row.run_id} has nothing that waits for a review.", f"It is {state.status}.")
        refuse_replay(row)
        if phase and phase not in waiting:
            raise UnknownNameError("phase that waits for a review", phase, waiting)
        chosen = phase or sorted(waiting)[0]
        seen = content or state.phase(chosen).reviewed
        await self._engine.decide(row.run_id, chosen, approved=approved, by=by, content=seen, reason=reason)
        return row.run_id

    async def cancel(self, run_id: str, *, by: str = "") -> ProjectState:
        return await self.attend(await self.wish(run_id, "cancel", by=by))

    async def pause(self, run_id: str, *, by: str = "") -> ProjectState:
        """Tasks under way end, no other starts; only a run that is being driven can be paused."""
        return await self.attend(await self.wish(run_id, "pause", by=by))

    async def wish(self, run_id: str, kind: str, *, by: str = "") -> str:
        """Sends `cancel` or `pause` to whoever drives the run; gives the run's whole id. `attend` has it taken."""
        row = await self._engine.row(run_id)
        if kind == "pause" and row.status != RunStatus.RUNNING:
            raise RunStateError(f"Run {row.run_id} is not running.", f"It is {row.status}.")
        await self._engine.wish(row.run_id, kind, by=by)
        return row.run_id

    async def attend(self, run_id: str) -> ProjectState:
        """Waits for the run's driver to take a signal, or drives the run here when nobody does."""
        for _ in range(int(_SIGNAL_WAIT / POLL)):
            session = None if run_id in self._driven else await self._engine.open(run_id)
            waits = run_id in await self._journal.signalled()
            if session is not None and waits:
                await self._engine.recover(session, by="signal")
                return await self.drive(session)
            if session is not None:
                # Its driver took the signal and let go of the run meanwhile: going on here would undo a pause.
                await self._journal.release(session.claim)
            if not waits:
                break
            await self._parts.clock.sleep(POLL)
        return await self._engine.state(run_id)

    async def recover(self) -> list[RunSession]:
        """Claims the runs whose worker died, and those whose time to go on has come; `drive` walks each."""
        taken = [await self.take_up(run_id) for run_id, _ in await self.unattended()]
        return [session for session in taken if session is not None]

    async def unattended(self, limit: int = 1_000) -> list[tuple[str, str]]:
        """(id, owner) of runs that could go on and that nobody drives: their worker died, their wait is over, or their
        turn has not come; oldest first."""
        now = self._parts.clock.now()
        gone = [worker for worker in await self._journal.holders(now) if self._engine.is_gone(worker)]
        found = await self._journal.due(now, gone=gone, limit=limit + len(self._driven))
        return [(run_id, owner) for run_id, owner in found if run_id not in self._driven][:limit]

    async def signalled(self) -> list[str]:
        """Runs with a signal that nobody has taken yet, and that this process does not drive."""
        return [run_id for run_id in await self._journal.signalled() if run_id not in self._driven]

    async def take_up(self, run_id: str) -> RunSession | None:
        """Claims a run that could go on, and goes on with it; None where it cannot any more, or another drives it, or
        whoever waited for it is gone: that one is paused."""
        session = None if run_id in self._driven else await self._engine.open(run_id)
        if session is None:
            return None
        state = session.state
        waited = state.status is RunStatus.WAITING_PROVIDER and (state.resume_at or 0) <= self._parts.clock.now()
        if state.status is not RunStatus.RUNNING and not waited:
            # Whoever drove it has paused or ended it since it was found.
            await self._journal.release(session.claim)
            return None
        await self._engine.recover(session)
        if session.state.attended:
            await session.record(LEFT)
            await self._journal.release(session.claim)
            return None
        return session

    async def take_signals(self, run_id: str) -> bool:
        """Takes the signals of a run that nobody drives and starts nothing: a cancel or a pause need not wait for a
        turn. What goes on after it waits for its turn. False where there was nothing to take, or another drives it."""
        session = None if run_id in self._driven else await self._engine.open(run_id)
        if session is None:
            return False
        try:
            if run_id not in await self._journal.signalled():
                return False
            await self._engine.recover(session, by="signal")
            await session.receive(admit_none)
            if session.stop is not None:
                await session.conclude()
            return True
        finally:
            await self._journal.release(session.claim)

    async def put_by(self, session: RunSession) -> None:
        """Gives a run that was started or opened back undriven; it is marked as running, so `take_up` finds it."""
        await self._journal.release(session.claim)

    async def _claimed(self, run_id: str) -> RunSession:
        row = await self._engine.row(run_id)
        refuse_replay(row)
        session = None if row.run_id in self._driven else await self._engine.open(row.run_id)
        for _ in range(_LETTING_GO if session is None and row.status != RunStatus.RUNNING else 0):
            # It stands still already, and whoever drove it is about to let go of it.
            await self._parts.clock.sleep(POLL)
            session = None if row.run_id in self._driven else await self._engine.open(row.run_id)
            if session is not None:
                break
        if session is None:
            raise RunStateError(
                f"Run {row.run_id} is being driven by another process.",
                "One run has one writer.",
                "Wait for it to end, or cancel it. After a crash its claim is free in 30 seconds.",
            )
        return session

    async def _give_back_on_error(self, session: RunSession, work: Awaitable[None]) -> None:
        try:
            await work
        except BaseException:
            await self._journal.release(session.claim)
            raise

    async def archive(self, run_id: str, kind: ArchiveKind) -> bytes:
        """The project as one file: a zip of its files, or a git bundle with a commit for each phase."""
        row = await self._engine.row(run_id)
        return await self._parts.pack(kind, row.name, await self._commits(row), row.run_id)

    async def _commits(self, row: RunRow) -> list[tuple[str, Mapping[str, bytes]]]:
        """Message and files of each phase's commit."""
        state = await self._engine.state(row.run_id)
        commits = phase_commits(PhaseGraph(state.begun.workflow), state)
        hashes = list(dict.fromkeys(a.hash for commit in commits for a in commit.artifacts))
        blobs = await self._journal.blobs(hashes)
        return [(commit.message, files_of(commit, blobs)) for commit in commits]

    async def export(self, run_id: str, out: Path) -> str:
        """Lays the project out as a git repository, a commit for each phase; returns the tree's id."""
        row = await self._engine.row(run_id)
        tree = await self._parts.lay_out(out, await self._commits(row), row.run_id)
        if row.out != _absolute(out):
            await self._journal.set_out(row.run_id, _absolute(out))
        return tree


def _absolute(out: Path | None) -> str:
    return str(out.absolute()) if out is not None else ""
