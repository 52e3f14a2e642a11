"""Whose keys a run uses: those of the environment and the settings, or those that its owner has stored.

Which model and mode a request comes to is `settling.py`; how stored keys are sealed is the `credentials` floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.core.accounts import Credential, Keyring
from orchestrator_v2.core.errors import CredentialMissingError, ForbiddenError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import credential_variables, resolve_credentials
from orchestrator_v2.llm.types import LLMConfig


class KeySource(Protocol):
    """Configurations of models, and what is known of their keys."""

    def provider(self) -> str:
        """The one that is meant where none is named."""
        ...

    def config(self, provider: str, model: str) -> LLMConfig: ...

    def has_key(self, provider: str) -> bool: ...

    def missing(self, provider: str) -> CredentialMissingError: ...


class SettingsKeys:
    """The operator's own: an explicit key, else the environment's, read anew each time as keys stand in no state."""

    def __init__(self, loaded: LoadedSettings, key: Secret | None, needs_key: Callable[[str], bool]) -> None:
        self._loaded = loaded
        self._key = key
        self._needs_key = needs_key

    def provider(self) -> str:
        return self._loaded.settings.provider

    def config(self, provider: str, model: str) -> LLMConfig:
        """The settings' base_url and model are those of the settings' provider: another one's key is not for that
        server."""
        loaded, settings = self._loaded, self._loaded.settings
        own = provider == settings.provider
        found = resolve_credentials(provider, reveal(loaded.keys), explicit=self._key, catalog=loaded.catalog)
        first, spare = (*found, None, None)[:2]
        return LLMConfig(
            provider,
            model or (settings.model if own else ""),
            first.secret if first else None,
            settings.base_url if own else "",
            first.kind if first else "api_key",
            spare.secret if spare else None,
        )

    def has_key(self, provider: str) -> bool:
        return not self._needs_key(provider) or self.config(provider, "").credential is not None

    def missing(self, provider: str) -> CredentialMissingError:
        variables = " or ".join(credential_variables(provider, self._loaded.catalog)) or "a key"
        return no_key(provider, f"Set {variables} in the environment or in .env, or run with --mode simulated.")


class OwnKeys:
    """A user's own, out of the vault: references only; each key is opened when a task needs its client."""

    def __init__(self, stored: Sequence[Credential], preferred: str) -> None:
        self._stored = {credential.provider: credential for credential in stored if credential.state == "ok"}
        self._preferred = preferred

    def provider(self) -> str:
        """The server's usual provider where the user has a key for it, else the first one there is a key for."""
        if self._preferred in self._stored or not self._stored:
            return self._preferred
        return min(self._stored.values(), key=lambda it: (it.created_at, it.provider)).provider

    def config(self, provider: str, model: str) -> LLMConfig:
        stored = self._stored.get(provider)
        if stored is None:
            return LLMConfig(provider, model, guarded=True)
        return LLMConfig(provider, model or stored.default_model, None, stored.base_url, guarded=True)

    def has_key(self, provider: str) -> bool:
        return provider in self._stored

    def missing(self, provider: str) -> CredentialMissingError:
        return no_key(provider, "Store one in the settings, or use mode simulated.")


class OwnKeyWatch:
    """A user's key while it is in use: asked for before each sending, marked when the provider refuses it."""

    def __init__(self, keyring: Keyring, stored: Credential) -> None:
        self._keyring = keyring
        self._stored = stored

    async def usable(self) -> None:
        await self._keyring.check(self._stored.user_id, self._stored.credential_id)

    async def refused(self, why: str) -> None:
        await self._keyring.refused(self._stored.user_id, self._stored.credential_id, why)


def no_key(provider: str, do: str) -> CredentialMissingError:
    """Real work was asked for, and there is nothing to do it with."""
    return CredentialMissingError(
        f"Real mode needs a key for {provider}, and there is none.", "It is never replaced by a simulation.", do
    )


def check_entitled(patterns: Sequence[str], provider: str, model: str) -> None:
    """Raises `ForbiddenError` for a model that none of the patterns names; without patterns every model is free."""
    name = f"{provider}/{model}"
    if patterns and not any(fnmatchcase(name, pattern) for pattern in patterns):
        raise ForbiddenError(
            f"The model {name} is not open to you.",
            f"Yours are: {', '.join(sorted(patterns))}.",
            "Choose one of them, or ask an administrator.",
        )


def reveal(keys: Mapping[str, Secret]) -> dict[str, str]:
    """Key variables by name, for the one who resolves credentials."""
    return {name: secret.reveal() for name, secret in keys.items()}
