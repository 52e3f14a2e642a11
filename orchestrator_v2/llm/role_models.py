"""Which model a role uses, where a factory is told so itself.

Agents of a run have theirs from the project's configuration; see `config/project_config.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.types import LLMConfig

# What a role's entry may set.
ROLE_PARTS = frozenset({"provider", "model", "base_url"})


def model_of_role(parts: Mapping[str, str], default: LLMConfig) -> LLMConfig:
    """The default with the role's own words over it. Where that is another provider or server than the default's, no
    key comes along: a key goes nowhere but to the origin that it was given for."""
    elsewhere = parts.get("provider", default.provider) != default.provider
    if elsewhere:
        own = LLMConfig(parts["provider"], parts.get("model", ""), base_url=parts.get("base_url", ""))
        return msgspec.structs.replace(own, guarded=default.guarded)
    if parts.get("base_url", default.base_url) != default.base_url:
        own = LLMConfig(default.provider, parts.get("model", default.model), base_url=parts["base_url"])
        return msgspec.structs.replace(own, guarded=default.guarded)
    return msgspec.structs.replace(default, model=parts.get("model", default.model))


def role_parts(role: str, parts: Mapping[str, str]) -> dict[str, str]:
    """A role's entry. Raises `ConfigError` for a word that an entry has not."""
    unknown = sorted(set(parts) - ROLE_PARTS)
    if unknown:
        raise ConfigError(
            f"The role '{role}' sets '{unknown[0]}'.", "Its model is set by other words.", f"Use {sorted(ROLE_PARTS)}."
        )
    return dict(parts)
