"""A client that sends nothing: it answers from a ledger, byte for byte and free.

How the answers came into the ledger is `wrappers/recorded.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.errors import RunStateError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import NO_USAGE
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Sink, no_sink
from orchestrator_v2.llm.ledger import RecordedAnswers
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.recorded import request_hash


class ReplayClient:
    """Stands in for `model` of `provider`, as those belong to what a recorded request is found by."""

    def __init__(self, provider: str, model: str, ledger: RecordedAnswers) -> None:
        self.provider = provider
        self.model = model
        self._ledger = self.ledger = ledger

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The recorded answer. Raises `RunStateError` where there is none, `CallConflictError` for another request."""
        hashed = request_hash(self.provider, self.model, messages, options)
        known = await self._ledger.find(key, hashed)
        if known is None:
            raise RunStateError(
                f"The run has no recorded answer for '{key}'.",
                "A replay sends nothing.",
                "Resume the run to have it answered, then replay.",
            )
        sink(known.text)
        made_by = Provenance("replayed", known.provenance.provider, known.provenance.model)
        return msgspec.structs.replace(known, provenance=made_by, usage=NO_USAGE, recorded=True)

    async def aclose(self) -> None:
        """Nothing is open; the ledger is the caller's."""
