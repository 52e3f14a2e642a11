"""`Orchestrator`: what a user asks for, in the user's words; each method is one verb of the product.

It knows the engine and a driver through what `bootstrap.py` hands it; which database, model or sandbox stands
behind them is decided there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path

from orchestrator_v2.agents.estimating import PhaseEstimate
from orchestrator_v2.core.errors import FencedError, OutputPathError, RunStateError, UnknownNameError, WorkspaceError
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.engine.history import files_of, phase_commits
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.replay import REPLAY, Replayed
from orchestrator_v2.engine.scheduler import whole_tree
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.parts import Parts, RunRequest, Standing

# How long a command waits for the process that drives a run to take its signal (seconds).
_SIGNAL_WAIT = 5.0
_POLL = 0.1
# How long one who waits sleeps before it looks at the run again (seconds).
_NAP = 5.0
_UNDER_WAY = (RunStatus.WAITING_PROVIDER, RunStatus.RUNNING)
# How many of the latest runs an estimate looks at.
_HISTORY = 50


class Orchestrator:
    """Open one with `open_orchestrator(...)`; it is an async context manager."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = parts.journal
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

    async def run(self, request: RunRequest) -> ProjectState:
        """From a brief to where the run ends or waits. Raises `InputError` before anything is started."""
        return await self.drive(await self.start(request))

    async def start(self, request: RunRequest) -> RunSession:
        """Records the run; from here on it is never lost. `drive` walks it."""
        new = self._parts.settle(request)
        if request.out is not None:
            await self._parts.check_out(request.out, None)
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
        if session.state.status is RunStatus.RUNNING:
            await self._engine.recover(session, budget=budget)
        elif session.state.status is RunStatus.WAITING_REVIEW and budget is None:
            await self._engine.recover(session, by=by or "resume")
        else:
            await self._give_back_on_error(session, self._engine.resume(session, by=by, budget=budget))
        return await self.drive(session)

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
        session = await self._claimed(run_id)
        await self._give_back_on_error(session, self._engine.retry(session, phase, by=by))
        return await self.drive(session)

    async def rollback(self, run_id: str, phase: str, replacements: Mapping[str, bytes]) -> ProjectState:
        """Goes back to before `phase` in place, with files replaced; the old attempt stays in the history."""
        session = await self._claimed(run_id)
        await self._give_back_on_error(session, self._engine.rollback(session, phase, replacements))
        return await self.drive(session)

    async def fork(
        self, run_id: str, phase: str, replacements: Mapping[str, bytes], *, out: Path | None = None
    ) -> RunSession:
        """A new run that keeps what is upstream of `phase`; `drive` walks it."""
        if out is not None:
            await self._parts.check_out(out, None)
        row = await self._engine.row(run_id)
        _refuse_replay(row)
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
        row = await self._engine.row(run_id)
        state = await self._engine.state(row.run_id)
        waiting = [name for name, entry in state.phases.items() if entry.status is PhaseStatus.WAITING_REVIEW]
        if not waiting or state.status in TERMINAL:
            raise RunStateError(f"Run {row.run_id} has nothing that waits for a review.", f"It is {state.status}.")
        _refuse_replay(row)
        if phase and phase not in waiting:
            raise UnknownNameError("phase that waits for a review", phase, waiting)
        chosen = phase or sorted(waiting)[0]
        content = state.phase(chosen).reviewed
        await self._engine.decide(row.run_id, chosen, approved=approved, by=by, content=content, reason=reason)
        return await self._taken(row.run_id)

    async def cancel(self, run_id: str, *, by: str = "") -> ProjectState:
        row = await self._engine.row(run_id)
        await self._engine.wish(row.run_id, "cancel", by=by)
        return await self._taken(row.run_id)

    async def pause(self, run_id: str, *, by: str = "") -> ProjectState:
        """Tasks under way end, no other starts; only a run that is being driven can be paused."""
        row = await self._engine.row(run_id)
        if row.status != RunStatus.RUNNING:
            raise RunStateError(f"Run {row.run_id} is not running.", f"It is {row.status}.")
        await self._engine.wish(row.run_id, "pause", by=by)
        return await self._taken(row.run_id)

    async def _taken(self, run_id: str) -> ProjectState:
        """Waits for the run's driver to take a signal, or drives the run here when nobody does."""
        for _ in range(int(_SIGNAL_WAIT / _POLL)):
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
            await self._parts.clock.sleep(_POLL)
        return await self._engine.state(run_id)

    async def interrupted(self) -> list[RunRow]:
        """Runs that are marked as running while nobody drives them: their worker died. Changes nothing."""
        rows = await self._journal.runs(statuses=(RunStatus.RUNNING,), limit=100)
        return [row for row in rows if row.mode != REPLAY and await self.is_interrupted(row)]

    async def is_interrupted(self, row: RunRow) -> bool:
        """Whether the run is marked as running while nobody drives it."""
        if row.status != RunStatus.RUNNING or await self._engine.is_driven(row.run_id):
            return False
        # It may have come to its end, and been given back, since the row was read.
        return (await self._engine.row(row.run_id)).status == RunStatus.RUNNING

    async def standing(self, run_id: str) -> Standing:
        """The run's state and row, whether anybody drives it, and whether its project lies where it was wanted."""
        row = await self._engine.row(run_id)
        state = await self._engine.state(row.run_id)
        laid = bool(row.out) and self._parts.is_laid_out(Path(row.out))
        return Standing(state, row, await self.is_interrupted(row), laid)

    async def recover(self) -> list[RunSession]:
        """Claims the runs whose worker died, and those whose time to go on has come; `drive` walks each."""
        now = self._parts.clock.now()
        sessions = []
        for run_id in await self._journal.in_statuses((RunStatus.RUNNING, RunStatus.WAITING_PROVIDER)):
            row = await self._engine.row(run_id)
            later = row.status == RunStatus.WAITING_PROVIDER and (row.resume_at or 0) > now
            if later or row.mode == REPLAY:
                continue
            session = None if run_id in self._driven else await self._engine.open(run_id)
            if session is not None:
                await self._engine.recover(session)
                sessions.append(session)
        return sessions

    async def _claimed(self, run_id: str) -> RunSession:
        row = await self._engine.row(run_id)
        _refuse_replay(row)
        session = None if row.run_id in self._driven else await self._engine.open(row.run_id)
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

    async def row(self, run_id: str) -> RunRow:
        """The run's row; a unique beginning of the id will do. Raises `UnknownNameError`."""
        return await self._engine.row(run_id)

    async def rows(self, *, statuses: Sequence[str] = (), before: int | None = None, limit: int = 50) -> list[RunRow]:
        return await self._journal.runs(statuses=statuses, before=before, limit=limit)

    async def state(self, run_id: str) -> ProjectState:
        return await self._engine.state((await self._engine.row(run_id)).run_id)

    async def events(self, run_id: str, after: int = 0) -> list[Recorded]:
        return await self._journal.events((await self._engine.row(run_id)).run_id, after)

    async def watch(self, run_id: str, after: int = 0) -> AsyncIterator[Recorded]:
        """Events as they are committed, by whichever process; ends when the caller stops asking."""
        seen = -1
        while True:
            count = await self._journal.change_count()
            if count != seen:
                seen = count
                for recorded in await self._journal.events(run_id, after):
                    after = recorded.seq
                    yield recorded
            await asyncio.sleep(_POLL)

    async def artifacts(self, run_id: str) -> dict[str, Artifact]:
        """Path to artifact, as the run stands."""
        state = await self.state(run_id)
        return whole_tree(PhaseGraph(state.begun.workflow), state)

    async def read(self, run_id: str, path: str) -> bytes:
        tree = await self.artifacts(run_id)
        if path not in tree:
            raise UnknownNameError("artifact", path, tree, "`orchestrator artifacts RUN` lists them.")
        return (await self._journal.blobs([tree[path].hash]))[tree[path].hash]

    async def calls(self, run_id: str) -> list[CallRow]:
        """The run's recorded model calls: the ledger."""
        return await self._parts.calls((await self._engine.row(run_id)).run_id)

    async def estimate(self, request: RunRequest) -> tuple[str, list[PhaseEstimate]]:
        """The model, and what each phase may use with it. Nothing is started, nothing is sent, no key is needed."""
        rows = await self._journal.runs(statuses=(RunStatus.COMPLETED,), limit=_HISTORY)
        past = [(row.workflow, await self._parts.calls(row.run_id)) for row in rows if row.mode == "real"]
        return self._parts.estimate(request, past)

    async def export(self, run_id: str, out: Path) -> str:
        """Lays the project out as a git repository, a commit for each phase; returns the tree's id."""
        row = await self._engine.row(run_id)
        state = await self._engine.state(row.run_id)
        commits = phase_commits(PhaseGraph(state.begun.workflow), state)
        hashes = list(dict.fromkeys(a.hash for commit in commits for a in commit.artifacts))
        blobs = await self._journal.blobs(hashes)
        tree = await self._parts.lay_out(
            out, [(commit.message, files_of(commit, blobs)) for commit in commits], row.run_id
        )
        if row.out != _absolute(out):
            await self._journal.set_out(row.run_id, _absolute(out))
        return tree


def _refuse_replay(row: RunRow) -> None:
    if row.mode == REPLAY:
        raise RunStateError(
            f"Run {row.run_id} is a replay of {row.forked_from}.",
            "A replay ends where its recording ends.",
            f"Work on with the run itself: `orchestrator resume {row.forked_from}`, or `fork` it.",
        )


def _absolute(out: Path | None) -> str:
    return str(out.absolute()) if out is not None else ""
