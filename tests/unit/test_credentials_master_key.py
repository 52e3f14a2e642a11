"""Where the master key comes from, and which places are refused."""

from __future__ import annotations

import asyncio
import base64
import os
import pickle
import stat
from pathlib import Path

import pytest

from orchestrator_v2.core.clock import ManualClock, SystemClock
from orchestrator_v2.core.errors import ConfigError, CredentialSealError
from orchestrator_v2.credentials.master_file import FileKeys, default_path
from orchestrator_v2.credentials.master_key import MasterKey, parse_keys
from orchestrator_v2.credentials.master_sources import EnvironmentKeys, KeyringKeys, open_master_keys

ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def file_keys(home: Path, name: str = "config/master.key") -> FileKeys:
    return FileKeys(home / name, home / "data", clock=ManualClock(auto=True))


def made(source: FileKeys | KeyringKeys) -> tuple[MasterKey, ...]:
    async def go() -> tuple[MasterKey, ...]:
        async with source.locked():
            return source.renew()

    return asyncio.run(go())


def ids(keys: tuple[MasterKey, ...]) -> list[str]:
    return [key.id for key in keys]


def test_a_master_key_shows_its_id_only():
    """Neither repr nor an error nor a pickle holds the key."""
    assert len(ONE.id) == 12
    assert int(ONE.id, 16) >= 0
    assert repr(ONE) == f"MasterKey({ONE.id})"
    with pytest.raises(TypeError):
        pickle.dumps(ONE)
    with pytest.raises(ValueError, match="key 2 has 3 bytes") as caught:
        parse_keys([ONE.text(), "YWJj"])
    assert "YWJj" not in str(caught.value)


def test_keys_of_the_environment_are_read_in_order_and_each_once():
    """Several keys are separated by commas, in either alphabet of base64; the first wraps."""
    raw = bytes([251, 255]) * 16
    urlsafe = base64.urlsafe_b64encode(raw).decode()
    source = EnvironmentKeys(f" {TWO.text()} ,{urlsafe},{TWO.text()}")
    assert ids(source.load()) == [TWO.id, MasterKey(raw).id]
    assert ids(source.renew()) == ids(source.load())


@pytest.mark.parametrize("value", ["", "  ", "not base64!", "YWJj", f"{ONE.text()},"])
def test_an_environment_key_that_is_none_is_refused(value):
    """A variable that is set and of no use never gives way to another place, and is not printed."""
    with pytest.raises(ConfigError) as caught:
        open_master_keys({"ORCHESTRATOR_MASTER_KEY": value, "HOME": "/x"}, data_dir=Path("/d"), clock=ManualClock())
    assert value.strip() == "" or value not in str(caught.value)


def test_the_places_are_tried_in_their_order(tmp_path):
    """The environment, else the file; the keyring only when it is asked for by name."""
    clock, environ = ManualClock(), {"XDG_CONFIG_HOME": str(tmp_path)}
    assert isinstance(open_master_keys(environ, data_dir=tmp_path / "data", clock=clock), FileKeys)
    both = {**environ, "ORCHESTRATOR_MASTER_KEY": ONE.text(), "ORCHESTRATOR_MASTER_KEY_FROM": "keyring"}
    assert isinstance(open_master_keys(both, data_dir=tmp_path / "data", clock=clock), EnvironmentKeys)
    asked = {**environ, "ORCHESTRATOR_MASTER_KEY_FROM": "keyring"}
    assert isinstance(open_master_keys(asked, data_dir=tmp_path / "data", clock=clock), KeyringKeys)
    with pytest.raises(ConfigError, match="Use file or keyring"):
        open_master_keys({**environ, "ORCHESTRATOR_MASTER_KEY_FROM": "cloud"}, data_dir=tmp_path, clock=clock)
    assert list(tmp_path.iterdir()) == []


def test_the_files_place_is_the_users_configuration():
    """As the XDG rules say: a relative XDG_CONFIG_HOME does not count."""
    assert default_path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == Path("/c/orchestrator/master.key")
    assert default_path({"XDG_CONFIG_HOME": "c", "HOME": "/h"}) == Path("/h/.config/orchestrator/master.key")
    with pytest.raises(ConfigError, match="HOME is not set"):
        default_path({})


def test_the_file_is_made_once_for_its_owner_alone(tmp_path):
    """First there is none; what is made is 0600 in a folder of 0700, is read back, and nothing else is left over."""
    source = file_keys(tmp_path)
    assert source.load() == ()
    old_mask = os.umask(0)
    try:
        keys = made(source)
    finally:
        os.umask(old_mask)
    path = tmp_path / "config/master.key"
    assert ids(source.load()) == ids(keys)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(each.name for each in path.parent.iterdir()) == ["master.key", "master.key.lock"]


def test_a_new_key_stands_before_the_old_one_until_that_is_dropped(tmp_path):
    """The file goes from [old] over [new, old] to [new]; what a killed writer left beside it is no hindrance."""
    source = file_keys(tmp_path)
    (old,) = made(source)
    (tmp_path / "config/master.key.new").write_text("half of a ke")
    new, second = made(source)
    assert ids(source.load()) == [new.id, second.id]
    assert second.id == old.id != new.id
    source.keep(new)
    assert ids(source.load()) == [new.id]
    assert old.text() not in (tmp_path / "config/master.key").read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o611])
def test_a_file_that_others_can_use_is_refused(tmp_path, mode):
    """Whoever else can read or write it has every key; the error names the command that mends it."""
    source = file_keys(tmp_path)
    made(source)
    (tmp_path / "config/master.key").chmod(mode)
    with pytest.raises(CredentialSealError, match="chmod 600"):
        source.load()


def test_a_link_in_the_files_place_is_refused(tmp_path):
    """A symbolic link may point anywhere by the time it is read; a pipe does not hang the server."""
    path = tmp_path / "config/master.key"
    made(file_keys(tmp_path, "real/master.key"))
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real/master.key")
    with pytest.raises(CredentialSealError, match="symbolic link"):
        file_keys(tmp_path).load()
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(CredentialSealError, match="no regular file"):
        file_keys(tmp_path).load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path):
    """Even root uses no key that somebody else may have put there."""
    source = file_keys(tmp_path)
    made(source)
    os.chown(tmp_path / "config/master.key", 12345, -1)
    with pytest.raises(CredentialSealError, match="another user"):
        source.load()


def test_a_file_inside_the_data_directory_is_refused(tmp_path):
    """Also by way of a link to that directory: a copy of it must not hold both the lock and the key."""
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data/deep")
    for name in ("data/master.key", "link/master.key", "config/../data/master.key"):
        with pytest.raises(ConfigError, match="inside the data directory"):
            file_keys(tmp_path, name)


@pytest.mark.parametrize("content", ["", "# only words\n", "%%%\n", "YWJj\n", "\xff\xfe"])
def test_a_damaged_file_is_an_error_and_never_no_key(tmp_path, content):
    """A file that is there and holds no key would else be taken for the first use, and all keys be lost."""
    path = tmp_path / "config/master.key"
    path.parent.mkdir()
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(CredentialSealError, match="Restore it"):
        file_keys(tmp_path).load()


def test_only_one_at_a_time_holds_the_lock(tmp_path):
    """Two holders in one process exclude each other, as two processes do; the lock is free again after each."""
    seen: list[str] = []

    async def hold(name: str) -> None:
        async with FileKeys(tmp_path / "c/master.key", tmp_path / "data", clock=SystemClock()).locked():
            seen.append(f"{name} in")
            await asyncio.sleep(0.05)
            seen.append(f"{name} out")

    async def both() -> None:
        await asyncio.gather(hold("a"), hold("b"))

    asyncio.run(both())
    assert seen in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


def test_a_lock_that_is_never_free_is_an_error(tmp_path):
    """Whoever waits says for what, and for how long."""

    async def go() -> None:
        source = file_keys(tmp_path)
        async with source.locked(), source.locked():
            raise AssertionError("both hold it")

    with pytest.raises(CredentialSealError, match="Another process has held it for 30 s"):
        asyncio.run(go())


class Entries:
    """A keyring of the system, as the package shows it."""

    def __init__(self, *, forgets: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.forgets = forgets

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self.forgets:
            self.kept[service, username] = password


def test_the_keyring_keeps_keys_as_the_file_does(tmp_path):
    """One entry holds [new, old] during a rotation and [new] after it."""
    entries = Entries()
    source = KeyringKeys(entries, tmp_path / "lock", clock=ManualClock())
    assert source.load() == ()
    (old,) = made(source)
    new, _ = made(source)
    assert entries.kept == {("orchestrator", "master-key"): f"{new.text()},{old.text()}"}
    source.keep(new)
    assert ids(source.load()) == [new.id]


def test_a_keyring_that_forgets_or_fails_is_an_error(tmp_path):
    """No key is used that was not kept; the real package without a keyring says so in this project's words."""
    from keyring.backends.fail import Keyring

    for store, words in ((Entries(forgets=True), "did not keep"), (Keyring(), "NoKeyringError")):
        with pytest.raises(CredentialSealError, match=words):
            made(KeyringKeys(store, tmp_path / "lock", clock=ManualClock()))
