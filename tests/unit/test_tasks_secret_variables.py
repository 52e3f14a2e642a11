"""Which variables hold keys: by whole words of their names, by what is in them, or by the user's word."""

from __future__ import annotations

import pytest

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.tasks.secret_variables import is_secret_name, secrets_in


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_API_KEY", "api_keys", "GITHUB_TOKEN", "PGPASS", "PGPASSWORD", "MYSQL_PWD", "SSHPASS", "DB_PASS",
        "AWS_CREDENTIALS", "GOOGLE_CREDENTIAL", "SECRET_KEY_BASE", "MYAPIKEY", "NPM_AUTHTOKEN", "KEY_PASSPHRASE",
    ],
)  # fmt: skip
def test_names_of_keys(name: str) -> None:
    """What usually holds a key is known for it."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "TOKENIZERS_PARALLELISM", "XKB_KEYMAP", "KEYBOARD", "MAX_TOKENS", "PWD", "OLDPWD", "PATH", "PROXY_BYPASS",
        "COMPASS", "MONKEY", "SECRETARY", "AUTHOR", "PATTERN", "DATABASE_URL",
    ],
)  # fmt: skip
def test_names_of_none(name: str) -> None:
    """A part of a word tells nothing: its harmless value is not taken out of every text."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("postgres://u:hunter2secret@h/db", ["hunter2secret"]),
        ("redis://:p%40ss-word@h:1", ["p%40ss-word", "p@ss-word"]),
        ("host=h password=hunter2secret user=u", ["hunter2secret"]),
        ("Server=h;Pwd=hunter2secret;", ["hunter2secret"]),
        ("sk-ant-api03-0123456789abcdef", ["sk-ant-api03-0123456789abcdef"]),
        ("http://h:8080/a@b", []),
        ("postgres://u@h/db", []),
        ("task-management-system", []),
        (" ", []),
    ],
)
def test_keys_inside_of_values(value: str, keys: list[str]) -> None:
    """A password in a URL or a pair, and what has the shape of a vendor's key, whatever the variable is called."""
    assert secrets_in(["PLACE"], None, {"PLACE": value}) == tuple(map(Secret, keys))


def test_the_users_list_holds_alone() -> None:
    """Who says which they are is not second-guessed."""
    environ = {"API_KEY_MODE": "result", "NOTE": "hunter2secret", "URL": "http://u:hunter3secret@h"}
    assert secrets_in(list(environ), ("NOTE", "NOT_SET"), environ) == (Secret("hunter2secret"),)
    assert secrets_in(list(environ), (), environ) == ()
    assert secrets_in(list(environ), None, environ) == (Secret("result"), Secret("hunter3secret"))
