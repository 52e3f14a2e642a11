"""The seam of the model layer: what every client, provider and wrapper looks like.

Concrete ones are in `providers/` (one wire format a file) and `wrappers/` (one concern a file).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

DEFAULT_OPTIONS = InvokeOptions()


class LLMClient(Protocol):
    """One model behind one credential; wrappers are clients around clients."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def invoke(
        self, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS, *, key: str = ""
    ) -> Completion:
        """The whole answer, or a `ProviderError`, `BudgetError` or `StoreError`.

        `key` names the call within its run (`development/act/3`); the recording wrapper needs one.
        """
        ...

    async def aclose(self) -> None: ...
