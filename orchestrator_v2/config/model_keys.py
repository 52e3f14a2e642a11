"""Which variable a model's key is read from, and whether that key may go where the model is reached.

A configuration may be somebody else's, as it comes with a repository. So a key of this machine goes to its own vendor's
server, or where the operator said; a key that stands in the folder's own `.env` goes where the folder says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchestrator_v2.config.project_file import Project
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.workflow import ModelChoice
from orchestrator_v2.llm.auth import ResolvedCredential, credential_variables, kind_of, resolve_credentials
from orchestrator_v2.llm.catalog import Catalog, ProviderRow
from orchestrator_v2.llm.origin import normal_url, origin_of
from orchestrator_v2.llm.types import LLMConfig

# Settings, and the master key of stored keys, are no key of a model.
_OURS = "ORCHESTRATOR_"
# Servers of a vendor beside the one that its row names, such as those for another wire.
FURTHER_SERVERS: Mapping[str, Sequence[str]] = {"zhipu": ("https://api.z.ai",)}


class ModelKeys(msgspec.Struct, frozen=True):
    """The keys that were found, by variable, and what they may do.

    `sources` names each one's place. `provider` and `base_url` are the operator's own, `origins` the servers that the
    operator listed; `folder` is the source of variables of the project's own `.env`.
    """

    keys: Mapping[str, Secret]
    sources: Mapping[str, str]
    catalog: Catalog
    provider: str
    base_url: str
    origins: frozenset[str] = frozenset()
    folder: str = ""

    def config(self, choice: ModelChoice) -> LLMConfig:
        """The model with its key, and with none where there is none. Asks not whether it may go there."""
        first, spare = (*self._found(choice), None, None)[:2]
        return LLMConfig(
            choice.provider,
            choice.model,
            first.secret if first else None,
            choice.base_url,
            first.kind if first else "api_key",
            spare.secret if spare else None,
        )

    def fault(self, choice: ModelChoice) -> str:
        """Why this model cannot be asked with its key, as a sentence; empty where it can.

        That a provider's usual key is not there is no fault of the choice.
        """
        if choice.key and choice.key not in self.keys:
            return f"${{{choice.key}}} is not set. Set {choice.key} in the environment or in .env."
        sent = (choice.key,) if choice.key else self._usual(choice.provider)
        stray = next((variable for variable in sent if not self._may_go(variable, choice)), "")
        if not stray:
            return ""
        where = self.sources.get(stray, "environment")
        return (
            f"The key {stray} of the {where} may not be sent to {_origin(choice, self.catalog) or choice.provider}: "
            "that is not its vendor's server. Put the key into the .env of the project's folder, or list the server in "
            "ORCHESTRATOR_MODEL_ORIGINS in the environment or as model_origins in config.toml."
        )

    def described(self, choice: ModelChoice) -> str:
        """Which variable the key is read from, and how it stands with that; never the key."""
        names = (choice.key,) if choice.key else self._usual(choice.provider)
        if not names:
            return ""
        shown = f"${{{names[0]}}}"
        if names[0] not in self.keys:
            return f"{shown} (not set)"
        return f"{shown} ({self.sources.get(names[0], 'set')}{', not sent there' if self.fault(choice) else ''})"

    def _found(self, choice: ModelChoice) -> tuple[ResolvedCredential, ...]:
        if choice.key:
            secret = self.keys.get(choice.key)
            return () if secret is None else (ResolvedCredential(secret, kind_of(secret), choice.key),)
        environ = {name: secret.reveal() for name, secret in self.keys.items()}
        return resolve_credentials(choice.provider, environ, catalog=self.catalog)

    def _usual(self, provider: str) -> tuple[str, ...]:
        return tuple(name for name in credential_variables(provider, self.catalog) if name in self.keys)

    def _may_go(self, variable: str, choice: ModelChoice) -> bool:
        if variable.startswith(_OURS):
            return False
        origin = _origin(choice, self.catalog)
        operators = not choice.base_url or (choice.provider, choice.base_url) == (self.provider, self.base_url)
        if operators and variable in credential_variables(choice.provider, self.catalog):
            return True
        if self.folder and self.sources.get(variable) == self.folder:
            return True
        return bool(origin) and (origin in self.origins or origin in _servers_of(variable, self.catalog))


def listed_origins(text: str) -> frozenset[str]:
    """The setting `model_origins`: addresses with commas between them; what is none is left out."""
    return frozenset(origin for part in text.split(",") if (origin := _plain_origin(part.strip())))


def references(project: Project) -> set[str]:
    """The variables that are named as `${NAME}` anywhere in the project's files."""
    found: set[str] = set()
    for document in project.documents():
        found.update(_names_in(document.data))
    return found


def variable_of(reference: str) -> str:
    """`NAME` of `${NAME}`; empty for anything else."""
    return reference[2:-1] if reference.startswith("${") and reference.endswith("}") else ""


def _names_in(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        reference = value.get("api_key")
        if isinstance(reference, str) and variable_of(reference):
            yield variable_of(reference)
        for inner in value.values():
            yield from _names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner)


def _servers_of(variable: str, catalog: Catalog) -> set[str]:
    """The origins of every vendor that this variable is a key of."""
    found: set[str] = set()
    for name, row in catalog.items():
        if variable in (*row.keys, *row.oauth_keys) and row.base_url:
            found.update(map(origin_of, (row.base_url, *FURTHER_SERVERS.get(name, ()))))
    return found


def _origin(choice: ModelChoice, catalog: Catalog) -> str:
    return _plain_origin(choice.base_url or catalog.get(choice.provider, ProviderRow()).base_url)


def _plain_origin(url: str) -> str:
    try:
        return origin_of(normal_url(url)) if url else ""
    except ConfigError:
        return ""
