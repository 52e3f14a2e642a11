"""Sealed keys and the data keys around them, the same on SQLite, on PostgreSQL and in memory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from account_cases import ODD, UNSTORABLE, credential
from journal_cases import with_journal

from orchestrator_v2.core.accounts import Credential, CredentialStore, DataKey
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import StoreError
from orchestrator_v2.persistence.journal import StoredJournal, open_journal

SEALED = b"\x00\xff-sealed-canary-value"


async def found(store: CredentialStore, credential_id: str, user_id: str = "usr_ann") -> tuple[Credential, bytes]:
    one = await store.find(user_id, credential_id)
    assert one is not None
    return one


def test_a_credential_is_read_back_with_its_seal(url: str) -> None:
    """Every field and every byte; another user's question for the same id gives nothing."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        given = credential(base_url="https://x.example", state="invalid", why="refused ✓")
        await store.put(given, SEALED)
        assert await store.find("usr_ann", "crd_1") == (given, SEALED)
        assert await store.find("usr_bob", "crd_1") is None
        assert await store.find("usr_ann", "crd_2") is None
        assert await store.of_user("usr_ann") == [given]
        assert await store.of_user("usr_bob") == []

    with_journal(url, work)


def test_the_newest_key_of_a_provider_is_the_only_one_that_is_live(url: str) -> None:
    """The earlier one is revoked and its bytes are gone; other providers and other users keep theirs."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        kept = [credential("c0", provider="openai"), credential("c9", "usr_bob")]
        for one in (*kept, credential("c1"), credential("c2", base_url="https://x.example")):
            await store.put(one, SEALED)
        old, sealed = await found(store, "c1")
        assert (old.state, sealed) == ("revoked", b"")
        assert old.why
        assert [it.credential_id for it in await store.of_user("usr_ann")] == ["c2", "c0"]
        assert await found(store, "c2") == (credential("c2", base_url="https://x.example"), SEALED)
        assert await store.of_user("usr_bob") == [kept[1]]

    with_journal(url, work)


def test_credentials_are_listed_by_the_name_of_the_provider(url: str) -> None:
    """Those not revoked, whatever order they were given in; an invalid one is among them."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        for number, provider in enumerate(("openai", "anthropic", "Zeta", "groq")):
            await store.put(credential(f"c{number}", provider=provider), SEALED)
        assert await store.mark("usr_ann", "c0", "invalid", "401")
        assert await store.mark("usr_ann", "c3", "revoked", "left")
        assert [it.provider for it in await store.of_user("usr_ann")] == ["Zeta", "anthropic", "openai"]

    with_journal(url, work)


def test_a_mark_changes_state_and_reason_and_keeps_the_seal(url: str) -> None:
    """Invalid and ok again as often as one likes; a foreign or unknown one is False and changes nothing."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.put(credential(), SEALED)
        assert await store.mark("usr_ann", "crd_1", "invalid", "refused")
        assert await found(store, "crd_1") == (credential(state="invalid", why="refused"), SEALED)
        assert not await store.mark("usr_bob", "crd_1", "revoked", "x")
        assert not await store.mark("usr_ann", "crd_2", "revoked", "x")
        assert await store.mark("usr_ann", "crd_1", "ok", "")
        assert await found(store, "crd_1") == (credential(), SEALED)

    with_journal(url, work)


def test_revoked_is_final_and_leaves_no_bytes(url: str) -> None:
    """The sealed bytes are emptied, no other state follows, and a new key may be given in its place."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.put(credential(), SEALED)
        assert await store.mark("usr_ann", "crd_1", "revoked", "by ann")
        for state in ("ok", "invalid", "revoked"):
            assert not await store.mark("usr_ann", "crd_1", state, "again")  # type: ignore[arg-type]
        assert await found(store, "crd_1") == (credential(state="revoked", why="by ann"), b"")
        assert await store.of_user("usr_ann") == []
        await store.put(credential("crd_2"), SEALED)
        assert [it.credential_id for it in await store.of_user("usr_ann")] == ["crd_2"]
        assert (await found(store, "crd_1"))[0].why == "by ann"

    with_journal(url, work)


def test_an_id_that_is_taken_is_refused_whole_and_shows_no_seal(url: str) -> None:
    """The user's earlier key stays live and sealed, and the refused bytes are in no part of the error."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.put(credential("c1", "usr_bob"), SEALED)
        await store.put(credential("c2"), SEALED)
        for refused in (credential("c1"), credential("c2")):
            with pytest.raises(StoreError) as caught:
                await store.put(refused, b"another-sealed-canary")
            error = caught.value
            assert "canary" not in f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
        assert await found(store, "c2") == (credential("c2"), SEALED)
        assert await found(store, "c1", "usr_bob") == (credential("c1", "usr_bob"), SEALED)

    with_journal(url, work)


@pytest.mark.parametrize("text", UNSTORABLE)
def test_a_text_that_no_database_takes_is_refused_without_the_seal(url: str, text: str) -> None:
    """Nothing is written, nothing is found by it, and the error shows neither the sealed bytes nor what they wrap."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.put(credential(), SEALED)
        for refused in (
            store.put(credential("c2", label=text), b"another-sealed-canary"),
            store.mark("usr_ann", "crd_1", "invalid", text),
            store.add_data_key(DataKey("usr_ann", text, b"another-sealed-canary")),
        ):
            with pytest.raises(StoreError) as caught:
                await refused
            assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert await found(store, "crd_1") == (credential(), SEALED)
        assert await store.find("usr_ann", text) is None
        assert await store.find(text, "crd_1") is None
        assert await store.data_key(text) is None
        assert not await store.mark(text, "crd_1", "ok", "")
        assert not await store.rewrap(DataKey("usr_ann", "m", b"x"), was=text)

    with_journal(url, work)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_are_kept_as_they_are(url: str, text: str) -> None:
    """Label, address, model and reason come back unchanged, an empty one too."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        given = credential(label=text, base_url=text, default_model=text, last_four=text, kind=text)
        await store.put(given, b"")
        await store.mark("usr_ann", "crd_1", "invalid", text)
        assert await found(store, "crd_1") == (msgspec.structs.replace(given, state="invalid", why=text), b"")

    with_journal(url, work)


def test_fifty_keys_at_once_leave_one_live(url: str) -> None:
    """All fifty are accepted, the last of them is live, and no other has any bytes left."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await asyncio.gather(*(store.put(credential(f"c{n}"), SEALED) for n in range(50)))
        (live,) = await store.of_user("usr_ann")
        sealed = {f"c{n}": (await found(store, f"c{n}"))[1] for n in range(50)}
        assert [name for name, content in sealed.items() if content] == [live.credential_id]

    with_journal(url, work)


def test_keys_given_through_several_connections_at_once_leave_one_live(stored_url: str) -> None:
    """Four processes that store keys of one user and provider do not refuse each other, and one key is live."""

    async def whole() -> None:
        journals = [await open_journal(stored_url, clock=ManualClock()) for _ in range(4)]
        stores = [journal.credentials() for journal in journals]
        for batch in range(10):
            await asyncio.gather(*(stores[n % 4].put(credential(f"c{batch}-{n}"), SEALED) for n in range(40)))
            assert len(await stores[0].of_user("usr_ann")) == 1
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(whole())


def test_the_first_data_key_of_a_user_is_the_users(url: str) -> None:
    """Fifty that would add one at once all get the same one back; another user has another."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        assert await store.data_key("usr_ann") is None
        keys = [DataKey("usr_ann", f"m{n}", SEALED + bytes([n])) for n in range(50)]
        got = await asyncio.gather(*(store.add_data_key(key) for key in keys))
        assert set(got) == {got[0]}
        assert got[0] in keys
        assert await store.data_key("usr_ann") == got[0]
        other = DataKey("usr_aaron", "m", b"x")
        assert await store.add_data_key(other) == other
        assert await store.data_keys() == [other, got[0]]

    with_journal(url, work)


def test_a_data_key_is_rewrapped_once(url: str) -> None:
    """Only in the place of the wrapping that was meant: of two that rotate at once, one is told False."""

    async def work(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.add_data_key(DataKey("usr_ann", "old", b"1"))
        await store.add_data_key(DataKey("usr_bob", "old", b"2"))
        wishes = [DataKey("usr_ann", f"new{n}", bytes([n])) for n in range(50)]
        said = await asyncio.gather(*(store.rewrap(wish, was="old") for wish in wishes))
        assert sum(said) == 1
        assert await store.data_key("usr_ann") == wishes[said.index(True)]
        assert not await store.rewrap(DataKey("usr_none", "new", b"3"), was="old")
        assert await store.data_key("usr_bob") == DataKey("usr_bob", "old", b"2")
        assert [it.user_id for it in await store.data_keys()] == ["usr_ann", "usr_bob"]

    with_journal(url, work)


def test_keys_outlive_the_process(stored_url: str) -> None:
    """Credentials, their state, their bytes, and the data keys are there when the database is opened anew."""

    async def before(journal: StoredJournal) -> None:
        store = journal.credentials()
        await store.put(credential("c1"), SEALED)
        await store.put(credential("c2", provider="openai"), SEALED)
        await store.mark("usr_ann", "c2", "invalid", "401")
        await store.add_data_key(DataKey("usr_ann", "m", SEALED))

    async def after(journal: StoredJournal) -> None:
        store = journal.credentials()
        assert await found(store, "c1") == (credential("c1"), SEALED)
        assert await found(store, "c2") == (credential("c2", provider="openai", state="invalid", why="401"), SEALED)
        assert await store.data_keys() == [DataKey("usr_ann", "m", SEALED)]

    with_journal(stored_url, before)
    with_journal(stored_url, after)
