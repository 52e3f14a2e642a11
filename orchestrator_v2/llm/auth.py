"""Where a provider's credential is found, in which order, and what the source is called when it is shown.

Keys of many users are the `credentials` floor; what a refused key means is `errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from orchestrator_v2.core.secrets import Secret

CredentialKind = Literal["api_key", "oauth_token"]


class EnvironmentKey(msgspec.Struct, frozen=True):
    variable: str
    kind: CredentialKind = "api_key"


# A further provider costs one row here; the first that is set wins.
ENVIRONMENT_KEYS: Mapping[str, tuple[EnvironmentKey, ...]] = {
    "anthropic": (
        EnvironmentKey("CLAUDE_CODE_OAUTH_TOKEN", "oauth_token"),
        EnvironmentKey("ANTHROPIC_API_KEY"),
    ),
}

_OAUTH_PREFIX = "sk-ant-oat"


class ResolvedCredential(msgspec.Struct, frozen=True):
    """A credential and where it came from; `source` is for display, such as `environment ANTHROPIC_API_KEY`."""

    secret: Secret
    kind: CredentialKind
    source: str


def resolve_credential(
    provider: str,
    environ: Mapping[str, str],
    *,
    explicit: Secret | None = None,
    prefer_oauth: bool = True,
) -> ResolvedCredential | None:
    """The credential to use, or None where there is none; `explicit` always wins over the environment."""
    found = resolve_credentials(provider, environ, explicit=explicit, prefer_oauth=prefer_oauth)
    return found[0] if found else None


def resolve_credentials(
    provider: str,
    environ: Mapping[str, str],
    *,
    explicit: Secret | None = None,
    prefer_oauth: bool = True,
) -> tuple[ResolvedCredential, ...]:
    """All credentials in the order of preference: the second is the spare one (`LLMConfig.spare_credential`).

    An explicit key stands alone: a key of the environment never pays for a user who brought another.
    """
    if explicit is not None:
        return (ResolvedCredential(explicit, kind_of(explicit), "given explicitly"),)
    rows = sorted(ENVIRONMENT_KEYS.get(provider, ()), key=lambda row: (row.kind == "oauth_token") != prefer_oauth)
    return tuple(
        ResolvedCredential(Secret(environ[row.variable]), row.kind, f"environment {row.variable}")
        for row in rows
        if environ.get(row.variable, "").strip()
    )


def kind_of(secret: Secret) -> CredentialKind:
    """An OAuth token is known by its prefix; all else is an API key."""
    return "oauth_token" if secret.reveal().startswith(_OAUTH_PREFIX) else "api_key"


def credential_variables(provider: str) -> tuple[str, ...]:
    """The environment variables that are looked at, for messages and `config show`."""
    return tuple(row.variable for row in ENVIRONMENT_KEYS.get(provider, ()))
