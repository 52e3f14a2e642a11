"""Users and tokens, the same on SQLite, on PostgreSQL and in memory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from account_cases import ODD, UNSTORABLE, token, user
from journal_cases import with_journal

from orchestrator_v2.core.errors import StoreError, StoreUnavailableError
from orchestrator_v2.persistence.journal import StoredJournal

ANN = user(
    "usr_ann",
    "Ann",
    role="admin",
    disabled=False,
    models=("anthropic/*", "openai/gpt ✓"),
    daily_budget=5,
    monthly_budget=1 << 60,
    sees="usr_bob",
)


def test_a_user_is_read_back_whole(url: str) -> None:
    """Every field comes back as it was given, an absent ceiling as None; a stranger's id gives nothing."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        assert await accounts.user("usr_ann") is None
        assert await accounts.add_user(ANN)
        assert await accounts.add_user(user("usr_bob", disabled=True))
        assert await accounts.user("usr_ann") == ANN
        assert await accounts.user("usr_bob") == user("usr_bob", disabled=True)
        assert await accounts.user("usr_an") is None

    with_journal(url, work)


def test_users_are_listed_oldest_first(url: str) -> None:
    """By the moment they were made, and by id where that is the same; none at the start."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        assert await accounts.users() == []
        for user_id, at in (("u3", 2.0), ("u2", 1.0), ("u1", 2.0), ("u0", 3.0)):
            assert await accounts.add_user(user(user_id, created_at=at))
        assert [it.user_id for it in await accounts.users()] == ["u2", "u1", "u3", "u0"]

    with_journal(url, work)


def test_an_id_or_a_name_that_is_taken_writes_nothing(url: str) -> None:
    """Neither is overwritten; a name in other letters is another name."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        assert await accounts.add_user(ANN)
        assert not await accounts.add_user(user("usr_ann", "Other"))
        assert not await accounts.add_user(user("usr_new", "Ann"))
        assert await accounts.users() == [ANN]
        assert await accounts.add_user(user("usr_new", "ann"))

    with_journal(url, work)


def test_fifty_that_want_one_name_are_one_user(url: str) -> None:
    """Of fifty adds at once with one name, exactly one is True, and that user is there."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        said = await asyncio.gather(*(accounts.add_user(user(f"u{n}", "root")) for n in range(50)))
        assert sum(said) == 1
        assert [it.user_id for it in await accounts.users()] == [f"u{said.index(True)}"]

    with_journal(url, work)


def test_settings_of_a_user_are_replaced_and_nothing_else(url: str) -> None:
    """Role, disabled, models, budgets and sees change; name, birth and other users stay; an unknown id is False."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        await accounts.add_user(user("usr_bob"))
        changed = user("usr_ann", "Another", role="viewer", disabled=True, created_at=99.0, models=("*",), sees="x")
        assert await accounts.set_user(changed)
        assert await accounts.user("usr_ann") == msgspec.structs.replace(changed, name="Ann", created_at=10.0)
        assert await accounts.user("usr_bob") == user("usr_bob")
        assert not await accounts.set_user(user("usr_none"))
        assert len(await accounts.users()) == 2

    with_journal(url, work)


def test_a_bearer_is_known_by_the_hash_until_it_expires(url: str) -> None:
    """Up to the last moment, never for an unknown hash or a disabled user; without an end for ever."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        await accounts.add_token(token("t1", expires_at=100.0), "hash1")
        await accounts.add_token(token("t2", kind="session"), "hash2")
        assert await accounts.bearer("hash1", 99.9) == ANN
        assert await accounts.bearer("hash1", 100.0) is None
        assert await accounts.bearer("hash2", 1e12) == ANN
        assert await accounts.bearer("HASH1", 1.0) is None
        assert await accounts.bearer("t1", 1.0) is None
        await accounts.set_user(msgspec.structs.replace(ANN, disabled=True))
        assert await accounts.bearer("hash1", 1.0) is None
        await accounts.set_user(ANN)
        assert await accounts.bearer("hash1", 1.0) == ANN

    with_journal(url, work)


def test_tokens_are_listed_by_user(url: str) -> None:
    """Bearer tokens and sessions, oldest first, every field as it was given; another user's are not among them."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        await accounts.add_user(user("usr_bob"))
        mine = [token("t2", created_at=1.0, expires_at=5.5), token("t1", kind="session"), token("t3", label="ü")]
        for number, one in enumerate([*reversed(mine), token("t4", "usr_bob")]):
            await accounts.add_token(one, f"hash{number}")
        assert await accounts.tokens("usr_ann") == mine
        assert [it.token_id for it in await accounts.tokens("usr_bob")] == ["t4"]
        assert await accounts.tokens("usr_none") == []

    with_journal(url, work)


def test_a_token_needs_a_user_and_a_place_of_its_own(url: str) -> None:
    """One of nobody, a hash or an id that is taken are refused; what was there stays, and the hash is in no error."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        await accounts.add_token(token("t1"), "a-secret-hash")
        for one, at in ((token("t2", "usr_none"), "h"), (token("t2"), "a-secret-hash"), (token("t1"), "another-hash")):
            with pytest.raises(StoreError) as caught:
                await accounts.add_token(one, at)
            assert "hash" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}".replace("token_hash", "")
        assert await accounts.tokens("usr_ann") == [token("t1")]
        assert await accounts.bearer("another-hash", 1.0) is None

    with_journal(url, work)


def test_a_dropped_token_lets_nobody_in(url: str) -> None:
    """By its owner and id, or by its hash; another user's id, an unknown one and a second time are False."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        await accounts.add_user(user("usr_bob"))
        await accounts.add_token(token("t1"), "hash1")
        await accounts.add_token(token("t2"), "hash2")
        assert not await accounts.drop_token("usr_bob", "t1")
        assert not await accounts.drop_token("usr_ann", "t3")
        assert not await accounts.drop_token_by_hash("t1")
        assert await accounts.bearer("hash1", 1.0) == ANN
        assert await accounts.drop_token("usr_ann", "t1")
        assert not await accounts.drop_token("usr_ann", "t1")
        assert await accounts.drop_token_by_hash("hash2")
        assert not await accounts.drop_token_by_hash("hash2")
        assert [await accounts.bearer(at, 1.0) for at in ("hash1", "hash2")] == [None, None]
        assert await accounts.tokens("usr_ann") == []

    with_journal(url, work)


def test_a_session_is_no_token(url: str) -> None:
    """Only a bearer token means that nobody is let in without one."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        assert not await accounts.any_tokens()
        await accounts.add_token(token("t1", kind="session"), "hash1")
        assert not await accounts.any_tokens()
        await accounts.add_token(token("t2"), "hash2")
        assert await accounts.any_tokens()
        await accounts.drop_token("usr_ann", "t2")
        assert not await accounts.any_tokens()

    with_journal(url, work)


@pytest.mark.parametrize("text", ODD[1:])
def test_odd_texts_are_kept_as_they_are(url: str, text: str) -> None:
    """Names, labels and patterns with quotes, line ends and other alphabets come back unchanged, and are found."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        odd = user(text, text, models=(text,), sees=text)
        assert await accounts.add_user(odd)
        assert not await accounts.add_user(user("another", text))
        await accounts.add_token(token(text, text, label=text), text)
        assert await accounts.user(text) == odd
        assert await accounts.bearer(text, 1.0) == odd
        assert await accounts.tokens(text) == [token(text, text, label=text)]
        assert await accounts.drop_token(text, text)

    with_journal(url, work)


@pytest.mark.parametrize("text", UNSTORABLE)
def test_a_text_that_no_database_takes_is_refused_and_finds_nothing(url: str, text: str) -> None:
    """To write it is a `StoreError` on every database, to ask for it is nothing, and what is there stays."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await accounts.add_user(ANN)
        for refused in (
            accounts.add_user(user("u", text)),
            accounts.set_user(msgspec.structs.replace(ANN, sees=text)),
            accounts.add_token(token(label=text), "hash"),
        ):
            with pytest.raises(StoreError):
                await refused
        assert await accounts.user(text) is None
        assert await accounts.bearer(text, 1.0) is None
        assert await accounts.tokens(text) == []
        assert not await accounts.set_user(user(text, "u"))
        assert not await accounts.drop_token("usr_ann", text)
        assert not await accounts.drop_token_by_hash(text)
        assert await accounts.users() == [ANN]

    with_journal(url, work)


def test_a_closed_journal_says_so(url: str) -> None:
    """Reading and writing after close() are a `StoreUnavailableError`."""

    async def work(journal: StoredJournal) -> None:
        accounts = journal.accounts()
        await journal.close()
        for refused in (accounts.users(), accounts.add_user(ANN)):
            with pytest.raises(StoreUnavailableError):
                await refused

    with_journal(url, work)


def test_users_and_tokens_outlive_the_process(stored_url: str) -> None:
    """What was acknowledged is there when the database is opened anew."""

    async def before(journal: StoredJournal) -> None:
        await journal.accounts().add_user(ANN)
        await journal.accounts().add_token(token("t1"), "hash1")

    async def after(journal: StoredJournal) -> None:
        assert await journal.accounts().bearer("hash1", 1.0) == ANN
        assert await journal.accounts().tokens("usr_ann") == [token("t1")]

    with_journal(stored_url, before)
    with_journal(stored_url, after)
