"""Watches a budget's thresholds around the recorded call, and inside it sends to a cheaper model past one of them.

The thresholds and the decision are `llm/thrift.py`; the ceiling itself is the ledger's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.ledger import CallLedger
from orchestrator_v2.llm.thrift import Thresholds, cheaper_because, decided
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


class WatchedBudgetClient(Wrapper):
    """Stands outside `recorded`: what is spent is asked before the call's own reservation is part of it."""

    def __init__(self, inner: Invoker, ledger: CallLedger, thresholds: Thresholds) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._thresholds = thresholds

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        with decided(self._thresholds.before(await self._ledger.spent())):
            completion = await self.inner.invoke(messages, options, key=key, sink=sink)
        if completion.recorded:
            return completion
        alert = self._thresholds.after(await self._ledger.spent())
        return _noted(completion, alert) if alert else completion


class DowngradingClient(Wrapper):
    """Stands inside `recorded`, whose key and hash stay those of `inner`, so that a resume finds its answers."""

    def __init__(self, inner: Invoker, cheaper: Invoker) -> None:
        super().__init__(inner)
        self._cheaper = cheaper

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The answer of one of the two; the cheaper one's says who made it, and why."""
        why = cheaper_because.get()
        if not why:
            return await self.inner.invoke(messages, options, key=key, sink=sink)
        completion = await self._cheaper.invoke(messages, options, key=key, sink=sink)
        asked, answered = (f"{one.provider}/{one.model}" for one in (self.inner, self._cheaper))
        return _noted(completion, f"{answered} answered in place of {asked}: {why}.")

    async def aclose(self) -> None:
        await self.inner.aclose()
        await self._cheaper.aclose()


def _noted(completion: Completion, note: str) -> Completion:
    return msgspec.structs.replace(completion, notes=(*completion.notes, note))
