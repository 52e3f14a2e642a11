"""Keys of many users on the real stores: who can open what, and what becomes of them when master keys change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_v2.core.accounts import Credential, CredentialStore, Keyring
from orchestrator_v2.core.clock import ManualClock, SystemClock
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError, CredentialSealError
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.credentials.master_file import FileKeys
from orchestrator_v2.credentials.master_key import MasterKey
from orchestrator_v2.credentials.master_sources import EnvironmentKeys, MasterKeySource
from orchestrator_v2.credentials.vault import Vault
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.origin import origin_of
from orchestrator_v2.persistence.journal import open_journal

KEY = Secret("sk-ant-canary-0123456789abcdef")
OTHER = Secret("sk-ant-oat01-fedcba9876543210")
ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


class Place:
    """One server: a store, a master key's file, and as many vaults (processes) on them as are asked for."""

    def __init__(self, store: CredentialStore, home: Path) -> None:
        self.store = store
        self.home = home
        self.path = home / "config/master.key"
        self.ids = CountingIds()

    def file(self) -> FileKeys:
        return FileKeys(self.path, self.home / "data", clock=SystemClock())

    def vault(self, source: MasterKeySource | None = None, **more: Any) -> Vault:
        return Vault(
            more.pop("store", self.store),
            source or self.file(),
            clock=ManualClock(1_800_000_000.0),
            ids=self.ids,
            origin_of=origin_of,
            kind_of=kind_of,
            **more,
        )

    async def stored(self, vault: Vault, user: str, **more: str) -> Credential:
        return await vault.put(user, "anthropic", Secret(f"sk-ant-of-{user}-0123456789"), **more)

    async def check_all_open(self, credentials: list[Credential]) -> None:
        """In a new process: every key is its owner's."""
        vault = self.vault()
        for each in credentials:
            secret = await vault.open(each.user_id, each.credential_id)
            assert secret.reveal() == f"sk-ant-of-{each.user_id}-0123456789"


Work = Callable[[Place], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Work], None]:
    def run(work: Work) -> None:
        async def go() -> None:
            (tmp_path / "data").mkdir()
            url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/data/journal.db"
            journal = await open_journal(url, clock=SystemClock())
            try:
                await work(Place(journal.credentials(), tmp_path))
            finally:
                await journal.close()

        asyncio.run(go())

    return run


def test_a_key_is_kept_shown_by_its_last_four_and_opened_for_its_owner(at):
    """What is shown tells it apart; what is kept is neither the key nor anything that holds it."""

    async def work(place: Place) -> None:
        vault: Keyring = place.vault()
        kept = await vault.put(
            "u1", "anthropic", KEY, base_url="https://x.example/v1", default_model="claude", label="w"
        )
        assert (kept.last_four, kept.fingerprint, kept.kind) == ("cdef", KEY.fingerprint, "api_key")
        assert (kept.base_url, kept.default_model, kept.label, kept.state) == (
            "https://x.example/v1",
            "claude",
            "w",
            "ok",
        )
        assert kept.created_at == 1_800_000_000.0
        assert await vault.of_user("u1") == [kept]
        assert await vault.usable("u1", "anthropic") == kept
        assert await vault.usable("u1", "openai") is None
        assert await vault.check("u1", kept.credential_id) == kept
        assert await place.vault().open("u1", kept.credential_id) == KEY
        _, sealed = await place.store.find("u1", kept.credential_id) or (None, b"")
        assert KEY.reveal().encode() not in sealed

    at(work)


def test_a_key_of_any_letters_comes_back_as_it_was(at):
    """Whether a header can carry it is the wire's business; what is no text is refused, and not shown."""

    async def work(place: Place) -> None:
        vault = place.vault()
        odd = Secret("schlüssel-\U0001f511-01234567")
        kept = await vault.put("u1", "own", odd)
        assert await vault.open("u1", kept.credential_id) == odd
        with pytest.raises(ConfigError) as caught:
            await vault.put("u1", "own", Secret("sk-half-\udc80-01234567"))
        assert "sk-half" not in f"{caught.value!r}"
        assert caught.value.__suppress_context__

    at(work)


def test_another_users_key_is_not_there(at):
    """For a stranger it is like an id that nobody has; nothing is opened for them, marked or revoked."""

    async def work(place: Place) -> None:
        vault = place.vault()
        kept = await place.stored(vault, "u1")
        await place.stored(vault, "u2")
        for ask in (vault.open, vault.check):
            words = set()
            for wanted in (kept.credential_id, "key_of_nobody"):
                with pytest.raises(CredentialMissingError) as caught:
                    await ask("u2", wanted)
                words.add(str(caught.value))
            assert len(words) == 1
        await vault.refused("u2", kept.credential_id, "HTTP 401")
        await place.check_all_open([kept])

    at(work)


def test_a_sealed_row_that_is_moved_does_not_open(at):
    """Owner, id, provider and origin are bound in: a row that is copied to another of them is an error."""

    async def work(place: Place) -> None:
        vault = place.vault()
        kept = await vault.put("u1", "anthropic", KEY, base_url="https://good.example/v1")
        await place.stored(vault, "u2")
        _, sealed = await place.store.find("u1", kept.credential_id) or (None, b"")
        moves = [
            {"user_id": "u2", "credential_id": "key_moved", "provider": "other"},
            {"credential_id": "key_renamed", "provider": "other"},
            {"credential_id": "key_elsewhere", "base_url": "https://evil.example/v1"},
            {"credential_id": "key_open", "base_url": "http://good.example/v1"},
            {"credential_id": "key_port", "base_url": "https://good.example:8443/v1"},
            {"credential_id": "key_home", "base_url": ""},
        ]
        for change in moves:
            moved = msgspec.structs.replace(kept, **change)
            await place.store.put(moved, sealed)
            with pytest.raises(CredentialSealError):
                await vault.open(moved.user_id, moved.credential_id)

    at(work)


class Rewritten:
    """A store whose rows somebody has written over: `find` gives the credential with these fields."""

    def __init__(self, inner: CredentialStore, **change: str) -> None:
        self._inner = inner
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def find(self, user_id: str, credential_id: str) -> tuple[Credential, bytes] | None:
        found = await self._inner.find(user_id, credential_id)
        return found and (msgspec.structs.replace(found[0], **self._change), found[1])


@pytest.mark.parametrize(
    ("change", "opens"),
    [
        ({}, True),
        ({"label": "mine", "default_model": "x"}, True),
        ({"base_url": "https://GOOD.example:443/v2"}, True),
        ({"base_url": "https://evil.example/v1"}, False),
        ({"base_url": ""}, False),
        ({"provider": "openai"}, False),
        ({"user_id": "u2"}, False),
        ({"credential_id": "key_000009"}, False),
    ],
)
def test_each_bound_field_counts_by_itself(at, change, opens):
    """Whoever can write rows sends a key nowhere else; what is not bound may be edited, as may the path."""

    async def work(place: Place) -> None:
        kept = await place.vault().put("u1", "anthropic", KEY, base_url="https://good.example/v1")
        vault = place.vault(store=Rewritten(place.store, **change))
        if opens:
            assert await vault.open("u1", kept.credential_id) == KEY
        else:
            with pytest.raises(CredentialSealError):
                await vault.open("u1", kept.credential_id)

    at(work)


def test_a_new_key_takes_the_place_of_the_old_one(at):
    """The earlier one of that provider is gone for good, its seal too; other providers' keys stay."""

    async def work(place: Place) -> None:
        vault = place.vault()
        first = await vault.put("u1", "anthropic", KEY)
        beside = await vault.put("u1", "openai", KEY)
        second = await vault.put("u1", "anthropic", OTHER)
        assert await vault.of_user("u1") == [second, beside]
        assert second.kind == "oauth_token"
        with pytest.raises(CredentialMissingError, match="another took its place"):
            await vault.open("u1", first.credential_id)
        _, sealed = await place.store.find("u1", first.credential_id) or (None, b"?")
        assert sealed == b""
        assert await vault.open("u1", second.credential_id) == OTHER

    at(work)


def test_a_refused_key_is_not_used_again_and_says_why(at):
    """It is shown with the reason, and neither opened nor offered; a new one is."""

    async def work(place: Place) -> None:
        vault = place.vault()
        kept = await place.stored(vault, "u1")
        await vault.refused("u1", kept.credential_id, f"HTTP 401: {KEY.reveal()} is no key." + "x" * 1000)
        (shown,) = await vault.of_user("u1")
        assert (shown.state, shown.why[:20]) == ("invalid", "HTTP 401: [redacted]")
        assert len(shown.why) <= 500
        assert await vault.usable("u1", "anthropic") is None
        for ask in (vault.open, vault.check):
            with pytest.raises(CredentialMissingError, match="HTTP 401") as caught:
                await ask("u1", kept.credential_id)
            assert caught.value.parks_as == "needs_credential"
        renewed = await vault.put("u1", "anthropic", KEY)
        assert await vault.open("u1", renewed.credential_id) == KEY

    at(work)


def test_a_revoked_key_is_forgotten(at):
    """Nothing is left to be opened; revoking what is not there is no error."""

    async def work(place: Place) -> None:
        vault = place.vault()
        kept = await place.stored(vault, "u1")
        assert await vault.revoke("u1", "openai") is False
        assert await vault.revoke("u2", "anthropic") is False
        assert await vault.revoke("u1", "anthropic") is True
        assert await vault.revoke("u1", "anthropic") is False
        assert await vault.of_user("u1") == []
        with pytest.raises(CredentialMissingError, match="was removed"):
            await vault.open("u1", kept.credential_id)
        await vault.refused("u1", kept.credential_id, "late")
        _, sealed = await place.store.find("u1", kept.credential_id) or (None, b"?")
        assert sealed == b""

    at(work)


def test_a_lost_master_key_is_an_error_and_no_new_one_is_made(at):
    """With data keys in the store and no file, everything that needs it says so, and the file stays away."""

    async def work(place: Place) -> None:
        vault = place.vault()
        await vault.check_master()
        assert not place.path.exists()
        kept = await place.stored(vault, "u1")
        (master,) = place.file().load()
        for lost in (place.path.unlink, lambda: (place.path.write_text(TWO.text()), place.path.chmod(0o600))):
            lost()
            before = place.path.exists()
            for ask in (
                vault.check_master(),
                vault.open("u1", kept.credential_id),
                vault.put("u1", "openai", KEY),
                place.stored(vault, "u2"),
                vault.rotate(),
            ):
                with pytest.raises(CredentialSealError, match=f"The master key {master.id} is not there"):
                    await ask
            assert place.path.exists() == before
        assert await place.store.data_key("u2") is None

    at(work)


def test_a_rotation_puts_a_new_master_key_in_the_place_of_the_old(at):
    """Every data key is wrapped anew, the old key leaves the file, and a vault that is open goes on."""

    async def work(place: Place) -> None:
        running = place.vault()
        kept = [await place.stored(running, f"u{number}") for number in range(5)]
        before = {row.user_id: row.wrapped for row in await place.store.data_keys()}
        (old,) = place.file().load()
        assert await place.vault().rotate() == 5
        (new,) = place.file().load()
        rows = await place.store.data_keys()
        assert new.id != old.id
        assert {row.master_id for row in rows} == {new.id}
        assert all(before[row.user_id] != row.wrapped for row in rows)
        kept.append(await place.stored(running, "late"))
        await place.check_all_open(kept)

    at(work)


def test_a_rotation_of_nothing_makes_the_first_key(at):
    """A server without users has nothing to wrap, and is ready for the first."""

    async def work(place: Place) -> None:
        assert await place.vault().rotate() == 0
        await place.check_all_open([await place.stored(place.vault(), "u1")])

    at(work)


def test_keys_of_the_environment_are_rotated_by_their_order(at):
    """With NEW,OLD everything is wrapped under NEW; after that OLD may go. With OLD alone nothing is done."""

    async def work(place: Place) -> None:
        old = place.vault(EnvironmentKeys(ONE.text()))
        kept = [await place.stored(old, f"u{number}") for number in range(3)]
        assert await old.rotate() == 0
        assert await place.vault(EnvironmentKeys(f"{TWO.text()},{ONE.text()}")).rotate() == 3
        alone = place.vault(EnvironmentKeys(TWO.text()))
        assert (await alone.open("u1", kept[1].credential_id)).reveal().startswith("sk-ant-of-u1")
        with pytest.raises(CredentialSealError, match=TWO.id):
            await old.open("u1", kept[1].credential_id)

    at(work)


def test_two_rotations_at_once_and_new_users_meanwhile_lose_nothing(at):
    """Whatever order they run in, every key opens, and one master key is left in the end."""

    async def work(place: Place) -> None:
        kept = [await place.stored(place.vault(), f"u{number}") for number in range(6)]
        rotations = [place.vault().rotate() for _ in range(3)]
        joining = [place.stored(place.vault(), f"new{number}") for number in range(6)]
        counts, joined = await asyncio.gather(asyncio.gather(*rotations), asyncio.gather(*joining))
        assert sum(counts) >= 6
        await place.check_all_open([*kept, *joined])
        (master,) = place.file().load()
        assert {row.master_id for row in await place.store.data_keys()} == {master.id}

    at(work)


def test_the_first_keys_of_many_users_at_once_have_one_master_key(at):
    """A first use in several processes makes one file, and one data key for each user."""

    async def work(place: Place) -> None:
        kept = await asyncio.gather(*(place.stored(place.vault(), f"u{number % 4}") for number in range(12)))
        (master,) = place.file().load()
        rows = await place.store.data_keys()
        assert [(row.user_id, row.master_id) for row in rows] == [(f"u{number}", master.id) for number in range(4)]
        live = [each for user in range(4) for each in await place.store.of_user(f"u{user}")]
        assert len(live) == 4
        await place.check_all_open(live)
        assert len({each.credential_id for each in kept}) == 12

    at(work)


def test_no_two_users_share_a_data_key_and_a_wrapping_is_its_users_own(at):
    """A wrapped data key that is written over another user's does not open there."""

    async def work(place: Place) -> None:
        vault = place.vault()
        kept = [await place.stored(vault, user) for user in ("u1", "u2")]
        one, two = await place.store.data_keys()
        assert one.wrapped != two.wrapped
        await place.store.rewrap(msgspec.structs.replace(one, user_id="u2"), was=two.master_id)
        with pytest.raises(CredentialSealError):
            await vault.open("u2", kept[1].credential_id)

    at(work)


def test_no_key_is_in_the_database_or_beside_it(tmp_path):
    """The bytes of the whole data directory hold neither the key nor its base64; the master key is elsewhere."""

    async def go() -> None:
        (tmp_path / "data").mkdir()
        journal = await open_journal(f"sqlite:///{tmp_path}/data/journal.db", clock=SystemClock())
        place = Place(journal.credentials(), tmp_path)
        await place.vault().put("u1", "anthropic", KEY)
        await place.vault().rotate()
        await journal.close()
        (master,) = place.file().load()
        content = b"".join(path.read_bytes() for path in sorted((tmp_path / "data").rglob("*")) if path.is_file())
        assert KEY.last_four.encode() in content
        shown = content.decode("latin-1")
        assert KEY.hidden_from(shown) == shown
        assert master.text() not in shown

    asyncio.run(go())


def test_nothing_that_a_vault_says_holds_a_key(at, caplog):
    """Logs at their most talkative level, and the words of each error, are free of keys."""

    async def work(place: Place) -> None:
        caplog.set_level(0)
        vault = place.vault()
        kept = await vault.put("u1", "anthropic", KEY)
        (master,) = place.file().load()
        await vault.rotate()
        place.path.unlink()
        with pytest.raises(CredentialSealError) as caught:
            await vault.open("u1", kept.credential_id)
        said = f"{caught.value!r} {caplog.text}"
        assert KEY.reveal() not in said
        assert master.text() not in said
        assert not re.search(r"[A-Za-z0-9+/]{40,}", str(caught.value))

    at(work)
