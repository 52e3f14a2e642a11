"""An agent's credential: a `Secret`, or a reference to an environment variable that is looked up when it is used.

Which variables a provider's own key is read from is `llm/auth.py`; keys of a server's users are the vault's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator_v2.core.errors import ConfigError, CredentialMissingError
from orchestrator_v2.core.secrets import REDACTED, Secret, redact

Credential = Secret | str | None

# A bare name has capitals and an underline, as every vendor's variable: so no key is taken for a name, and told.
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})\}|([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)")

_ESCAPE = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")


def checked_credential(agent: str, credential: object) -> Credential:
    """`credential`, unless it is a key as plain text. Raises `ConfigError`, which does not repeat it."""
    if credential is None or isinstance(credential, Secret):
        return credential
    if isinstance(credential, str) and _REFERENCE.fullmatch(credential.strip()):
        return credential.strip()
    raise ConfigError(
        f"The credential of '{agent}' is neither a Secret nor a reference.",
        "A key as plain text would stand in every listing of the agents.",
        "Give Secret(key), or the name of the variable that holds it, as '${ZAI_API_KEY}'.",
    )


def holds_key(value: object, credential: Credential = None) -> bool:
    """Whether the value, as it would be shown, has `credential` itself in it, or a word shaped like a vendor's key."""
    text = _ESCAPE.sub(" ", repr(value))
    if isinstance(credential, Secret) and credential.hidden_from(text) != text:
        return True
    # In the middle of a word the shape tells nothing: `task-management-system`.
    before = redact(text.replace(REDACTED, " ")).split(REDACTED)[:-1]
    return any(not part[-1:].isalnum() for part in before)


def variable_of(credential: Credential) -> str:
    """The variable that a reference names; empty for a Secret or none."""
    found = _REFERENCE.fullmatch(credential) if isinstance(credential, str) else None
    return (found[1] or found[2]) if found else ""


def resolved_credential(agent: str, credential: Credential, environ: Mapping[str, str]) -> Secret | None:
    """The key itself. Raises `CredentialMissingError` that names the variable which is not set."""
    if credential is None or isinstance(credential, Secret):
        return credential
    variable = variable_of(credential)
    value = environ.get(variable, "")
    if not value.strip():
        raise CredentialMissingError(
            f"There is no key for the agent '{agent}'.", f"The variable {variable} is not set.", f"Set {variable}."
        )
    return Secret(value)
