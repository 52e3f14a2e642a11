"""`AgentContext`: what a caller gives an agent, the user's credential among it, which never leaves by accident.

What an agent makes of it is `assignment.py` (the task in one shape) and `prompt_builder.py` (the prompt).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator_v2.core.errors import ConfigError, CredentialMissingError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition
from orchestrator_v2.llm.base import Invoker

TaskLike: TypeAlias = TaskDefinition | str | Mapping[str, Any]

MODES = ("auto", "simulated", "real")


@dataclass(frozen=True, kw_only=True, eq=False)
class AgentContext:
    """An agent's surroundings for one task.

    `llm_api_key` may be given as text and is a `Secret` from then on: no repr, dump or copy shows it, and pickling
    or serialising a context that holds one is refused (TypeError). `mode`: `auto` is real where a client or a key is
    given. `upstream` maps paths to texts in workflow order, `direct` names those the phase itself asks for,
    `current` holds what the phase made in its last round, `feedback` why it is done again, `answers` what the user
    said to questions. `key_prefix` names the model calls of a task that is not the engine's.
    """

    project_state: ProjectState | None = None
    task: TaskLike | None = None
    user_id: str = ""
    llm_api_key: Secret | str | None = None
    llm_provider: str = "anthropic"
    model: str = ""
    base_url: str = ""
    mode: str = "auto"
    brief: str = field(default="", repr=False)
    answers: Mapping[str, str] = field(default_factory=dict, repr=False)
    upstream: Mapping[str, str] = field(default_factory=dict, repr=False)
    direct: frozenset[str] = field(default=frozenset(), repr=False)
    current: Mapping[str, str] = field(default_factory=dict, repr=False)
    feedback: str = field(default="", repr=False)
    client: Invoker | None = field(default=None, repr=False)
    key_prefix: str = ""

    def __post_init__(self) -> None:
        """Raises `ConfigError` on an unknown mode, `CredentialMissingError` on an empty key."""
        if self.mode not in MODES:
            raise ConfigError(f"There is no mode '{self.mode}'.", do=f"Use one of {', '.join(MODES)}.")
        if isinstance(self.llm_api_key, str):
            if not self.llm_api_key.strip():
                raise CredentialMissingError(
                    "The API key is empty.", "It was given, but holds no character.", "Pass the key, or None for none."
                )
            object.__setattr__(self, "llm_api_key", Secret(self.llm_api_key))

    @property
    def credential(self) -> Secret | None:
        key = self.llm_api_key
        return Secret(key) if isinstance(key, str) else key

    @property
    def real(self) -> bool:
        """Whether a model is asked. Raises `CredentialMissingError` in real mode without a client or a key."""
        able = self.client is not None or self.llm_api_key is not None
        if self.mode == "real" and not able:
            raise CredentialMissingError(
                "Real mode needs a credential.",
                "The context holds neither a client nor a key, and real work is never replaced by a simulation.",
                "Pass llm_api_key or client, or use mode='simulated'.",
            )
        return able and self.mode != "simulated"
