"""Going back: fork, rollback, retry and replay, over real walks on the in-memory journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from orchestrator_v2.core.errors import InputError, UnknownNameError
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.ports import RunContext
from orchestrator_v2.engine.scheduler import upstream_artifacts, whole_tree
from orchestrator_v2.engine.state_models import OutputFile, ProjectState, RunStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.testing.engines import Bench, open_bench

PHASES = [
    Phase("plan", "x", outputs=("plan.md",)),
    Phase("code", "x", needs=("plan",), outputs=("code.py",)),
    Phase("docs", "x", needs=("plan",), outputs=("docs.md",)),
    Phase("end", "x", needs=("code", "docs"), outputs=("end.md",)),
]


class Recorder:
    """A runner that writes what it saw upstream, and counts; `salt` makes another model of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.salt = ""

    async def __call__(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        self.calls.append(task.key)
        seen = upstream_artifacts(context.graph, context.state, task.phase.id)
        contents = await context.read([artifact.hash for artifact in seen])
        text = f"{task.phase.id}{self.salt} over " + ", ".join(contents[a.hash].decode() for a in seen)
        return TaskOutcome(text, files=(OutputFile(task.phase.outputs[0], text.encode()),))


def on_bench(work: Callable[[Bench, Recorder], Awaitable[None]]) -> None:
    async def main() -> None:
        recorder = Recorder()
        await work(await open_bench(recorder), recorder)

    asyncio.run(main())


async def tree(bench: Bench, state: ProjectState) -> dict[str, str]:
    from orchestrator_v2.engine.phase_graph import PhaseGraph

    artifacts = whole_tree(PhaseGraph(state.begun.workflow), state)
    contents = await bench.journal.blobs([a.hash for a in artifacts.values()])
    return {path: contents[a.hash].decode() for path, a in artifacts.items()}


def test_a_fork_does_only_what_stands_on_its_phase() -> None:
    """Upstream and side branches are kept as they are; the old run does not change."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        recorder.calls.clear()
        fork = await bench.engine.fork(first.run_id, "code", {}, out="")
        second = await bench.driver.drive(fork)
        assert second.status is RunStatus.COMPLETED
        assert recorder.calls == ["code", "end"]
        assert await tree(bench, second) == await tree(bench, first)
        assert second.begun.forked_from == first.run_id
        assert await bench.engine.state(first.run_id) == first

    on_bench(work)


def test_a_fork_works_on_from_a_changed_artifact() -> None:
    """A replaced file of the phase itself stands for its work; all that stands on it sees the new content."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        recorder.calls.clear()
        fork = await bench.engine.fork(first.run_id, "plan", {"plan.md": b"MINE"}, out="")
        second = await bench.driver.drive(fork)
        made = await tree(bench, second)
        assert sorted(recorder.calls) == ["code", "docs", "end"]
        assert made["plan.md"] == "MINE"
        assert "MINE" in made["end.md"]
        assert {a.path: str(a.provenance) for a in second.phase("plan").artifacts} == {"plan.md": "human"}

    on_bench(work)


def test_a_file_that_would_be_made_again_cannot_be_put_in_place() -> None:
    """The error says from which phase to fork instead."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        with pytest.raises(InputError, match="--from end"):
            await bench.engine.fork(first.run_id, "plan", {"end.md": b"x"}, out="")
        with pytest.raises(UnknownNameError, match=r"plan\.md"):
            await bench.engine.fork(first.run_id, "plan", {"plam.md": b"x"}, out="")
        with pytest.raises(UnknownNameError, match="plan"):
            await bench.engine.fork(first.run_id, "plam", {}, out="")

    on_bench(work)


def test_a_rollback_is_the_same_in_place_and_keeps_the_history() -> None:
    """The run goes back, works on in a new round, and its old attempt is still in its events."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        recorder.calls.clear()
        session = await bench.reopen(first.run_id)
        await bench.engine.rollback(session, "plan", {"plan.md": b"MINE"})
        second = await bench.driver.drive(session)
        assert second.status is RunStatus.COMPLETED
        assert sorted(recorder.calls) == ["code.r2", "docs.r2", "end.r2"]
        assert "MINE" in (await tree(bench, second))["end.md"]
        events = await bench.journal.events(first.run_id)
        assert sum(type(r.event).__name__ == "TaskCompleted" for r in events) == 7

    on_bench(work)


def test_a_retry_does_one_phase_anew_with_fresh_calls() -> None:
    """The phase and what stands on it go into a new round, so that recorded answers are not used again."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        recorder.calls.clear()
        session = await bench.reopen(first.run_id)
        await bench.engine.retry(session, "docs", by="me")
        await bench.driver.drive(session)
        assert recorder.calls == ["docs.r2", "end.r2"]

    on_bench(work)


def test_a_file_that_waits_for_its_review_is_replaced_in_place() -> None:
    """The phase waits on, for a review of the new content; it is not done again. A fork has nothing to keep."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        reviewed = [Phase("plan", "x", outputs=("plan.md",), gate=Gate(review="human")), *PHASES[1:]]
        first = await bench.walk(reviewed)
        with pytest.raises(InputError):
            await bench.engine.fork(first.run_id, "plan", {"plan.md": b"MINE"}, out="")
        session = await bench.reopen(first.run_id)
        await bench.engine.rollback(session, "plan", {"plan.md": b"MINE"})
        again = await bench.driver.drive(session)
        assert again.status is first.status is RunStatus.WAITING_REVIEW
        assert "" != again.phase("plan").reviewed != first.phase("plan").reviewed != ""
        assert await tree(bench, again) == {"plan.md": "MINE"}
        assert recorder.calls == ["plan"]

    on_bench(work)


def test_a_replay_gives_the_same_bytes_and_says_so() -> None:
    """Every task is done again in its recorded order, also after a fork and a rollback."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        fork = await bench.driver.drive(await bench.engine.fork(first.run_id, "plan", {"plan.md": b"MINE"}, out=""))
        session = await bench.reopen(fork.run_id)
        await bench.engine.rollback(session, "docs", {})
        last = await bench.driver.drive(session)
        replayed = await bench.engine.replay(fork.run_id, out="")
        assert replayed.different == ()
        assert replayed.same == ("code.py", "docs.md", "end.md")
        again = await bench.engine.state(replayed.run_id)
        assert again.status is RunStatus.COMPLETED
        assert await tree(bench, again) == await tree(bench, last)

    on_bench(work)


def test_a_replay_that_differs_names_the_files() -> None:
    """Another answer than the recorded one is told by path, never passed over."""

    async def work(bench: Bench, recorder: Recorder) -> None:
        first = await bench.walk(PHASES)
        recorder.salt = "!"
        replayed = await bench.engine.replay(first.run_id, out="")
        assert replayed.different == ("code.py", "docs.md", "end.md", "plan.md")

    on_bench(work)
