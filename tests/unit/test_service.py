"""What a server's users ask, in one process: requests that race, rights that end, work that is not theirs to force."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_v2.api import streams
from orchestrator_v2.bootstrap import load_shared_workflow
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core.accounts import ProjectRow, User
from orchestrator_v2.core.errors import ConfigError, ForbiddenError, LimitedError, RunStateError, WorkflowError
from orchestrator_v2.engine.state_models import RunStatus
from orchestrator_v2.server_bootstrap import open_service
from orchestrator_v2.service.service import Service
from orchestrator_v2.service.wishes import Wish, encode, shortened
from orchestrator_v2.workspace.sandbox import Sandbox

SHORT = """
name: short
phases:
  - {id: intake, agent: architect, outputs: ["docs/intake.md"], gate: {evidence: [not-empty]}}
  - {id: planning, agent: architect, needs: [intake], outputs: ["docs/requirements.md"], gate: {evidence: [not-empty]}}
"""
WISH = Wish("A tally counter", workflow=SHORT, mode="simulated")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def serve(tmp_path: Path, work: Callable[[Service, User], Awaitable[Any]], *, started: bool = True, **more: Any) -> Any:
    """What `work` gives, done with a service in memory and the user who sits at the machine."""
    seams = {"sandbox": more.pop("sandbox", None)}

    async def main() -> Any:
        values = {"data_dir": str(tmp_path / "data"), "database_url": "memory:", **more}
        service = await open_service(load_settings(values, {}, tmp_path, tmp_path), **seams)
        user = await service.accounts.local()
        if started:
            await service.start()
        try:
            return await work(service, user)
        finally:
            await service.close()

    return asyncio.run(asyncio.wait_for(main(), 60))


async def ended(service: Service, user: User, run_id: str, *, still: tuple[str, ...] = ("running",)) -> str:
    while (row := await service.runs.row(user, run_id)).status in still:  # noqa: ASYNC110 - it is the journal that tells
        await asyncio.sleep(0.01)
    return row.status


def test_a_request_whose_run_was_never_begun_begins_it_when_it_is_sent_again(tmp_path: Path) -> None:
    """Its project and reply are there, as after a crash or by another server; four at once do not lock each other."""

    async def work(service: Service, user: User) -> None:
        projects = service.projects._projects
        wish = msgspec.structs.replace(WISH, first_run="run_planned")
        row = ProjectRow("prj_1", 0, user.user_id, wish.name, encode(wish), 1.0, encode(shortened(wish)))
        hashed = hashlib.sha256(encode(WISH) + bytes([True])).hexdigest()
        await projects.add(row, key="mine", request_hash=hashed)
        views = await asyncio.gather(*(service.projects.create(user, WISH, key="mine") for _ in range(4)))
        assert {view.run.run_id for view in views if view.run} == {"run_planned"}
        assert await ended(service, user, "run_planned") == RunStatus.COMPLETED
        assert len(await service.runs.page(user)) == 1

    serve(tmp_path, work)


def test_advance_sent_four_times_at_once_makes_one_run(tmp_path: Path) -> None:
    """One does a phase; the others are told that the run is under way."""

    async def work(service: Service, user: User) -> None:
        view = await service.projects.create(user, WISH, run=False)
        tries = (service.projects.advance(user, view.row.project_id) for _ in range(4))
        found = await asyncio.gather(*tries, return_exceptions=True)
        assert len(await service.runs.page(user)) == 1
        assert all(isinstance(it, RunStateError) or not isinstance(it, Exception) for it in found)

    serve(tmp_path, work)


def test_a_rollback_after_an_advance_goes_on_to_the_end(tmp_path: Path) -> None:
    """What was to be one phase at a time is over once somebody goes back and lets it run."""

    async def work(service: Service, user: User) -> None:
        view = await service.projects.create(user, WISH, run=False)
        run = await service.projects.advance(user, view.row.project_id)
        assert await ended(service, user, run.run_id) == RunStatus.PAUSED
        await service.runs.rollback(user, run.run_id, "intake", {})
        assert await ended(service, user, run.run_id) == RunStatus.COMPLETED

    serve(tmp_path, work)


def test_runs_that_are_resumed_count_too(tmp_path: Path) -> None:
    """With room for one run, a second that stands still is not let on beside it."""

    async def work(service: Service, user: User) -> None:
        runs = []
        for _ in range(2):
            view = await service.projects.create(user, WISH, run=False)
            run = await service.projects.advance(user, view.row.project_id)
            await ended(service, user, run.run_id)
            runs.append(run.run_id)
        await service.keeper.stop()
        await service.runs.resume(user, runs[0])
        with pytest.raises(LimitedError):
            await service.runs.resume(user, runs[1])

    serve(tmp_path, work, runs_per_user=1)


def test_a_run_that_waits_for_its_turn_says_so(tmp_path: Path) -> None:
    """It is marked as running and held by nobody: nothing is broken, and nobody has to resume it."""

    async def work(service: Service, user: User) -> None:
        await service.keeper.stop()
        view = await service.projects.create(user, WISH)
        assert view.run is not None
        standing = await service.runs.standing(user, view.run.run_id)
        assert (standing.queued, standing.interrupted) == (True, False)

    serve(tmp_path, work, started=False)


def test_a_persons_code_is_run_behind_walls_or_not_at_all(tmp_path: Path) -> None:
    """A file put into a simulated run is nobody's template: where there is no sandbox the run is blocked."""
    evil = b"import pathlib\npathlib.Path('" + str(tmp_path).encode() + b"/ran').write_text('x')\n"

    async def work(service: Service, user: User) -> None:
        view = await service.projects.create(user, Wish("A tally counter", mode="simulated"))
        assert view.run is not None
        run_id = view.run.run_id
        assert await ended(service, user, run_id) == RunStatus.COMPLETED
        path = next(path for path in await service.runs.artifacts(user, run_id) if path.endswith("/__init__.py"))
        await service.runs.rollback(user, run_id, "development", {path: evil})
        assert await ended(service, user, run_id) == RunStatus.BLOCKED

    serve(tmp_path, work, sandbox=Sandbox(bwrap="/bin/false"))
    assert not (tmp_path / "ran").exists()


def test_an_edit_takes_the_evidence_of_the_old_file_away(tmp_path: Path) -> None:
    """Nothing that was measured on other bytes is shown as passed; that a person did it stands in the notes."""

    async def work(service: Service, user: User) -> None:
        view = await service.projects.create(user, WISH)
        assert view.run is not None
        run_id = view.run.run_id
        await ended(service, user, run_id)
        await service.runs.rollback(user, run_id, "intake", {"docs/intake.md": b""})
        await ended(service, user, run_id)
        entry = (await service.runs.standing(user, run_id)).state.phase("intake")
        assert entry.receipts == ()
        assert "by hand" in entry.notes[-1]

    serve(tmp_path, work)


def test_ones_own_settings_undo_nothing_that_an_administrator_did(tmp_path: Path) -> None:
    """A request that was let in before the account was shut does not open it again."""

    async def work(service: Service, admin: User) -> None:
        bob = (await service.accounts.add_user(admin, "bob", "developer")).user
        await service.accounts.set_user(admin, "bob", disabled=True, daily_budget=1, models=("openai/*",))
        with pytest.raises(ForbiddenError):
            await service.accounts.set_agents(bob, {"qa": "openai/gpt-6-luna"})
        now = await service.accounts.find(admin, "bob")
        assert (now.disabled, now.daily_budget, now.models, now.agents) == (True, 1, ("openai/*",), {})

    serve(tmp_path, work)


def test_a_dropped_token_takes_the_sessions_along(tmp_path: Path) -> None:
    """Whoever signed in with it is out too; another token still lets in."""

    async def work(service: Service, admin: User) -> None:
        first = await service.accounts.add_user(admin, "bob", "developer")
        second = await service.accounts.add_token(admin, "bob", "other")
        session = await service.accounts.sign_in(first.value)
        assert session is not None
        await service.accounts.drop_token(admin, first.token.token_id, "bob")
        assert await service.accounts.bearer(session.value) is None
        assert await service.accounts.bearer(second.value) is not None

    serve(tmp_path, work)


def test_a_rejection_needs_a_reason(tmp_path: Path) -> None:
    """The next round is done with it in its prompt; without one it would be done the same again."""

    async def work(service: Service, user: User) -> None:
        reviewed = SHORT.replace("[not-empty]}", "[not-empty], review: human}", 1)
        view = await service.projects.create(user, msgspec.structs.replace(WISH, workflow=reviewed))
        assert view.run is not None
        await ended(service, user, view.run.run_id)
        state = (await service.runs.standing(user, view.run.run_id)).state
        with pytest.raises(ConfigError, match="no reason"):
            await service.runs.review(user, view.run.run_id, approved=False, content=state.phase("intake").reviewed)

    serve(tmp_path, work)


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nphases:\n" + "".join(f"- {{id: p{n}, agent: qa}}\n" for n in range(201)),
        "# " + "x" * 70_000 + "\nname: x",
        "name: x\nphases: " + "[" * 900,
    ],
    ids=["many phases", "large", "deep"],
)
def test_a_workflow_that_would_hold_everybody_up_is_refused(text: str) -> None:
    """Before it is checked, which takes the square of its phases, and without a fault of ours."""
    with pytest.raises(WorkflowError):
        load_shared_workflow(text)


def test_a_list_of_projects_holds_no_whole_briefs(tmp_path: Path) -> None:
    """A page of them stays small, whatever was wished for; the project itself has all of it."""

    async def work(service: Service, user: User) -> None:
        long = msgspec.structs.replace(WISH, brief="word " * 100_000)
        view = await service.projects.create(user, long, run=False)
        listed = (await service.projects.page(user))[0]
        assert len(listed.row.request) < 2_000
        assert (await service.projects.get(user, view.row.project_id)).wish.brief == long.brief

    serve(tmp_path, work)


def test_a_stream_ends_when_its_user_is_shut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again now and then; the next thing that would be sent is not."""
    monkeypatch.setattr(streams, "ASK_AGAIN", -1.0)
    answers = iter([True, True, False])

    async def batches() -> Any:
        while True:
            yield []

    async def allowed() -> bool:
        return next(answers)

    async def main() -> list[bytes]:
        return [frame async for frame in streams._frames(batches(), streams.event_frame, allowed)]

    assert asyncio.run(main()) == [streams.OPENING, streams.PING, streams.PING]


def test_an_estimate_prices_each_agent_by_its_own_model(tmp_path: Path) -> None:
    """A dearer model for the developer makes the developer's phase dearer, and no other's."""

    async def work(service: Service, user: User) -> None:
        wish = Wish("A tally counter")
        dear = msgspec.structs.replace(wish, assignments={"developer": "anthropic/claude-opus-5-5"})
        plain = {it.agent: it.high.cost for it in (await service.projects.estimate(user, wish))[1]}
        own = {it.agent: it.high.cost for it in (await service.projects.estimate(user, dear))[1]}
        assert [agent for agent, cost in own.items() if cost != plain[agent]] == ["developer"]

    serve(tmp_path, work)
