"""Projects by owner, idempotency keys, and which runs are listed, the same on SQLite, PostgreSQL and in memory."""

from __future__ import annotations

import asyncio
import random
import string

import msgspec
import pytest
from account_cases import ODD, UNSTORABLE, project
from journal_cases import new_run, with_journal

from orchestrator_v2.core.accounts import Reply
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import StoreError
from orchestrator_v2.persistence.journal import StoredJournal, open_journal


def test_a_project_is_read_back_by_its_owner_only(url: str) -> None:
    """Every field as it was given, with the store's own number; a foreign owner and an unknown id give nothing."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        given = project(project_no=77, request=b"\x00\xff {}")
        added = await projects.add(given)
        assert added == msgspec.structs.replace(given, project_no=added.project_no)
        assert added.project_no != 77
        assert await projects.get("usr_ann", "prj_a") == added
        assert await projects.get("usr_bob", "prj_a") is None
        assert await projects.get("usr_ann", "prj_") is None

    with_journal(url, work)


def test_projects_are_paged_newest_first(url: str) -> None:
    """Each page goes on where the one before ended, without the other owner's; the last one is short, then empty."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        for number in range(7):
            await projects.add(project(f"p{number}"))
            await projects.add(project(f"q{number}", "usr_bob"))
        seen: list[list[str]] = []
        before = None
        while page := await projects.page("usr_ann", before=before, limit=3):
            seen.append([it.project_id for it in page])
            before = page[-1].project_no
        assert seen == [["p6", "p5", "p4"], ["p3", "p2", "p1"], ["p0"]]
        assert len(await projects.page("usr_bob")) == 7
        assert await projects.page("usr_none") == []
        assert await projects.page("usr_ann", before=1) == []
        assert len(await projects.page("usr_ann", before=1 << 80)) == 7

    with_journal(url, work)


def test_a_dropped_project_is_in_no_answer(url: str) -> None:
    """Only its owner drops it, once; its id stays taken and the others stay listed."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        for name in ("p1", "p2", "p3"):
            await projects.add(project(name))
        assert not await projects.drop("usr_bob", "p2")
        assert not await projects.drop("usr_ann", "p9")
        assert len(await projects.page("usr_ann")) == 3
        assert await projects.drop("usr_ann", "p2")
        assert not await projects.drop("usr_ann", "p2")
        assert await projects.get("usr_ann", "p2") is None
        assert [it.project_id for it in await projects.page("usr_ann")] == ["p3", "p1"]
        with pytest.raises(StoreError):
            await projects.add(project("p2"))
        assert (await projects.add(project("p4"))).project_no > 3

    with_journal(url, work)


def test_a_key_is_used_once_by_each_owner(url: str) -> None:
    """The reply is written with the project; a second use writes nothing at all, another owner's key is another."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        assert await projects.reply("usr_ann", "k") is None
        await projects.add(project("p1"), key="k", request_hash="h1")
        assert await projects.reply("usr_ann", "k") == Reply("h1", "p1")
        with pytest.raises(StoreError):
            await projects.add(project("p2"), key="k", request_hash="h2")
        assert await projects.get("usr_ann", "p2") is None
        assert await projects.reply("usr_bob", "k") is None
        await projects.add(project("p3", "usr_bob"), key="k", request_hash="h3")
        assert await projects.reply("usr_ann", "k") == Reply("h1", "p1")
        assert await projects.reply("usr_bob", "k") == Reply("h3", "p3")
        for name in ("p4", "p5"):
            await projects.add(project(name))
        assert await projects.reply("usr_ann", "") is None

    with_journal(url, work)


def test_a_key_is_not_used_up_by_a_project_that_was_refused(url: str) -> None:
    """An id that is taken leaves no reply behind: the key is free for the next request."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        await projects.add(project("p1", "usr_bob"))
        with pytest.raises(StoreError):
            await projects.add(project("p1"), key="k", request_hash="h")
        assert await projects.reply("usr_ann", "k") is None
        assert (await projects.get("usr_bob", "p1")) is not None
        await projects.add(project("p2"), key="k", request_hash="h")
        assert await projects.reply("usr_ann", "k") == Reply("h", "p2")

    with_journal(url, work)


def test_fifty_requests_with_one_key_are_one_project(url: str) -> None:
    """One of fifty adds at once gets through, the others are told, and the reply names the one that is there."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        adds = (projects.add(project(f"p{n}"), key="k", request_hash="h") for n in range(50))
        said = await asyncio.gather(*adds, return_exceptions=True)
        (added,) = [it for it in said if not isinstance(it, Exception)]
        assert {type(it) for it in said if it is not added} == {StoreError}
        assert await projects.page("usr_ann") == [added]
        assert await projects.reply("usr_ann", "k") == Reply("h", added.project_id)  # type: ignore[union-attr]

    with_journal(url, work)


def test_one_key_through_two_connections_is_one_project(stored_url: str) -> None:
    """Two processes that race with one key make one project, on each of twenty keys."""

    async def whole() -> None:
        journals = [await open_journal(stored_url, clock=ManualClock()) for _ in range(2)]
        for key in range(20):
            adds = (it.projects().add(project(f"p{key}-{n}"), key=f"k{key}") for n, it in enumerate(journals))
            said = await asyncio.gather(*adds, return_exceptions=True)
            assert sorted(isinstance(it, StoreError) for it in said) == [False, True]
        assert len(await journals[0].projects().page("usr_ann")) == 20
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(whole())


def test_a_reply_is_remembered_once(url: str) -> None:
    """For requests that make something else than a project: the first of fifty stays, the others are False."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        replies = [Reply("h", f"run_{n}") for n in range(50)]
        said = await asyncio.gather(*(projects.remember("usr_ann", "k", it) for it in replies))
        assert sum(said) == 1
        assert await projects.reply("usr_ann", "k") == replies[said.index(True)]
        assert await projects.remember("usr_bob", "k", Reply("h2", "run_b"))
        with pytest.raises(StoreError):
            await projects.add(project(), key="k", request_hash="h")
        assert await projects.page("usr_ann") == []

    with_journal(url, work)


@pytest.mark.parametrize("text", ODD[1:])
def test_odd_texts_are_kept_as_they_are(url: str, text: str) -> None:
    """Names, keys and ids in any alphabet come back unchanged and are found."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        added = await projects.add(project(text, text, name=text, request=text.encode()), key=text, request_hash=text)
        assert (added.name, added.request) == (text, text.encode())
        assert await projects.get(text, text) == added
        assert await projects.page(text) == [added]
        assert await projects.reply(text, text) == Reply(text, text)

    with_journal(url, work)


@pytest.mark.parametrize("text", UNSTORABLE)
def test_a_text_that_no_database_takes_is_refused_and_finds_nothing(url: str, text: str) -> None:
    """As a name, a key or a subject it is a `StoreError`; as an id to look for it is nobody's."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        for refused in (
            projects.add(project(name=text)),
            projects.add(project(), key=text),
            projects.remember("usr_ann", "k", Reply("h", text)),
        ):
            with pytest.raises(StoreError):
                await refused
        assert await projects.page("usr_ann") == await projects.page(text) == []
        assert await projects.get("usr_ann", text) is None
        assert await projects.reply("usr_ann", text) is None
        assert not await projects.drop("usr_ann", text)
        assert await journal.run(text) is await journal.run(text, owner_id="ann") is None
        assert await journal.run("run_a", owner_id=text) is None
        assert await journal.runs(owner_id=text) == await journal.runs(project_id=text) == []
        assert await journal.usage().lines(text, since=0.0) == []

    with_journal(url, work)


def test_a_run_is_found_by_its_owner_only(url: str) -> None:
    """With an owner neither a foreign run nor a prefix is found; without one both are, as before."""

    async def work(journal: StoredJournal) -> None:
        await new_run(journal, "run_abc", owner_id="ann")
        found = await journal.run("run_abc")
        assert found is not None
        assert await journal.run("run_abc", owner_id="ann") == found
        assert await journal.run("run_abc", owner_id="bob") is None
        assert await journal.run("run_abc", owner_id="") is None
        assert await journal.run("run_ab", owner_id="ann") is None
        assert await journal.run("run_ab") == found

    with_journal(url, work)


def test_runs_are_listed_by_owner_and_project(url: str) -> None:
    """Each filter alone and all together, newest first and paged; a project of another owner shows nothing."""

    async def work(journal: StoredJournal) -> None:
        for number, (owner, name) in enumerate([("ann", "p1"), ("bob", "p2"), ("ann", "p1"), ("ann", "p3")]):
            await new_run(journal, f"r{number}", owner_id=owner, project_id=name, status="failed" if number else "done")

        async def ids(**wanted: object) -> list[str]:
            return [it.run_id for it in await journal.runs(**wanted)]  # type: ignore[arg-type]

        assert await ids() == ["r3", "r2", "r1", "r0"]
        assert await ids(owner_id="ann") == ["r3", "r2", "r0"]
        assert await ids(project_id="p1") == ["r2", "r0"]
        assert await ids(owner_id="ann", project_id="p1", statuses=["failed"]) == ["r2"]
        assert await ids(owner_id="bob", project_id="p1") == []
        (last,) = await journal.runs(project_id="p1", limit=1)
        assert await ids(owner_id="ann", project_id="p1", before=last.run_no) == ["r0"]

    with_journal(url, work)


def test_runs_of_a_dropped_project_are_hidden_from_its_owner(url: str) -> None:
    """Not by owner, not by project, not by id; without an owner all are there, and so is a run without a project."""

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        for name in ("p1", "p2"):
            await projects.add(project(name, "ann"))
            await new_run(journal, f"run_{name}", owner_id="ann", project_id=name)
        await new_run(journal, "run_cli", owner_id="ann", project_id="p0")
        assert len(await journal.runs(owner_id="ann")) == 3
        assert await projects.drop("ann", "p1")
        assert [it.run_id for it in await journal.runs(owner_id="ann")] == ["run_cli", "run_p2"]
        assert await journal.runs(project_id="p1") == []
        assert await journal.run("run_p1", owner_id="ann") is None
        assert (await journal.run("run_cli", owner_id="ann")) is not None
        assert [it.run_id for it in await journal.runs()] == ["run_cli", "run_p2", "run_p1"]
        assert (await journal.run("run_p1")) is not None
        assert [run_id for run_id, _ in await journal.due(9e9)] == ["run_p1", "run_p2", "run_cli"]

    with_journal(url, work)


def test_projects_and_replies_outlive_the_process(stored_url: str) -> None:
    """Also that one was dropped is known when the database is opened anew."""

    async def before(journal: StoredJournal) -> None:
        for name in ("p1", "p2"):
            await journal.projects().add(project(name), key=name, request_hash="h")
        await journal.projects().drop("usr_ann", "p1")

    async def after(journal: StoredJournal) -> None:
        projects = journal.projects()
        assert [it.project_id for it in await projects.page("usr_ann")] == ["p2"]
        assert await projects.reply("usr_ann", "p1") == Reply("h", "p1")
        with pytest.raises(StoreError):
            await projects.add(project("p3"), key="p1", request_hash="h")

    with_journal(stored_url, before)
    with_journal(stored_url, after)


@pytest.mark.postgres
def test_a_key_too_long_for_an_index_is_refused_alone(postgres_url: str) -> None:
    """PostgreSQL's index takes no text of 9,000 random letters; what stands beside it in the group is written."""
    long = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=9000))

    async def work(journal: StoredJournal) -> None:
        projects = journal.projects()
        said = await asyncio.gather(
            projects.add(project("p1")),
            projects.remember("usr_ann", long, Reply("h", "p1")),
            projects.add(project("p2")),
            return_exceptions=True,
        )
        assert isinstance(said[1], StoreError)
        assert long[:20] not in f"{said[1]} {said[1]!r}"
        assert [it.project_id for it in await projects.page("usr_ann")] == ["p2", "p1"]

    with_journal(postgres_url, work)
