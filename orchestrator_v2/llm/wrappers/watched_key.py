"""Asks for a stored key before each sending of a client, and reports it when it is refused.

It stands right around the provider's client: inside `retrying`, so that each attempt asks; inside `recorded`, as an
answer of the ledger needs no key; inside `rate_limited`, as the key may be revoked during the wait. What our own wires
send is asked for in `wire.py`, which also sees batches and counts of tokens; this is for all other providers.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.key_watch import KeyWatch, watched
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

__all__ = ["KeyWatch", "WatchedKeyClient"]


class WatchedKeyClient(Wrapper):
    def __init__(self, inner: Invoker, watch: KeyWatch, *, secrets: Sequence[Secret] = ()) -> None:
        super().__init__(inner)
        self._watch = watch
        self._secrets = tuple(secrets)

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """Raises `CredentialMissingError`, with nothing sent, where the key is not usable any more."""
        async with watched(self._watch, self._secrets):
            return await self.inner.invoke(messages, options, key=key, sink=sink)
