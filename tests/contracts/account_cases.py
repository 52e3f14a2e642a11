"""Small builders for the tests of users, tokens, credentials, projects and usage."""

from __future__ import annotations

from typing import Any

from orchestrator_v2.core.accounts import Credential, ProjectRow, Token, User

# Texts that every database must give back as they were.
ODD = ["", " ", "Ünï 🍅", "'; DROP TABLE users; --", '"%s" ? {}', "a\nb\tc", "\u202eright to left", "x" * 5000]
# Texts that no database takes.
UNSTORABLE = ["a\0b", "half \ud83c", "\udfff"]


def user(user_id: str = "usr_ann", name: str = "", **changes: Any) -> User:
    return User(user_id, name or user_id.removeprefix("usr_"), **({"role": "developer", "created_at": 10.0} | changes))


def token(token_id: str = "tok_1", user_id: str = "usr_ann", **changes: Any) -> Token:
    values: dict[str, Any] = {"kind": "token", "label": "a laptop", "last_four": "wxyz", "created_at": 20.0}
    return Token(token_id, user_id, **(values | changes))


def credential(
    credential_id: str = "crd_1", user_id: str = "usr_ann", provider: str = "anthropic", **changes: Any
) -> Credential:
    values: dict[str, Any] = {
        "base_url": "",
        "default_model": "a-model",
        "label": "mine",
        "kind": "user",
        "last_four": "1234",
        "fingerprint": "0123456789ab",
        "created_at": 30.0,
    }
    return Credential(credential_id, user_id, provider, **(values | changes))


def project(project_id: str = "prj_a", owner_id: str = "usr_ann", **changes: Any) -> ProjectRow:
    values: dict[str, Any] = {"project_no": 0, "name": "a timer", "request": b'{"brief":"a timer"}', "created_at": 40.0}
    given = values | changes
    # As short as it is here, what a list shows is the whole wish.
    return ProjectRow(project_id, owner_id=owner_id, **{"summary": given["request"], **given})
