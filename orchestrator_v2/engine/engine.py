"""`WorkflowEngine`: everything that can be asked of a run, as a table of contents.

The walk itself is `session.py`, what follows from what is `decisions.py`; who drives is the `durable` floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

import msgspec

from orchestrator_v2.core import events as e
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import InputError, RunStateError, UnknownNameError
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.records import content_hash
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice
from orchestrator_v2.engine import branches, decisions, signals
from orchestrator_v2.engine import replay as replays
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Claim, Journal, RunRow, TaskRunner
from orchestrator_v2.engine.session import RunSession, Subscriber
from orchestrator_v2.engine.state_models import TERMINAL, PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.engine.transitions import fold

# How long a claim holds without renewal (seconds): a dead worker's run is picked up after that.
LEASE = 30.0


class NewRun(msgspec.Struct, frozen=True):
    """What a run is started with; see `RunStarted` for the fields they become."""

    name: str
    brief: str
    graph: PhaseGraph
    mode: str = "simulated"
    provider: str = ""
    model: str = ""
    budget: int | None = None
    parallelism: int = 4
    prompts: str = ""
    prices: dict[str, str] = {}
    review: str = "agent"
    answers: dict[str, str] = {}
    owner_id: str = "local"
    batch: bool = False
    base_url: str = ""
    out: str = ""
    project_id: str = ""
    assignments: dict[str, ModelChoice] = {}
    keyring: bool = False
    tasks: int | None = None
    default: ModelChoice | None = None
    rules: BudgetRules = BudgetRules()
    operation: str = ""
    attended: bool = False
    run_id: str = ""


class WorkflowEngine:
    """The engine over a journal.

    `worker` names this process in claims; it is the only writer of what it claims. `is_gone` tells of another
    worker's name whether it is known to be dead, so that its runs need not wait for its lease to run out.
    """

    def __init__(
        self,
        journal: Journal,
        runner: TaskRunner,
        clock: Clock,
        ids: IdSource,
        *,
        worker: str,
        is_gone: Callable[[str], bool] = lambda worker: False,
        subscriber: Subscriber | None = None,
        probe: Probe = no_probe,
    ) -> None:
        self.journal = journal
        self._runner = runner
        self._clock = clock
        self._ids = ids
        self._worker = worker
        self.is_gone = is_gone
        self._subscriber = subscriber
        self._probe = probe

    async def create_project(self, new: NewRun) -> RunSession:
        """Records a new run, durably, and opens it. From here on it is never lost."""
        brief = new.brief.encode()
        started = e.RunStarted(
            project_id=new.project_id or self._ids.new("prj"),
            name=new.name,
            brief=content_hash(brief),
            workflow=new.graph.workflow,
            mode=new.mode,
            provider=new.provider,
            model=new.model,
            budget=new.budget,
            parallelism=new.parallelism,
            prompts=new.prompts,
            prices=new.prices,
            review=new.review,
            batch=new.batch,
            base_url=new.base_url,
            answers=new.answers,
            assignments=new.assignments,
            owner_id=new.owner_id,
            keyring=new.keyring,
            tasks=new.tasks,
            default=new.default,
            rules=new.rules,
            operation=new.operation,
            attended=new.attended,
        )
        blobs = {started.brief: brief}
        return await self._create([started], blobs, new.graph, owner_id=new.owner_id, out=new.out, run_id=new.run_id)

    async def _create(
        self,
        events: list[e.Event],
        blobs: Mapping[str, bytes],
        graph: PhaseGraph | None = None,
        *,
        owner_id: str,
        out: str,
        mode: str = "",
        run_id: str = "",
    ) -> RunSession:
        run_id, now = run_id or self._ids.new("run"), self._clock.now()
        recorded = [e.Recorded(seq, now, event) for seq, event in enumerate(events, 1)]
        state = fold(run_id, recorded)
        begun = state.begun
        row = RunRow(
            run_id=run_id,
            run_no=0,
            project_id=begun.project_id,
            owner_id=owner_id,
            name=begun.name,
            workflow=begun.workflow.name,
            mode=mode or begun.mode,
            status=state.status.value,
            created_at=now,
            updated_at=now,
            out=out,
            forked_from=begun.forked_from,
            operation=begun.operation,
        )
        claim = await self.journal.create_run(row, recorded, blobs, owner=self._worker, lease=LEASE)
        self._probe("committed-before-response")
        if self._subscriber is not None:
            self._subscriber(run_id, recorded)
        return self._session(state, claim, graph, created=True)

    def _session(
        self, state: ProjectState, claim: Claim, graph: PhaseGraph | None = None, *, created: bool = False
    ) -> RunSession:
        return RunSession(
            state,
            claim,
            self.journal,
            self._runner,
            self._clock,
            graph=graph,
            created=created,
            subscriber=self._subscriber,
            probe=self._probe,
        )

    async def row(self, run_id: str, *, owner_id: str | None = None) -> RunRow:
        """The run's row; raises `UnknownNameError`. A unique beginning of the id will do.

        With `owner_id` only that owner's run of exactly that id: another's is as unknown as none.
        """
        row = await self.journal.run(run_id, owner_id=owner_id)
        if row is None and owner_id is not None:
            raise UnknownNameError("run", run_id, (), "List the project's runs to see what there is.")
        if row is None:
            known = [other.run_id for other in await self.journal.runs(limit=20)]
            if sum(name.startswith(run_id) for name in known) > 1:
                raise InputError(f"'{run_id}' is the beginning of several runs.", do="Give more of the id.")
            near = get_close_matches(run_id, known, n=3) or known[:3]
            raise UnknownNameError("run", run_id, near, "`orchestrator list` shows all.")
        return row

    async def state(self, run_id: str) -> ProjectState:
        """The run as its events make it."""
        return fold(run_id, await self.journal.events(run_id))

    async def is_driven(self, run_id: str) -> bool:
        """Whether a worker holds the run that is not known to be gone."""
        holder = await self.journal.holder(run_id)
        return bool(holder) and not self.is_gone(holder)

    async def open(self, run_id: str) -> RunSession | None:
        """Claims the run and opens it where it stands; None while another worker drives it."""
        claim = await self.journal.claim(run_id, owner=self._worker, lease=LEASE)
        if claim is None:
            holder = await self.journal.holder(run_id)
            if not holder or not self.is_gone(holder):
                return None
            claim = await self.journal.claim(run_id, owner=self._worker, lease=LEASE, seize=holder)
        if claim is None:
            return None
        return self._session(await self.state(run_id), claim)

    async def recover(
        self,
        session: RunSession,
        *,
        by: str = "recovery",
        budget: int | None = None,
        attended: bool | None = None,
    ) -> None:
        """Makes a run whose worker died go on: what was under way is pending again, what is done stays done."""
        self._probe("recovery")
        if not session.ended:
            await session.record(e.RunResumed(by=by, budget=budget, recovered=True, attended=attended))

    async def resume(
        self,
        session: RunSession,
        *,
        by: str,
        budget: int | None = None,
        tasks: int | None = None,
        attended: bool | None = None,
    ) -> None:
        """Goes on with a run that stands still or has failed; failed phases are tried in a new round."""
        if session.state.status in {RunStatus.COMPLETED, RunStatus.CANCELLED}:
            raise RunStateError(
                f"Run {session.state.run_id} is {session.state.status}.",
                "There is nothing left to do in it.",
                "`orchestrator rollback` or `fork` starts again from a phase.",
            )
        failed = [name for name in session.state.phases if _has_failed(session, name)]
        worn = [name for name, phase in session.state.phases.items() if phase.lost >= decisions.MAX_LOST]
        judged = failed if session.state.status is RunStatus.NEEDS_ATTENTION else []
        again = dict.fromkeys([*failed, *worn, *branches.reopeners(session.graph, judged)])
        reset = tuple(name for name in session.graph.order if name in again)
        await session.record(e.RunResumed(by=by, budget=budget, reset=reset, tasks=tasks, attended=attended))

    async def retry(self, session: RunSession, phase: str, *, by: str) -> None:
        """Does one phase, and all that stands on it, anew with fresh calls; what it made stays as its input."""
        branches.known_phase(session.graph, phase)
        resets = (phase, *session.graph.downstream(phase))
        await session.record(e.RunResumed(by=by, reset=tuple(n for n in resets if n in session.state.phases)))

    async def rollback(self, session: RunSession, phase: str, replacements: Mapping[str, bytes]) -> None:
        """Puts the run back to before `phase`, in place; the old attempt stays in the history."""
        plan = branches.plan(session.graph, session.state, phase, replacements, in_place=True)
        resets = tuple(name for name in session.graph.order if name in plan.again and name in session.state.phases)
        await session.record(e.RunRolledBack(phase=phase, resets=resets), *plan.replaced, blobs=plan.blobs)

    async def fork(self, run_id: str, phase: str, replacements: Mapping[str, bytes], *, out: str) -> RunSession:
        """A new run that keeps everything upstream of `phase` and works on from there; nothing is paid again."""
        state = await self.state(run_id)
        graph = PhaseGraph(state.begun.workflow)
        plan = branches.plan(graph, state, phase, replacements)
        events = branches.kept_events(graph, state, plan, forked_from=run_id)
        return await self._create(events, plan.blobs, graph, owner_id=state.begun.owner_id, out=out)

    async def replay(self, run_id: str, *, out: str) -> replays.Replayed:
        """A new run that does the recorded one again, in its recorded order, from its recorded answers."""
        recorded = await self.journal.events(run_id)
        state = fold(run_id, recorded)
        first = replays.first_event(state.begun, run_id)
        session = await self._create([first], {}, owner_id=state.begun.owner_id, out=out, mode=replays.REPLAY)
        end: e.Event = replays.BROKEN
        try:
            replayed = await replays.replay(session, recorded[1:], self._runner, self.journal.blobs)
            if session.ended:
                return replayed
            end = replays.end_of_recording(session.state, state)
            return msgspec.structs.replace(replayed, unfinished=f"{end.what} {end.why}")
        finally:
            if not session.ended:
                await session.record(end)
            await self.journal.release(session.claim)

    async def decide(self, run_id: str, phase: str, *, approved: bool, by: str, content: str, reason: str) -> None:
        """Sends a review to whoever drives the run. Raises `RunStateError` when that content is not up for review."""
        state = await self.state(run_id)
        entry = state.phase(phase)
        ended = state.status in TERMINAL
        if ended or entry.status is not PhaseStatus.WAITING_REVIEW or entry.reviewed != content:
            stands = f"It is {entry.status}" + (f" with {entry.reviewed[:12]}." if entry.reviewed else ".")
            raise RunStateError(
                f"Phase '{phase}' does not wait for a review of that content.",
                f"The run has ended: {state.status}." if ended else stands,
                "`orchestrator show RUN` shows what waits.",
            )
        review = signals.Review(phase, approved, by, content, reason)
        await self.journal.send_signal(run_id, "review", signals.encode(review))

    async def wish(self, run_id: str, kind: str, *, by: str) -> None:
        """Sends `cancel` or `pause` to whoever drives the run. Raises `RunStateError` when it has ended."""
        if kind not in signals.WISHES:
            raise UnknownNameError("signal", kind, signals.WISHES)
        row = await self.row(run_id)
        if row.status in TERMINAL:
            raise RunStateError(f"Run {run_id} has ended: {row.status}.", do="There is nothing to " + kind + ".")
        await self.journal.send_signal(run_id, kind, signals.encode(signals.Wish(by)))


def _has_failed(session: RunSession, name: str) -> bool:
    """Whether the phase failed, or was left out of a run that has failed, for what another try may not meet."""
    entry = session.state.phase(name)
    left_out = entry.status is PhaseStatus.SKIPPED and entry.attempt > 0 and session.graph.phases[name].skip_on
    return entry.status is PhaseStatus.FAILED or bool(left_out and session.state.status is RunStatus.FAILED)
