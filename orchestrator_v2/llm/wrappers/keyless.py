"""Keeps a client's own key out of its prompts: who pastes it into a brief or a question has not sent it to anybody.

That an answer is not kept with the key in it is `recorded.py`; what is stored is scrubbed by who stores it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class KeylessClient(Wrapper):
    """Stands outside `recorded`, whose hash is of what is really sent."""

    def __init__(self, inner: Invoker, secrets: Sequence[Secret]) -> None:
        super().__init__(inner)
        self._secrets = tuple(secret for secret in secrets if not secret.is_short)

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        if any(self._is_in(text) for text in (options.system_prompt, *(message.content for message in messages))):
            options = msgspec.structs.replace(options, system_prompt=self._without(options.system_prompt))
            messages = [msgspec.structs.replace(one, content=self._without(one.content)) for one in messages]
        return await self.inner.invoke(messages, options, key=key, sink=sink)

    def _is_in(self, text: str) -> bool:
        return any(secret.reveal() in text for secret in self._secrets)

    def _without(self, text: str) -> str:
        for secret in self._secrets:
            text = secret.hidden_from(text)
        return text
