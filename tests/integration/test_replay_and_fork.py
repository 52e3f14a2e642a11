"""A recorded run done again offline, and a run that branches off with another file: nothing is paid again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from real_mode import against, git, opened, request, settings, simulated, stopped_as

from orchestrator_v2 import Orchestrator, open_orchestrator
from orchestrator_v2.core.errors import InputError, UnknownNameError
from orchestrator_v2.engine.state_models import PhaseStatus
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import BRIEF, Asked, asked, worked_reply

REPORTS = {"RUN.md", "docs/trace.md"}


def _offline(home: Path, work: Any) -> Any:
    """Work with no server to reach and no key: the address is one where nobody listens."""

    async def go() -> Any:
        async with await open_orchestrator(settings(home, None, key="")) as orchestrator:
            return await work(orchestrator)

    return asyncio.run(go())


def _texts(out: Path) -> dict[str, bytes]:
    return {path: (out / path).read_bytes() for path in git(out, "ls-files").splitlines()}


class _Imperfect:
    """Answers well, but with a fault first in three places: a broken stream, bad JSON, code that fails its tests."""

    def __init__(self) -> None:
        self.left = {Asked("planning"): Reply(status=529), Asked("data", 1): Reply("no JSON")}

    def __call__(self, seen: Seen) -> Reply:
        wanted = asked(seen.prompt)
        spoilt = self.left.pop(wanted, None)
        if spoilt is not None:
            return spoilt
        reply = worked_reply(seen)
        if wanted == Asked("development", 2):
            return Reply(reply.text.replace("+ 1}", "+ 2}"), usage=reply.usage)
        return reply


def test_a_replay_gives_the_same_bytes_without_server_key_or_cost(tmp_path: Path) -> None:
    """A run with a retry, a correction and a reopened phase, replayed offline: every artifact is the same."""

    async def record(orchestrator: Orchestrator, server: FakeAnthropic) -> str:
        state = await orchestrator.run(request(out=tmp_path / "recorded"))
        assert await stopped_as(orchestrator, state) == "completed"
        assert state.phase("development").round == 2
        return state.run_id

    run_id: str = against(tmp_path, record, default=_Imperfect())

    async def again(orchestrator: Orchestrator) -> None:
        replayed = await orchestrator.replay(run_id, out=tmp_path / "replayed")
        assert replayed.different == ()
        assert set(replayed.reports) <= REPORTS
        assert replayed.tasks > 12
        state = await orchestrator.state(replayed.run_id)
        assert (state.status, state.usage.cost, state.usage.input_tokens) == ("completed", 0, 0)
        assert await orchestrator.calls(replayed.run_id) == []
        kinds = {a.provenance.kind for phase in state.phases.values() for a in phase.artifacts}
        assert kinds == {"replayed", "engine"}

    _offline(tmp_path, again)
    recorded, replayed = _texts(tmp_path / "recorded"), _texts(tmp_path / "replayed")
    assert recorded.keys() == replayed.keys()
    assert {path for path in recorded if recorded[path] != replayed[path]} == {"RUN.md"}
    assert b"Replayed: the recorded answers of anthropic/" in replayed["RUN.md"]


def test_a_simulated_run_is_replayed_too(tmp_path: Path) -> None:
    """It comes out byte for byte the same, its report included."""

    async def work(orchestrator: Orchestrator) -> None:
        state = await orchestrator.run(request(out=tmp_path / "first"))
        replayed = await orchestrator.replay(state.run_id, out=tmp_path / "second")
        assert (replayed.different, replayed.reports) == ((), ())

    simulated(tmp_path, work)
    assert _texts(tmp_path / "first") == _texts(tmp_path / "second")


def test_a_fork_works_on_from_an_edited_requirement(tmp_path: Path) -> None:
    """R9 and AC9.1, written into the requirements, reach tests and trace; upstream and the first run stay."""

    async def work(orchestrator: Orchestrator) -> None:
        state = await orchestrator.run(request(brief=BRIEF, out=tmp_path / "first"))
        text = await orchestrator.read(state.run_id, "docs/requirements.md")
        added = b"\n\n## R9: Greet the user\n\n- AC9.1: the help text names the program.\n"
        session = await orchestrator.fork(
            state.run_id, "planning", {"docs/requirements.md": text.rstrip() + added}, out=tmp_path / "fork"
        )
        forked = await orchestrator.drive(session)
        assert await stopped_as(orchestrator, forked) == "completed"
        assert forked.begun.forked_from == state.run_id
        assert forked.phase("intake").artifacts == state.phase("intake").artifacts
        kinds = {a.path: a.provenance.kind for a in forked.phase("planning").artifacts}
        assert kinds == {"docs/requirements.md": "human"}
        assert await orchestrator.state(state.run_id) == state

    simulated(tmp_path, work)
    texts = _texts(tmp_path / "fork")
    assert b"AC9.1" in b"".join(text for path, text in texts.items() if path.startswith("tests/"))
    trace = texts["docs/trace.md"].decode()
    section = trace.partition("## R9: Greet the user")[2].partition("\n## ")[0]
    assert "AC9.1" in section and "tests/" in section
    assert b"AC9.1" not in b"".join(_texts(tmp_path / "first").values())
    assert git(tmp_path / "fork", "fsck", "--strict") == ""


def test_a_fork_of_a_real_run_asks_only_for_what_is_downstream(tmp_path: Path) -> None:
    """From qa on: the developer is not asked again, and the replaced file is what the tester is shown."""
    served: list[Asked] = []

    def answer(seen: Seen) -> Reply:
        served.append(asked(seen.prompt))
        return worked_reply(seen)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request())
        before = await orchestrator.read(state.run_id, "src/tally/cli.py")
        served.clear()
        session = await orchestrator.fork(
            state.run_id, "development", {"src/tally/cli.py": before + b"\n# an edited line\n"}
        )
        forked = await orchestrator.drive(session)
        assert await stopped_as(orchestrator, forked) == "completed"
        assert {one.phase for one in served} == {"qa", "documentation", "review", "hygiene", "release_review"}
        shown = [seen.prompt for seen in server.requests if asked(seen.prompt).phase == "qa"][-1]
        assert "# an edited line" in shown
        rows = await orchestrator.calls(forked.run_id)
        assert forked.usage.cost == sum(row.charged or 0 for row in rows)

    against(tmp_path, work, default=answer)


def test_a_rollback_does_the_work_again_in_place(tmp_path: Path) -> None:
    """The old attempt stays in the history, and the run completes with what the second one made."""

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request(out=tmp_path / "out"))
        async with opened(tmp_path, server) as later:
            again = await later.rollback(state.run_id, "hygiene", {})
            assert await stopped_as(later, again) == "completed"
            assert again.phase("hygiene").round == 2
            assert again.phase("qa").round == 1
            types = [type(entry.event).__name__ for entry in await later.events(state.run_id)]
            assert types.count("RunRolledBack") == 1 and types.count("RunCompleted") == 2
        assert git(tmp_path / "out", "status", "--porcelain") == ""

    against(tmp_path, work)


def test_a_fork_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """An unknown phase, an unknown file, and a file that would be made anew: each by name, and no run is started."""

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> None:
        state = await orchestrator.run(request())
        with pytest.raises(UnknownNameError, match="developmnt"):
            await orchestrator.fork(state.run_id, "developmnt", {})
        with pytest.raises(UnknownNameError, match=r"nowhere\.md"):
            await orchestrator.fork(state.run_id, "qa", {"nowhere.md": b""})
        with pytest.raises(InputError, match=r"README\.md"):
            await orchestrator.fork(state.run_id, "qa", {"README.md": b"# Mine\n"})
        assert len(await orchestrator.rows()) == 1
        assert state.phase("qa").status is PhaseStatus.DONE

    against(tmp_path, work)
