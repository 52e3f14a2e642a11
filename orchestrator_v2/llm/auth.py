"""Where a provider's credential is found, in which order, and what the source is called when it is shown.

Keys of many users are the `credentials` floor; what a refused key means is `errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import Catalog, ProviderRow, load_catalog

CredentialKind = Literal["api_key", "oauth_token"]


# Of the engines in `search/choosing.py`, which is too much to load for their names; a test holds the two together.
SEARCH_VARIABLES = ("BRAVE_API_KEY", "TAVILY_API_KEY", "GOOGLE_CSE_KEY", "GOOGLE_CSE_ID")

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
    catalog: Catalog | None = None,
) -> ResolvedCredential | None:
    """The credential to use, or None where there is none; `explicit` always wins over the environment."""
    found = resolve_credentials(provider, environ, explicit=explicit, prefer_oauth=prefer_oauth, catalog=catalog)
    return found[0] if found else None


def resolve_credentials(
    provider: str,
    environ: Mapping[str, str],
    *,
    explicit: Secret | None = None,
    prefer_oauth: bool = True,
    catalog: Catalog | None = None,
) -> tuple[ResolvedCredential, ...]:
    """All credentials in the order of preference: the second is the spare one (`LLMConfig.spare_credential`).

    An explicit key stands alone: a key of the environment never pays for a user who brought another.
    """
    if explicit is not None:
        return (ResolvedCredential(explicit, kind_of(explicit), "given explicitly"),)
    rows = sorted(_variables(provider, catalog), key=lambda row: (row[1] == "oauth_token") != prefer_oauth)
    return tuple(
        ResolvedCredential(Secret(environ[variable]), kind, f"environment {variable}")
        for variable, kind in rows
        if environ.get(variable, "").strip()
    )


def kind_of(secret: Secret) -> CredentialKind:
    """An OAuth token is known by its prefix; all else is an API key."""
    return "oauth_token" if secret.reveal().startswith(_OAUTH_PREFIX) else "api_key"


def credential_variables(provider: str, catalog: Catalog | None = None) -> tuple[str, ...]:
    """The environment variables that are looked at, for messages and `config show`."""
    return tuple(variable for variable, _ in _variables(provider, catalog))


def all_credential_variables(catalog: Catalog | None = None) -> tuple[str, ...]:
    """Those of every provider in the catalog and of every search engine, each once."""
    rows = load_catalog() if catalog is None else catalog
    listed = (variable for name in rows for variable in credential_variables(name, rows))
    return tuple(dict.fromkeys([*listed, *SEARCH_VARIABLES]))


def _variables(provider: str, catalog: Catalog | None) -> list[tuple[str, CredentialKind]]:
    row = (load_catalog() if catalog is None else catalog).get(provider, ProviderRow())
    tokens: list[tuple[str, CredentialKind]] = [(name, "oauth_token") for name in row.oauth_keys]
    return [*tokens, *((name, "api_key") for name in row.keys)]
