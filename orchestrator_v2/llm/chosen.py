"""A model that was chosen for somebody: its configuration, what is asked of it, its spares, and where each word stands.

How it is chosen is the caller's, such as `config/project_config.py`; how a client is built of it is `factory.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.types import LLMConfig


class ChosenModel(msgspec.Struct, frozen=True):
    """`key` is the name of the variable that the credential was read from (empty: the provider's usual one).

    `reasoning` is the effort that the model is asked for, `search` the engine whose results are put before it (each
    empty: none). `fallbacks` are asked in order where this one cannot answer. `sources` says for each of `provider,
    model, base_url, api_key, reasoning, search, fallbacks` where it was set.
    """

    config: LLMConfig
    agent: str = ""
    key: str = ""
    reasoning: str = ""
    search: str = ""
    fallbacks: tuple[ChosenModel, ...] = ()
    sources: Mapping[str, str] = {}

    @property
    def provider(self) -> str:
        return self.config.provider

    @property
    def model(self) -> str:
        """Empty: the provider's default."""
        return self.config.model

    @property
    def base_url(self) -> str:
        """Empty: the provider's own server."""
        return self.config.base_url

    @property
    def credential(self) -> Secret | None:
        return self.config.credential
