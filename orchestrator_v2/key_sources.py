"""Whose models and keys a run uses: those of the project and the settings, or those that its owner has stored.

Which model and mode a request comes to is `settling.py`; how stored keys are sealed is the `credentials` floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec

from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.config.choosing import Chosen, Shares, call
from orchestrator_v2.config.loader import LoadedSettings
from orchestrator_v2.config.problems import as_error
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.accounts import Credential, Keyring
from orchestrator_v2.core.errors import CredentialMissingError, ForbiddenError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.workflow import ModelChoice
from orchestrator_v2.llm.auth import credential_variables, kind_of
from orchestrator_v2.llm.types import LLMConfig

# What a call itself names: (provider, model) pairs, the first wins.
Named = Sequence[tuple[str, str]]


class KeySource(Protocol):
    """Configurations of models, and what is known of their keys."""

    def provider(self) -> str:
        """The one that is meant where none is named."""
        ...

    def agents(self) -> Sequence[str]:
        """The roles that have a model of their own without being given one by the call."""
        ...

    def choose(self, agent: str, named: Named) -> Chosen:
        """The model of that agent (empty: of the run), in names."""
        ...

    def with_key(self, choice: ModelChoice) -> LLMConfig: ...

    def check(self, chosen: Chosen) -> None:
        """Raises `CredentialMissingError` and `ConfigError` for a key that is not set or may not go there."""
        ...

    def config(self, provider: str, model: str) -> LLMConfig: ...

    def has_key(self, provider: str) -> bool: ...

    def is_ready(self, choice: ModelChoice) -> bool:
        """Whether there is the key that this needs."""
        ...

    def missing(self, provider: str) -> CredentialMissingError: ...


class SettingsKeys:
    """The operator's own, with the project's files: read anew each time, as keys stand in no state.

    With an explicit `key` neither the environment's keys nor the project's files count: it is for the settings'
    provider, and another's word is no reason to send it elsewhere.
    """

    def __init__(self, loaded: LoadedSettings, key: Secret | None, needs_key: Callable[[str], bool]) -> None:
        self._loaded = loaded
        self._key = key
        self._needs_key = needs_key
        self._project = ProjectConfig(loaded if key is None else msgspec.structs.replace(loaded, project=None))

    def provider(self) -> str:
        return self.choose("", ()).model.provider

    def agents(self) -> Sequence[str]:
        return self._project.agents()

    def choose(self, agent: str, named: Named) -> Chosen:
        return self._project.choose(agent, [level for each in named for level in call(*each)])

    def with_key(self, choice: ModelChoice) -> LLMConfig:
        if self._key is None:
            return self._project.keys.config(choice)
        return LLMConfig(choice.provider, choice.model, self._key, choice.base_url, kind_of(self._key))

    def check(self, chosen: Chosen) -> None:
        problems = self._project.key_problems(chosen) if self._key is None else []
        if problems:
            error = as_error(problems)
            raise CredentialMissingError(error.what, error.why, error.do)

    def config(self, provider: str, model: str) -> LLMConfig:
        """The settings' base_url and model are those of the settings' provider: another one's key is not for that
        server."""
        return self.with_key(self.choose("", [(provider, model)]).model)

    def pinned(self, choice: ModelChoice) -> LLMConfig:
        """A run's model as it was settled, with the key as it is found now. Where the server that it was settled with
        is not the one that the key is for now, it is the latter that stands in the configuration.

        Raises `CredentialMissingError` for a variable that is not set, or may not be sent there.
        """
        settings, keys = self._loaded.settings, self._project.keys
        usual = settings.base_url if choice.provider == settings.provider else ""
        today = msgspec.structs.replace(choice, base_url=usual)
        if self._key is not None:
            return self.with_key(today)
        if not choice.key and (keys.fault(choice) or not choice.base_url):
            return keys.config(today)
        self.check(Chosen("", choice, {}))
        return keys.config(choice)

    def has_key(self, provider: str) -> bool:
        return not self._needs_key(provider) or self.config(provider, "").credential is not None

    def is_ready(self, choice: ModelChoice) -> bool:
        return not self._needs_key(choice.provider) or self.with_key(choice).credential is not None

    def missing(self, provider: str) -> CredentialMissingError:
        variables = " or ".join(credential_variables(provider, self._loaded.catalog)) or "a key"
        return no_key(provider, f"Set {variables} in the environment or in .env, or run with --mode simulated.")

    def mode(self) -> str:
        """The one that is meant where the call says none."""
        mode = self._loaded.settings.mode
        return mode if self._loaded.sources.get("mode") == "flag" else self._project.word("mode") or mode

    def shares(self) -> Shares:
        """The budget and its thresholds, where the call says none."""
        return self._project.shares()


class OwnKeys:
    """A user's own, out of the vault: references only; each key is opened when a task needs its client."""

    def __init__(self, stored: Sequence[Credential], settings: Settings) -> None:
        self._stored = {credential.provider: credential for credential in stored if credential.state == "ok"}
        self._preferred = settings.provider

    def agents(self) -> Sequence[str]:
        return ()

    def choose(self, agent: str, named: Named) -> Chosen:
        provider, model = next((each for each in named if any(each)), ("", ""))
        config = self.config(provider or self.provider(), model)
        role = resolve_role(agent).name if agent else ""
        return Chosen(role, ModelChoice(config.provider, config.model, config.base_url), {})

    def with_key(self, choice: ModelChoice) -> LLMConfig:
        return self.config(choice.provider, choice.model)

    def check(self, chosen: Chosen) -> None:
        """Stored keys are checked for each call."""

    def is_ready(self, choice: ModelChoice) -> bool:
        return self.has_key(choice.provider)

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
